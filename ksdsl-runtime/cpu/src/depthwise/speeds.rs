//! Speeds of the ways of depthwise convolutions against each other, which the rules rest on.

use super::tests::{Rng, forms, same, sized};
use super::*;
use ksdsl_files::random::SplitMix64;

/// What this thread has run so far: other processes do not count, as they would by the clock.
#[cfg(target_os = "linux")]
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The clock, where the time of a thread is not available.
#[cfg(not(target_os = "linux"))]
fn cpu_seconds() -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// The median over pairs of runs of `old`'s time over `new`'s, and the quartiles.
fn paired(mut old: impl FnMut(), mut new: impl FnMut()) -> String {
    let time = |run: &mut dyn FnMut()| {
        let start = cpu_seconds();
        (0..4).for_each(|_| run());
        cpu_seconds() - start
    };
    let mut ratios: Vec<f64> = (0..41).map(|_| time(&mut old) / time(&mut new)).collect();
    ratios.sort_by(f64::total_cmp);
    format!("{:.2} ({:.2} to {:.2})", ratios[20], ratios[10], ratios[30])
}

/// The direct way's time over Toom-Cook's, for one image: what the rules rest on.
#[test]
#[ignore = "prints speeds, checks nothing"]
fn toom_against_direct() {
    let sizes = [5, 7, 9, 11].into_iter().flat_map(|kernel| {
        let maps = [(32, 128), (16, 128), (12, 128), (7, 128)];
        maps.map(|(side, channels)| same(1, side, channels, kernel))
    });
    for size in sizes {
        let mut rng = Rng(SplitMix64(7));
        let (x, dy) = (rng.values(size.input.len()), rng.values(size.output.len()));
        let weight = rng.values(size.input.channels * taps(&size));
        let [mut y, mut z] = [0; 2].map(|_| vec![0.0_f32; size.output.len()]);
        let [mut dw, mut dv] = [0; 2].map(|_| weight.clone());
        println!("{:?}, kernel {:?}", size.input, size.window.kernel);
        for level in Level::available() {
            let forms = forms(level, &size, &weight);
            let toom = forms.len() - 1;
            let forward = paired(
                || forward_with(&forms[1][0], &size, &x, None, Some(&mut y), None),
                || forward_with(&forms[toom][0], &size, &x, None, Some(&mut z), None),
            );
            let weight = paired(
                || weight::backward_by(false, level, &size, &x, &dy, &mut dw),
                || weight::backward_by(true, level, &size, &x, &dy, &mut dv),
            );
            println!("  {level:?}: forward {forward}, weight {weight}");
        }
    }
}

/// The time by way of planes over that straight from the map: what the rule of small windows rests on.
#[test]
#[ignore = "prints speeds, checks nothing"]
fn small_against_planes() {
    let maps = [
        (1, 32, 256),
        (8, 32, 256),
        (8, 16, 128),
        (8, 8, 256),
        (8, 4, 512),
        (2, 28, 96),
        (8, 32, 32),
    ];
    let windows = [(1, 1), (3, 1), (5, 1), (3, 2), (5, 2)];
    for ((kernel, stride), (batch, side, channels)) in windows.into_iter().flat_map(|k| maps.map(|map| (k, map))) {
        let mut size = same(batch, side, channels, kernel);
        size.window.stride = [stride; 2];
        let size = sized(size.input, size.window, [0; 2]).unwrap();
        let mut rng = Rng(SplitMix64(8));
        let (x, dy) = (rng.values(size.input.len()), rng.values(size.output.len()));
        let weight = rng.values(size.input.channels * taps(&size));
        let [mut y, mut z] = [0; 2].map(|_| vec![0.0_f32; size.output.len()]);
        let [mut dw, mut dv] = [0; 2].map(|_| weight.clone());
        for level in Level::available() {
            let forms = forms(level, &size, &weight);
            let [planes, small] = [1, 2].map(|way: usize| &forms[way - (stride - 1)]);
            let forward = paired(
                || forward_with(&planes[0], &size, &x, None, Some(&mut y), None),
                || forward_with(&small[0], &size, &x, None, Some(&mut z), None),
            );
            print!("{kernel}x{kernel} by {stride} {batch}x{side}x{side}x{channels} {level:?}: forward {forward}");
            if stride > 1 {
                println!();
                continue;
            }
            let data = paired(
                || backward_data_with(&planes[1], &size, &dy, &mut y, None),
                || backward_data_with(&small[1], &size, &dy, &mut z, None),
            );
            let weight = paired(
                || weight::backward_by(false, level, &size, &x, &dy, &mut dw),
                || small_weight::backward(level, &size, &x, &dy, &mut dv),
            );
            println!(", data {data}, weight {weight}");
        }
    }
}
