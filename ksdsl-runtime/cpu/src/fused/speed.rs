//! Speeds of the passes, printed on request: memory bandwidth, and cycles of the activations.

use super::*;
use crate::simd::Level;
use crate::{CpuBuf, activation, par};
use ksdsl_engine::size::{Activation, RowSize, Tail};
use std::time::Instant;

const SIZE: RowSize = RowSize {
    rows: 64 * 32 * 32,
    channels: 64,
};

/// The least and the median of 21 runs, in milliseconds.
fn times(mut run: impl FnMut()) -> [f64; 2] {
    let mut times: Vec<f64> = (0..21)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    [times[0], times[10]]
}

fn report(name: &str, maps: usize, run: impl FnMut()) {
    let [least, median] = times(run);
    let bytes = (maps * SIZE.rows * SIZE.channels * 4) as f64;
    println!(
        "{name:<30} {maps} maps: {median:6.2} ms, {:5.1} GB/s; least {least:6.2} ms",
        bytes / median / 1e6
    );
}

/// Values in [-2, 2).
fn values(seed: u32, len: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 22) as f32 - 2.0
    };
    (0..len).map(|_| next()).collect()
}

#[test]
#[ignore = "prints speeds, checks nothing"]
fn fused_speed() {
    let len = SIZE.rows * SIZE.channels;
    let [z, g, residual] = [1, 2, 3].map(|seed| values(seed, len));
    let [mut y, mut dy, mut dz] = [4, 5, 6].map(|seed| values(seed, len));
    let [mean, factor, offset] = [7, 8, 9].map(|seed| values(seed, SIZE.channels));
    report("copy", 2, || {
        par::for_rows(&mut y, 1, par::ELEMENTS_PER_TASK, |first, part| {
            part.copy_from_slice(&z[first..first + part.len()]);
        });
    });
    report("statistics", 1, || drop(statistics(SIZE, &z)));
    report("apply", 2, || apply(SIZE, &g, &factor, &offset, None, None, &mut y));
    let relu = Some(Activation::Relu);
    report("apply, residual, relu", 3, || {
        apply(SIZE, &g, &factor, &offset, Some(&residual), relu, &mut y)
    });
    report("apply in place, relu", 2, || {
        apply_in_place(SIZE, &mut dz, &factor, &offset, None, relu)
    });
    let kept = y.clone();
    for before in [None, Some(Activation::Gelu)] {
        for (name, tail, residual, output) in [
            ("no activation", Tail { before, after: None }, None, None),
            ("relu", Tail { before, after: relu }, None, None),
            (
                "relu, residual",
                Tail { before, after: relu },
                Some(&residual[..]),
                None,
            ),
            ("relu, y", Tail { before, after: relu }, None, Some(&kept[..])),
        ] {
            let name = format!("{before:?}, {name}");
            let maps = 2 + usize::from(residual.is_some() || output.is_some());
            let (mean, factor, offset, z) = (&mean[..], &factor[..], &offset[..], &z[..]);
            let saved = Backward {
                size: SIZE,
                tail,
                z,
                mean,
                factor,
                offset,
                residual,
                y: output,
            };
            report(&format!("recall {name}"), 2, || {
                recall(SIZE, tail, z, factor, offset, None, &mut y)
            });
            report(&format!("reduce {name}"), maps, || drop(saved.reduce(&dy)));
            report(&format!("gradient {name}"), maps + 1, || {
                saved.gradient(mean, factor, &mut dy, None)
            });
            dy.copy_from_slice(&g);
            report(&format!("gradient 2 {name}"), maps + 2, || {
                saved.gradient(mean, factor, &mut dy, Some(&mut dz))
            });
            dy.copy_from_slice(&g);
        }
    }
}

/// Cycles per vector of data in the L1 cache, at 3.5 GHz; pin it to one CPU.
#[test]
#[ignore = "prints speeds, checks nothing"]
fn function_speed() {
    let x = values(1, 2048);
    let (mut y, mut slopes) = (x.clone(), x.clone());
    for level in Level::available() {
        for kind in [
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::Silu,
            Activation::Sigmoid,
        ] {
            let vectors = 1000.0 * (x.len() / level.lanes()) as f64;
            let value = times(|| {
                for _ in 0..1000 {
                    // SAFETY: as long as each other.
                    unsafe { function::values(level, kind, x.as_ptr(), y.as_mut_ptr(), x.len(), x.as_ptr()) };
                }
            });
            let both = times(|| {
                for _ in 0..1000 {
                    let (y, slopes) = (y.as_mut_ptr(), slopes.as_mut_ptr());
                    // SAFETY: as long as each other.
                    unsafe { function::values_and_slopes(level, kind, x.as_ptr(), y, slopes, x.len(), x.as_ptr()) };
                }
            });
            let cycles = [value[0], both[0]].map(|time| time * 3.5e6 / vectors);
            println!(
                "{level:?} {kind:?}: {:.1} cycles per vector, {:.1} with the slope",
                cycles[0], cycles[1]
            );
        }
    }
    let map = CpuBuf::from_vec(values(2, 1 << 22));
    for kind in [Activation::Relu, Activation::Gelu] {
        let time = times(|| drop(activation::activation_forward(kind, map.clone())));
        println!("{kind:?}, unfused, 16 MiB and a copy: {:.2} ms", time[1]);
    }
}
