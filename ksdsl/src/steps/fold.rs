//! What follows a step becomes a part of it: norms of their convolution, activations of what they follow.

use super::{BufferId, Constant, ConstantId, Error, Kind, Program};
use std::collections::HashMap;

/// Afterwards no affine map follows a convolution alone, no activation a convolution, an affine map or an operation of two
/// inputs alone, and a kernel that only one step uses has the factors of its outputs in it.
///
/// # Errors
/// If what is made of weights is not finite, as of a variance below 0.
pub(super) fn fold(program: &mut Program) -> Result<(), Error> {
    finite(program)?;
    affine_maps(program);
    factors(program);
    activations(program);
    finite(program)
}

fn finite(program: &Program) -> Result<(), Error> {
    let is_finite = |constant: &&Constant| constant.data.iter().all(|value| value.is_finite());
    match program.constants.iter().find(|constant| !is_finite(constant)) {
        Some(constant) => Err(Error::NotFinite {
            key: constant.name.clone(),
        }),
        None => Ok(()),
    }
}

/// Merges steps into the one before them: where `merge` says so, the second is gone and the first has its output.
fn followers(program: &mut Program, mut merge: impl FnMut(&mut Program, usize, usize) -> bool) {
    let uses = program.uses_of_buffers();
    let mut writer: HashMap<BufferId, Option<usize>> = HashMap::new();
    for (at, step) in program.steps.iter().enumerate() {
        let entry = writer.entry(step.output).or_insert(Some(at));
        *entry = entry.filter(|first| *first == at);
    }
    let mut gone = vec![false; program.steps.len()];
    for (at, gone) in gone.iter_mut().enumerate() {
        let [x] = program.steps[at].inputs[..] else { continue };
        let Some(&Some(before)) = writer.get(&x) else { continue };
        if uses[x] != 1 || program.steps[before].act.is_some() || !merge(program, before, at) {
            continue;
        }
        let output = program.steps[at].output;
        program.steps[before].output = output;
        writer.insert(output, Some(before));
        *gone = true;
    }
    let mut gone = gone.into_iter();
    program.steps.retain(|_| !gone.next().unwrap_or(false));
}

/// Affine maps alone.
pub(super) fn affine_maps(program: &mut Program) {
    let mut known: HashMap<(ConstantId, Option<ConstantId>), ConstantId> = HashMap::new();
    followers(program, |program, before, at| {
        let (
            Kind::Conv { scale, shift, .. },
            Kind::Affine {
                scale: more,
                shift: added,
            },
        ) = (program.steps[before].kind.clone(), program.steps[at].kind.clone())
        else {
            return false;
        };
        let mut product = |a: Option<ConstantId>, b: Option<ConstantId>, program: &mut Program| match (a, b) {
            (Some(a), Some(b)) => Some(combined(program, &mut known, (a, Some(b)), |a, b| a * b)),
            (a, b) => a.or(b),
        };
        let scale = product(scale, more, program);
        let shift = shift.map(|shift| product(Some(shift), more, program).unwrap_or(shift));
        let mut sums = HashMap::new();
        let shift = match (shift, added) {
            (Some(a), Some(b)) => Some(combined(program, &mut sums, (a, Some(b)), |a, b| a + b)),
            (a, b) => a.or(b),
        };
        if let Kind::Conv {
            scale: own_scale,
            shift: own_shift,
            ..
        } = &mut program.steps[before].kind
        {
            (*own_scale, *own_shift) = (scale, shift);
        }
        true
    });
}

/// A constant made of two, once.
fn combined(
    program: &mut Program,
    known: &mut HashMap<(ConstantId, Option<ConstantId>), ConstantId>,
    key: (ConstantId, Option<ConstantId>),
    of: impl Fn(f32, f32) -> f32,
) -> ConstantId {
    if let Some(id) = known.get(&key) {
        return *id;
    }
    let (a, b) = (
        &program.constants[key.0],
        key.1.map_or(&program.constants[key.0], |b| &program.constants[b]),
    );
    let made = Constant {
        name: b.name.clone(),
        data: a.data.iter().zip(&b.data).map(|(a, b)| of(*a, *b)).collect(),
    };
    program.constants.push(made);
    known.insert(key, program.constants.len() - 1);
    program.constants.len() - 1
}

/// Factors into kernels that nothing else uses.
fn factors(program: &mut Program) {
    let uses = program.uses_of_constants();
    for at in 0..program.steps.len() {
        let Kind::Conv {
            size,
            weight,
            scale: Some(scale),
            ..
        } = program.steps[at].kind
        else {
            continue;
        };
        if uses[weight] != 1 {
            continue;
        }
        let factors = std::mem::take(&mut program.constants[scale].data);
        let kernel = program.constants[weight].data.iter_mut().enumerate();
        kernel.for_each(|(at, value)| *value *= factors[size.row(at)]);
        program.constants[scale].data = factors;
        if let Kind::Conv { scale, .. } = &mut program.steps[at].kind {
            *scale = None;
        }
    }
}

fn activations(program: &mut Program) {
    followers(program, |program, before, at| {
        let takes = matches!(
            program.steps[before].kind,
            Kind::Conv { .. } | Kind::Affine { .. } | Kind::Binary(_)
        );
        match (&program.steps[at].kind, takes) {
            (Kind::Function(function), true) => {
                program.steps[before].act = Some(*function);
                true
            }
            _ => false,
        }
    });
}
