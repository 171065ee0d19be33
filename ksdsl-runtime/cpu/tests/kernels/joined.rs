//! The backward pass of a pointwise convolution together with that of the norm after it.

use crate::support::{Checked, Kernels, Rng, Worst, buf, cpu_of, pixels, wide};
use ksdsl_cpu::CpuExec;
use ksdsl_cpu::{CpuBuf, Level, with_threads};
use ksdsl_engine::exec::{Exec, JoinedConv, JoinedGradients, NormBackward, Recipe};
use ksdsl_engine::size::{Activation, LinearSize, MapSize, RowSize, Tail};
use ksdsl_oracle::{activation, linear, norm};
use std::num::NonZeroUsize;

const EPS: f64 = 1e-5;

/// One case.
#[derive(Clone, Copy, Debug)]
struct Case {
    size: LinearSize,
    /// Around the norm after the convolution, and around the one whose output is its input.
    tails: [Tail; 2],
    /// Whether the input is kept, and whether a residual was added to it.
    kept: bool,
    residual: bool,
    /// Whether the input has other uses.
    others: bool,
    bias: bool,
}

/// What the pass gives: `dx`, the gradients of scale, shift, kernel and bias, and the sums.
struct Outcome<E> {
    values: [Vec<E>; 5],
    sums: Option<[Vec<E>; 2]>,
}

/// The operands, in `E` and in `f64`.
struct Operands {
    z: Vec<f64>,
    input: Vec<f64>,
    residual: Vec<f64>,
    dy: Vec<f64>,
    others: Vec<f64>,
    weight: Vec<f64>,
    scale: Vec<f64>,
    shift: Vec<f64>,
    /// Factor, offset and mean of the norm before.
    before: [Vec<f64>; 3],
}

impl Operands {
    fn new(size: LinearSize, rng: &mut Rng) -> Self {
        let [outputs, inputs] = [size.outputs, size.inputs].map(|channels| size.rows * channels);
        Self {
            z: rng.values(outputs),
            input: rng.values(inputs),
            residual: rng.values(inputs),
            dy: rng.values(outputs),
            others: rng.values(inputs),
            weight: rng.values(size.inputs * size.outputs),
            scale: rng.values(size.outputs),
            shift: rng.values(size.outputs),
            before: [0; 3].map(|_| rng.values(size.inputs)),
        }
    }
}

fn activated(kind: Option<Activation>, x: &[f64]) -> Vec<f64> {
    kind.map_or_else(|| x.to_vec(), |kind| activation::forward(kind, x))
}

fn rows_as_images(rows: usize, channels: usize) -> MapSize {
    MapSize {
        batch: rows,
        height: 1,
        width: 1,
        channels,
    }
}

/// Mean, variance, factor and offset of the norm after the convolution.
fn statistics(case: &Case, operands: &Operands) -> [Vec<f64>; 4] {
    let LinearSize { rows, outputs, .. } = case.size;
    let g = activated(case.tails[0].before, &operands.z);
    let map = rows_as_images(rows, outputs);
    let trained = norm::batch_norm_train(map, &g, &operands.scale, &operands.shift, EPS);
    let pairs = operands.scale.iter().zip(&trained.variance);
    let factor: Vec<f64> = pairs.map(|(scale, variance)| scale / (variance + EPS).sqrt()).collect();
    let columns = operands.shift.iter().zip(&trained.mean).zip(&factor);
    let offset = columns.map(|((shift, mean), factor)| shift - mean * factor).collect();
    [trained.mean, trained.variance, factor, offset]
}

/// By the oracle's layers, one after the other.
fn want(case: &Case, operands: &Operands) -> Outcome<f64> {
    let (size, [behind, front]) = (case.size, case.tails);
    let [factor, offset, mean] = &operands.before;
    let g = activated(front.before, &operands.input);
    let x = if case.kept {
        operands.input.clone()
    } else {
        let mut x = g.clone();
        for (at, x) in x.iter_mut().enumerate() {
            let channel = at % size.inputs;
            *x = *x * factor[channel] + offset[channel];
            *x += if case.residual { operands.residual[at] } else { 0.0 };
        }
        activated(front.after, &x)
    };
    let map = rows_as_images(size.rows, size.outputs);
    let z = activated(behind.before, &operands.z);
    let mut dy = operands.dy.clone();
    if behind.after.is_some() {
        let y = norm::batch_norm_train(map, &z, &operands.scale, &operands.shift, EPS).output;
        dy.iter_mut()
            .zip(y)
            .for_each(|(dy, y)| *dy *= f64::from(u8::from(y > 0.0)));
    }
    let back = norm::batch_norm_backward(map, &z, &operands.scale, EPS, &dy);
    let dz = match behind.before {
        Some(kind) => activation::backward(kind, &operands.z, &back.dx),
        None => back.dx,
    };
    let mut dx = linear::backward_data(size, &operands.weight, &dz);
    if case.others {
        dx.iter_mut().zip(&operands.others).for_each(|(dx, more)| *dx += more);
    }
    let mut sums = [vec![0.0; size.inputs], vec![0.0; size.inputs]];
    for (at, dx) in dx.iter().enumerate() {
        let channel = at % size.inputs;
        sums[0][channel] += dx;
        sums[1][channel] += dx * (g[at] - mean[channel]);
    }
    let dweight = linear::backward_weight(size, &x, &dz);
    let dbias = linear::backward_bias(size, &dz);
    Outcome {
        values: [dx, back.dscale, back.dshift, dweight, dbias],
        sums: Some(sums),
    }
}

fn got<E: Checked>(case: &Case, operands: &Operands) -> Outcome<E>
where
    CpuExec: Kernels<E>,
{
    let (size, device) = (case.size, cpu_of::<E>());
    let exact = |values: &[f64]| buf(&values.iter().map(|&value| E::of(value)).collect::<Vec<_>>());
    let [mean, variance, factor, offset] = statistics(case, operands).map(|values| exact(&values));
    let z = exact(&operands.z);
    let (input, residual) = (exact(&operands.input), exact(&operands.residual));
    let before = operands.before.each_ref().map(|values| exact(values));
    let kernel = device.kernel(exact(&operands.weight));
    let x = if case.kept {
        Recipe::Kept(&input)
    } else {
        Recipe::Recompute {
            size: RowSize {
                rows: size.rows,
                channels: size.inputs,
            },
            tail: case.tails[1],
            input: Box::new(Recipe::Kept(&input)),
            factor: &before[0],
            offset: &before[1],
            mean: Some(&before[2]),
            residual: case.residual.then(|| Box::new(Recipe::Kept(&residual))),
        }
    };
    let norm = NormBackward {
        size: RowSize {
            rows: size.rows,
            channels: size.outputs,
        },
        tail: case.tails[0],
        input: &z,
        output: None,
        mean: &mean,
        variance: &variance,
        factor: &factor,
        offset: &offset,
        eps: EPS,
        sums: None,
    };
    let conv = JoinedConv {
        size: pixels(size),
        x,
        kernel: &kernel,
        others: case.others.then(|| exact(&operands.others)),
    };
    let zeros = CpuBuf::<E>::zeros;
    let (mut scale, mut shift, mut bias) = (zeros(size.outputs), zeros(size.outputs), zeros(size.outputs));
    let mut weight = device.gradient(size.inputs * size.outputs).unwrap();
    let gradients = JoinedGradients {
        scale: &mut scale,
        shift: &mut shift,
        weight: &mut weight,
        bias: case.bias.then_some(&mut bias),
    };
    let dx = device
        .conv_norm_backward(norm, conv, exact(&operands.dy), gradients)
        .unwrap();
    let weight = device.gradient_values(weight).unwrap();
    Outcome {
        values: [dx.values, scale, shift, weight, bias].map(|values| values.to_vec()),
        sums: dx.sums.map(|sums| sums.map(|sums| sums.to_vec())),
    }
}

fn cases() -> Vec<Case> {
    let kinds = [None, Some(Activation::Gelu), Some(Activation::Relu)];
    let relu = Some(Activation::Relu);
    let sizes = [
        (1, 1, 1),
        (70, 3, 5),
        (130, 24, 17),
        (300, 17, 24),
        (257, 40, 40),
        (1100, 16, 33),
        (128, 64, 64),
        (1500, 10, 10),
        (1037, 256, 256),
        (1024, 256, 40),
        (260, 40, 256),
    ];
    let mut cases = Vec::new();
    for (index, (rows, inputs, outputs)) in sizes.into_iter().enumerate() {
        for turn in 0..3 {
            let tail = |turn: usize| Tail {
                before: kinds[turn % 3],
                after: relu.filter(|_| turn % 4 == 3),
            };
            cases.push(Case {
                size: LinearSize { rows, inputs, outputs },
                tails: [tail(index + turn), tail(2 * index + turn)],
                kept: (index + turn) % 4 == 0,
                residual: (index + turn) % 2 == 0,
                others: (index + 2 * turn) % 3 == 0,
                bias: turn != 1,
            });
        }
    }
    cases
}

fn check<E: Checked>(case: &Case, operands: &Operands, worst: &mut Worst)
where
    CpuExec: Kernels<E>,
{
    let (got, want) = (got::<E>(case, operands), want(case, operands));
    for (index, (got, want)) in got.values.iter().zip(&want.values).enumerate() {
        // With few rows the terms of what a norm gives nearly cancel, and what is left is rounding;
        // without a bias its gradient is not asked for. The sum of `dz` without an activation is zero.
        let cancelled = index == 4 && case.tails[0].before.is_none();
        if (case.size.rows > 4 || index == 1 || index == 2) && (index < 4 || case.bias) && !cancelled {
            worst.check(&(case, index), got, want);
        }
    }
    let told = !case.kept && !case.others && case.tails[1].after.is_none();
    assert_eq!(got.sums.is_some(), told, "{case:?}");
    if let (Some(got), Some(want), true) = (got.sums, want.sums, case.size.rows > 4) {
        // Sums of both signs: relative to the greatest of both kinds.
        worst.check(case, &got.concat(), &want.concat());
    }
}

#[test]
fn joined_passes_match_the_oracle() {
    let mut rng = Rng(31);
    let (mut single, mut double) = (Worst::of("joined, f32"), Worst::of("joined, f64"));
    for case in cases() {
        let operands = Operands::new(case.size, &mut rng);
        for level in Level::available() {
            level.with(|| check::<f32>(&case, &operands, &mut single));
        }
        check::<f64>(&case, &operands, &mut double);
    }
}

/// One thread or three: the same bits.
#[test]
fn joined_passes_do_not_depend_on_threads() {
    let size = LinearSize {
        rows: 3000,
        inputs: 40,
        outputs: 30,
    };
    let tail = Tail {
        before: Some(Activation::Gelu),
        after: None,
    };
    let case = Case {
        size,
        tails: [tail; 2],
        kept: false,
        residual: true,
        others: false,
        bias: true,
    };
    let operands = Operands::new(size, &mut Rng(32));
    let run = |threads: usize| with_threads(NonZeroUsize::new(threads).unwrap(), || got::<f32>(&case, &operands));
    let (one, three) = (run(1), run(3));
    assert_eq!(one.values, three.values);
    assert_eq!(one.sums, three.sums);
    assert!(wide(&one.values[0]).iter().any(|value| *value != 0.0));
}
