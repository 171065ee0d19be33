//! Every pass at every level against the oracle in `f64`.

use super::*;
use crate::finish::Finish;
use crate::real::CpuReal;
use crate::{CpuBuf, Level, with_threads};
use ksdsl_engine::size::{Activation, MapSize, RowSize, Tail};
use ksdsl_files::random::SplitMix64;
use ksdsl_oracle::{activation, combine, norm};
use std::num::NonZeroUsize;

const EPS: f64 = 1e-5;
const KINDS: [Option<Activation>; 8] = [
    None,
    Some(Activation::Gelu),
    Some(Activation::Silu),
    Some(Activation::GeluTanh),
    Some(Activation::HardSwish),
    Some(Activation::Relu6),
    Some(Activation::Sigmoid),
    Some(Activation::Relu),
];

/// Values in [-2, 2).
fn values<E: CpuReal>(seed: u64, len: usize) -> Vec<E> {
    let mut generator = SplitMix64(seed);
    let mut next = || (generator.draw() >> 40) as f64 / f64::from(1 << 22) - 2.0;
    (0..len).map(|_| E::of(next())).collect()
}

fn wide<E: CpuReal>(values: &[E]) -> Vec<f64> {
    values.iter().map(|value| value.wide()).collect()
}

/// The greatest difference from the oracle, relative to its greatest value.
fn check<E: CpuReal>(what: &str, case: &dyn std::fmt::Debug, got: &[E], want: &[f64], worst: &mut f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    let greatest = want.iter().fold(1e-30_f64, |most, value| most.max(value.abs()));
    let tolerance = if E::epsilon().wide() > 1e-10 { 1e-5 } else { 1e-12 };
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        let distance = (got.wide() - want).abs() / greatest;
        assert!(distance <= tolerance, "{what} {case:?}: {got} for {want} at {index}");
        *worst = worst.max(distance);
    }
}

/// As a map of one pixel per image, where the oracle's NCHW and rows are the same.
fn map_size(size: RowSize) -> MapSize {
    MapSize {
        batch: size.rows,
        height: 1,
        width: 1,
        channels: size.channels,
    }
}

/// Statistics by [`Moments`] from pieces of `piece` rows, the last first.
fn gather<E: CpuReal>(size: RowSize, before: Option<Activation>, z: &mut [E], piece: usize) -> [CpuBuf<E>; 3] {
    let mut g = CpuBuf::zeros(if before.is_some() { z.len() } else { 0 });
    let moments = Moments::new(size, before, before.map(|_| &mut g[..]));
    let pieces: Vec<_> = z.chunks_mut(piece * size.channels).enumerate().collect();
    for (index, pixels) in pieces.into_iter().rev() {
        moments.finish(index * piece, pixels);
    }
    let (mean, variance) = moments.into_statistics();
    if before.is_none() {
        g = CpuBuf::from_vec(z.to_vec());
    }
    [g, mean, variance]
}

/// One case: sizes, activations, with a residual or not, with a kept output or not.
#[derive(Debug, Clone, Copy)]
struct Case {
    #[allow(dead_code, reason = "shown by Debug where a check fails")]
    level: Level,
    size: RowSize,
    tail: Tail,
    residual: bool,
    keep_y: bool,
    piece: usize,
}

fn run<E: CpuReal>(case: Case, worst: &mut f64) {
    let Case { size, tail, .. } = case;
    let (map, len) = (map_size(size), size.rows * size.channels);
    let mut z = values::<E>(len as u64, len);
    let residual = case.residual.then(|| values::<E>(2, len));
    let residual = residual.as_deref();
    let (scale, shift) = (values::<E>(3, size.channels), values::<E>(4, size.channels));
    let [g, mean, variance] = gather(size, tail.before, &mut z, case.piece);
    let exact_g = match tail.before {
        Some(kind) => activation::forward(kind, &wide(&z)),
        None => wide(&z),
    };
    let exact = norm::batch_norm_train(map, &exact_g, &wide(&scale), &wide(&shift), EPS);
    check("g", &case, &g, &exact_g, worst);
    check("mean", &case, &mean, &exact.mean, worst);
    if size.rows > 1 {
        check("variance", &case, &variance, &exact.variance, worst);
    }

    // Forward, from the statistics found.
    let (factor, offset) = factor_and_offset(&mean, &variance, &scale, &shift, EPS);
    let (wf, wo) = (wide(&factor), wide(&offset));
    // With few rows factor and offset may be great and nearly cancel.
    let terms = wo.iter().fold(0.0_f64, |most, offset| most.max(offset.abs()));
    let mut want: Vec<f64> = (0..len)
        .map(|at| exact_g[at] * wf[at % size.channels] + wo[at % size.channels])
        .collect();
    if let Some(residual) = residual {
        want.iter_mut().zip(residual).for_each(|(want, r)| *want += r.wide());
    }
    if let Some(kind) = tail.after {
        want = activation::forward(kind, &want);
    }
    let extended = |y: &[E]| [y, &[E::of(terms)]].concat();
    want.push(terms);
    let mut y = vec![E::nan(); len];
    apply(size, &g, &factor, &offset, residual, tail.after, &mut y);
    check("apply", &case, &extended(&y), &want, worst);
    let mut again = g.to_vec();
    apply_in_place(size, &mut again, &factor, &offset, residual, tail.after);
    assert!(again == y, "in place: {case:?}");
    again.fill(E::nan());
    recall(size, tail, &z, &factor, &offset, residual, &mut again);
    check("recall", &case, &extended(&again), &want, worst);
    let affine = Affine::new(tail, &factor, &offset, residual);
    let mut pieces = z.clone();
    for (index, pixels) in pieces.chunks_mut(case.piece * size.channels).enumerate() {
        affine.finish(index * case.piece, pixels);
    }
    assert!(pieces == again, "pieces: {case:?}");
    if matches!(tail.after, None | Some(Activation::Relu)) {
        let norm = Norm {
            mean: &mean,
            variance: &variance,
            scale: &scale,
            factor: &factor,
            offset: &offset,
        };
        backward(case, &z, &exact_g, &again, residual, norm, worst);
    }
}

struct Norm<'a, E> {
    mean: &'a [E],
    variance: &'a [E],
    scale: &'a [E],
    factor: &'a [E],
    offset: &'a [E],
}

/// The backward passes; the sign of `y`, which is checked above, is taken from it.
fn backward<E: CpuReal>(
    case: Case,
    z: &[E],
    g: &[f64],
    y: &[E],
    residual: Option<&[E]>,
    norm: Norm<'_, E>,
    worst: &mut f64,
) {
    let Case { size, tail, .. } = case;
    let dy = values::<E>(5, z.len());
    let passes = |y: &E| tail.after.is_none() || *y > E::zero();
    let masked: Vec<E> = dy
        .iter()
        .zip(y)
        .map(|(&dy, y)| if passes(y) { dy } else { E::zero() })
        .collect();
    let want = norm::batch_norm_backward(map_size(size), g, &wide(norm.scale), EPS, &wide(&masked));
    let want_dz = match tail.before {
        Some(kind) => activation::backward(kind, &wide(z), &want.dx),
        None => want.dx,
    };
    let saved = Backward {
        size,
        tail,
        z,
        mean: norm.mean,
        factor: norm.factor,
        offset: norm.offset,
        residual,
        y: case.keep_y.then_some(y),
    };
    let (mut dscale, mut dshift) = (vec![E::one(); size.channels], vec![E::one(); size.channels]);
    let sums = saved.reduce(&dy);
    let (average, slope) = sums.into_coefficients(size.rows, norm.variance, EPS, &mut dscale, &mut dshift);
    let plus_one = |values: &[f64]| values.iter().map(|value| value + 1.0).collect::<Vec<_>>();
    check("dshift", &case, &dshift, &plus_one(&want.dshift), worst);
    // With few rows the terms nearly cancel, and what is left is rounding.
    if size.rows > 4 {
        check("dscale", &case, &dscale, &plus_one(&want.dscale), worst);
    }
    let mut in_place = dy.clone();
    saved.gradient(&average, &slope, &mut in_place, None);
    if size.rows > 4 {
        check("dz", &case, &in_place, &want_dz, worst);
    }
    let (mut kept, mut dz) = (dy.clone(), vec![E::nan(); dy.len()]);
    saved.gradient(&average, &slope, &mut kept, Some(&mut dz));
    assert!(kept == masked && dz == in_place, "two buffers: {case:?}");
}

fn cases<E: CpuReal>(level: Level) -> f64 {
    let mut worst = 0.0;
    let mut count = 0;
    for channels in [1, 3, 8, 15, 16, 17, 33, 64, 70, 1100] {
        for rows in [1, 2, 7, 33, 300, 1500] {
            if channels * rows > 120_000 {
                continue;
            }
            for residual in [false, true] {
                for keep_y in [false, true] {
                    let before = KINDS[count % KINDS.len()];
                    let after = if count % 3 == 0 { None } else { Some(Activation::Relu) };
                    count += 1;
                    let piece = 1 + count * 7 % 50;
                    let tail = Tail { before, after };
                    let size = RowSize { rows, channels };
                    run::<E>(
                        Case {
                            level,
                            size,
                            tail,
                            residual,
                            keep_y,
                            piece,
                        },
                        &mut worst,
                    );
                }
            }
        }
    }
    worst
}

#[test]
fn passes_match_the_oracle() {
    for level in Level::available() {
        let single = level.with(|| cases::<f32>(level));
        let double = level.with(|| cases::<f64>(level));
        println!("{level:?}: greatest relative error {single:.1e} in f32, {double:.1e} in f64");
    }
}

#[test]
fn other_activations_at_the_end() {
    let size = RowSize { rows: 40, channels: 5 };
    for level in Level::available() {
        let tail = Tail {
            before: None,
            after: Some(Activation::Gelu),
        };
        let case = Case {
            level,
            size,
            tail,
            residual: true,
            keep_y: false,
            piece: 7,
        };
        level.with(|| run::<f32>(case, &mut 0.0));
    }
}

/// A mean of 1000 standard deviations keeps the variance, also after an activation.
#[test]
fn moments_survive_a_large_mean() {
    let size = RowSize {
        rows: 5000,
        channels: 19,
    };
    for level in Level::available() {
        for before in [None, Some(Activation::Gelu)] {
            let mut z = values::<f32>(8, size.rows * size.channels);
            z.iter_mut().for_each(|z| *z += 1000.0);
            let exact = norm::batch_norm_train(map_size(size), &wide(&z), &[1.0; 19], &[0.0; 19], EPS);
            let [_, mean, variance] = level.with(|| gather(size, before, &mut z, 100));
            let mut worst = 0.0;
            check("mean", &level, &mean, &exact.mean, &mut worst);
            check("variance", &level, &variance, &exact.variance, &mut worst);
            println!("{level:?}, {before:?}: {worst:.1e}");
        }
    }
}

#[test]
fn a_nan_stays_one_through_relu() {
    let size = RowSize { rows: 1, channels: 3 };
    for level in Level::available() {
        let mut y = [f32::NAN, -1.0, 2.0];
        level.with(|| apply_in_place(size, &mut y, &[1.0; 3], &[0.0; 3], None, Some(Activation::Relu)));
        assert!(y[0].is_nan() && y[1..] == [0.0, 2.0], "{level:?}: {y:?}");
    }
}

/// The same bits from any number of threads, and from pieces in any order.
#[test]
fn bits_do_not_depend_on_threads() {
    let size = RowSize {
        rows: 9000,
        channels: 24,
    };
    let tail = Tail {
        before: Some(Activation::Gelu),
        after: Some(Activation::Relu),
    };
    let bits = |threads: usize| {
        with_threads(NonZeroUsize::new(threads).unwrap(), || {
            let mut z = values::<f32>(9, size.rows * size.channels);
            let mut dy = values::<f32>(10, z.len());
            let mut g = vec![0.0; z.len()];
            let moments = Moments::new(size, tail.before, Some(&mut g));
            crate::par::for_rows(&mut z, 24, 50, |first, part| moments.finish(first, part));
            let (mean, variance) = moments.into_statistics();
            let ones = [1.0; 24];
            let (factor, offset) = factor_and_offset(&mean, &variance, &ones, &ones, EPS);
            let (mean, factor, offset) = (&mean[..], &factor[..], &offset[..]);
            let saved = Backward {
                size,
                tail,
                z: &z,
                mean,
                factor,
                offset,
                residual: None,
                y: None,
            };
            let (mut a, mut b) = ([0.0; 24], [0.0; 24]);
            let (average, slope) = saved
                .reduce(&dy)
                .into_coefficients(9000, &variance, EPS, &mut a, &mut b);
            saved.gradient(&average, &slope, &mut dy, None);
            recall(size, tail, &z, factor, offset, None, &mut g);
            let all = [&dy[..], &g, mean, &variance, &a, &b].concat();
            all.iter().map(|value| value.to_bits()).collect::<Vec<_>>()
        })
    };
    let one = bits(1);
    assert!([1, 2, 3, 8].into_iter().all(|threads| bits(threads) == one));
}

/// Gates with and without skip and ReLU, and sums, over images that are cut into pieces too.
#[test]
fn gates_match_the_oracle() {
    for level in Level::available() {
        let mut worst = 0.0;
        for (index, channels) in [1, 3, 15, 16, 17, 33, 64, 70, 1100].into_iter().enumerate() {
            for (batch, height) in [(1, 1), (3, 5), (2, 300), (5, 1)] {
                let width = if index % 2 == 0 { 1 } else { 3 };
                let size = MapSize {
                    batch,
                    height,
                    width,
                    channels,
                };
                for fused in [false, true] {
                    level.with(|| check_gate::<f32>(size, fused, &mut worst));
                    level.with(|| check_gate::<f64>(size, fused, &mut 0.0));
                }
            }
        }
        println!("{level:?}: greatest relative error {worst:.1e}");
    }
}

fn check_gate<E: CpuReal>(size: MapSize, fused: bool, worst: &mut f64) {
    let nchw = |x: &[E]| combine::to_nchw(size, &wide(x));
    let nhwc = |x: &[f64]| combine::to_nhwc(size, x);
    let [u, skip, dy] = [1, 2, 3].map(|seed| values::<E>(seed, size.len()));
    let gates = values::<E>(4, size.batch * size.channels);
    let mut want = nhwc(&combine::gate(size, &nchw(&u), &wide(&gates)));
    let (skip, after) = if fused {
        (Some(&skip[..]), Some(Activation::Relu))
    } else {
        (None, None)
    };
    if let Some(skip) = skip {
        want = activation::forward(Activation::Relu, &combine::add(&want, &wide(skip)));
    }
    let mut y = vec![E::nan(); u.len()];
    gate(size, &u, &gates, skip, after, &mut y);
    check("gate", &size, &y, &want, worst);

    let passes = |y: &E| !fused || *y > E::zero();
    let masked: Vec<E> = dy
        .iter()
        .zip(&y)
        .map(|(&dy, y)| if passes(y) { dy } else { E::zero() })
        .collect();
    let (want_du, want_dgate) = combine::gate_backward(size, &nchw(&u), &wide(&gates), &nchw(&masked));
    let (mut kept, mut du) = (dy.clone(), vec![E::nan(); u.len()]);
    let dgate = gate_gradient(size, &u, &gates, fused.then_some(&y[..]), &mut kept, &mut du);
    check("du", &size, &du, &nhwc(&want_du), worst);
    check("dgate", &size, &dgate, &want_dgate, worst);
    assert!(kept == masked, "dskip: {size:?}");
    let sums: Vec<E> = image_sums(size, &u).iter().map(|&sum| E::of(sum)).collect();
    let ones = vec![1.0; u.len()];
    let (_, want) = combine::gate_backward(size, &nchw(&u), &wide(&gates), &ones);
    check("sums", &size, &sums, &want, worst);
}
