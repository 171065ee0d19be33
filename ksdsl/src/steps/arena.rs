//! Where buffers are: those that are not needed at the same time share their memory.

use super::{Kind, Program, Step};

/// Where a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the input of this position.
    Input(usize),
    /// In the output of this position.
    Output(usize),
    /// In the arena, from this value on.
    Arena(usize),
}

/// The places of all buffers.
#[derive(Clone, Debug)]
pub struct Arena {
    /// Of each buffer.
    pub places: Vec<Place>,
    /// Values of the arena.
    pub len: usize,
}

/// Buffers in one place, one after the other.
#[derive(Clone, Copy, Debug)]
struct Class {
    len: usize,
    /// The step that writes the first, and the last that reads one.
    first: usize,
    last: usize,
    fixed: Option<Place>,
    at: usize,
}

/// Classes of which all pairs are compared.
const FEW: usize = 2048;

/// Places for the buffers of a program: steps that can write where they read do so, and each class of buffers gets the
/// first gap among those that are needed at the same time, in the order of the steps or in that of their sizes, whichever
/// makes the arena smaller.
pub fn arena(program: &Program) -> Arena {
    let (mut classes, of_buffers) = classes(program);
    let mut in_order: Vec<usize> = (0..classes.len()).filter(|at| classes[*at].fixed.is_none()).collect();
    in_order.sort_by_key(|at| (classes[*at].first, *at));
    let mut len = place(&mut classes, &in_order);
    if in_order.len() <= FEW {
        let mut by_size = in_order.clone();
        by_size.sort_by_key(|at| (std::cmp::Reverse(classes[*at].len), classes[*at].first));
        let mut other = classes.clone();
        let other_len = place(&mut other, &by_size);
        if other_len < len {
            (classes, len) = (other, other_len);
        }
    }
    let of = |class: usize| classes[class].fixed.unwrap_or(Place::Arena(classes[class].at));
    Arena {
        places: of_buffers.into_iter().map(of).collect(),
        len,
    }
}

/// The classes, and that of each buffer.
fn classes(program: &Program) -> (Vec<Class>, Vec<usize>) {
    let count = program.buffers.len();
    let (mut last, mut first) = (vec![0; count], vec![usize::MAX; count]);
    for (at, step) in program.steps.iter().enumerate() {
        step.inputs.iter().for_each(|id| last[*id] = at);
        first[step.output] = first[step.output].min(at);
        last[step.output] = last[step.output].max(at);
    }
    let end = program.steps.len();
    let fixed = |id: usize| {
        let input = program.inputs.iter().position(|port| port.buffer == id);
        let output = program.outputs.iter().position(|port| port.buffer == id);
        input.map(Place::Input).or(output.map(Place::Output))
    };
    let mut classes: Vec<Class> = Vec::new();
    let mut of_buffers = vec![usize::MAX; count];
    let new = |id: usize, classes: &mut Vec<Class>| {
        let fixed = fixed(id);
        classes.push(Class {
            len: program.buffers[id].len(),
            first: first[id].min(end),
            last: if matches!(fixed, Some(Place::Output(_))) {
                end
            } else {
                last[id]
            },
            fixed,
            at: 0,
        });
        classes.len() - 1
    };
    for port in &program.inputs {
        of_buffers[port.buffer] = new(port.buffer, &mut classes);
    }
    for (at, step) in program.steps.iter().enumerate() {
        let y = step.output;
        if of_buffers[y] != usize::MAX {
            continue;
        }
        let x = reused(program, step, at, (&classes, &of_buffers));
        of_buffers[y] = match x {
            None => new(y, &mut classes),
            Some(class) => {
                let output = fixed(y).filter(|place| matches!(place, Place::Output(_)));
                let class_of = &mut classes[class];
                class_of.last = if output.is_some() { end } else { last[y] };
                class_of.fixed = output;
                class
            }
        };
    }
    for (id, class) in of_buffers.iter_mut().enumerate() {
        if *class == usize::MAX {
            *class = new(id, &mut classes);
        }
    }
    (classes, of_buffers)
}

/// The class of an input that a step can write over: the one that has been there longest, so that equal blocks in a row
/// have equal places.
fn reused(program: &Program, step: &Step, at: usize, (classes, of_buffers): (&[Class], &[usize])) -> Option<usize> {
    if !step.kind.is_in_place() {
        return None;
    }
    let any = matches!(step.kind, Kind::Binary(_));
    let inputs = if any { step.inputs.as_slice() } else { &step.inputs[..1] };
    let free = inputs.iter().filter(|x| {
        let class = &classes[of_buffers[**x]];
        program.buffers[**x].len() == program.buffers[step.output].len() && class.fixed.is_none() && class.last == at
    });
    free.map(|x| of_buffers[*x]).min_by_key(|class| classes[*class].first)
}

/// Places classes in this order; the length of the arena.
fn place(classes: &mut [Class], order: &[usize]) -> usize {
    let mut placed: Vec<usize> = Vec::new();
    let mut len = 0;
    let is_sorted = order.is_sorted_by_key(|at| classes[*at].first);
    for &id in order {
        let class = classes[id];
        // In the order of the steps, what has ended is needed with none that follows.
        if is_sorted {
            placed.retain(|other| classes[*other].last >= class.first);
        }
        let at_once = |other: &&usize| {
            let other = &classes[**other];
            other.first <= class.last && class.first <= other.last
        };
        let mut taken: Vec<[usize; 2]> = placed
            .iter()
            .filter(at_once)
            .map(|other| [classes[*other].at, classes[*other].at + classes[*other].len])
            .collect();
        taken.sort_unstable();
        let mut at = 0;
        for [start, end] in taken {
            if at + class.len <= start {
                break;
            }
            at = at.max(end);
        }
        classes[id].at = at;
        len = len.max(at + class.len);
        placed.push(id);
    }
    len
}
