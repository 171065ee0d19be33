//! The `f32` kernels at every level against the oracle.

use super::*;
use ksdsl_engine::size::{MapSize, Window};
use ksdsl_files::random::SplitMix64;
use ksdsl_oracle::combine::{to_nchw, to_nhwc};
use ksdsl_oracle::conv;
use std::sync::atomic::{AtomicUsize, Ordering};

fn kernel<E: CpuReal>(weight: &[E]) -> CpuKernel<E> {
    CpuKernel::new(CpuBuf::from_vec(weight.to_vec()))
}

pub(super) struct Rng(pub(super) SplitMix64);

impl Rng {
    fn between(&mut self, low: usize, high: usize) -> usize {
        low + (self.0.draw() % (high - low + 1) as u64) as usize
    }

    /// Values in [-1, 1).
    pub(super) fn values(&mut self, len: usize) -> Vec<f32> {
        (0..len)
            .map(|_| (self.0.draw() >> 40) as f32 / (1 << 23) as f32 - 1.0)
            .collect()
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// A depthwise convolution whose output is `longer` than PyTorch's by up to one row and column.
pub(super) fn sized(input: MapSize, window: Window, longer: [usize; 2]) -> Option<ConvSize> {
    let outputs = |axis: usize, len: usize| {
        let reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
        let room = (len + 2 * window.pad[axis]).checked_sub(reach)?;
        Some(room / window.stride[axis] + 1 + longer[axis])
    };
    let output = MapSize {
        height: outputs(0, input.height)?,
        width: outputs(1, input.width)?,
        ..input
    };
    Some(ConvSize {
        input,
        output,
        window,
        groups: input.channels,
        algorithm: Default::default(),
        unit: None,
    })
}

pub(super) fn same(batch: usize, side: usize, channels: usize, kernel: usize) -> ConvSize {
    let input = MapSize {
        batch,
        height: side,
        width: side,
        channels,
    };
    let window = Window {
        kernel: [kernel; 2],
        stride: [1; 2],
        pad: [kernel / 2; 2],
        dilation: [1; 2],
    };
    sized(input, window, [0; 2]).unwrap()
}

/// The greatest difference relative to the greatest wanted value (or term of it, `least`), which
/// must be at most 1e-5.
fn check(level: Level, size: &ConvSize, got: &[f32], want: &[f64], least: f64) -> f64 {
    assert_eq!(got.len(), want.len());
    let greatest = want.iter().fold(least, |most, value| most.max(value.abs()));
    let far = |(got, want): (&f32, &f64)| (f64::from(*got) - want).abs() / greatest;
    let worst = got.iter().zip(want).map(far).fold(0.0, f64::max);
    let finite = got.iter().all(|value| value.is_finite());
    assert!(finite && worst <= 1e-5, "{worst:e} off at {level:?} for {size:?}");
    worst
}

/// The forms of a kernel for the forward pass and the data gradient, of every way there is.
pub(super) fn forms(level: Level, size: &ConvSize, weight: &[f32]) -> Vec<[Form; 2]> {
    let form = |way| Form { level, way };
    let (lanes, taps, kernel) = (level.lanes(), taps(size), size.window.kernel);
    let direct = |places: Vec<usize>| form(Way::Direct(blocks(lanes, taps, weight, &places)));
    let strided = form(Way::Strided(strided::weights(lanes, size, weight)));
    let mut all = vec![[direct((0..taps).collect()), strided]];
    if size.window.stride == [1, 1] {
        all.push([direct((0..taps).collect()), direct((0..taps).rev().collect())]);
    }
    if small::takes(size) {
        let small = |places: Vec<usize>| form(Way::Small(blocks(lanes, taps, weight, &places)));
        let backward = match small::takes_gradients(size) {
            true => small((0..taps).rev().collect()),
            false => form(Way::Strided(strided::weights(lanes, size, weight))),
        };
        all.push([small((0..taps).collect()), backward]);
    }
    if toom::takes(&size.window) {
        let toom = |rotated, places: Vec<usize>| {
            let plain = blocks(lanes, taps, weight, &places);
            form(Way::Toom([toom::weights(lanes, kernel, weight, rotated), plain]))
        };
        all.push([toom(false, (0..taps).collect()), toom(true, (0..taps).rev().collect())]);
    }
    all
}

/// Runs all three kernels in all ways and at all levels; returns the greatest relative error of each.
fn against_the_oracle(size: &ConvSize, rng: &mut Rng) -> [f64; 3] {
    let (x, dy) = (rng.values(size.input.len()), rng.values(size.output.len()));
    let channels = size.input.channels;
    let (weight, bias) = (rng.values(channels * taps(size)), rng.values(channels));
    let before = rng.values(weight.len());
    let (wide_x, wide_dy, wide_weight) = (wide(&x), wide(&dy), wide(&weight));
    let want_y = conv::forward(*size, &wide_x, &wide_weight, Some(&wide(&bias)));
    let want_dx = conv::backward_data(*size, &wide_weight, &wide_dy);
    let mut want_dw = conv::backward_weight(*size, &wide_x, &wide_dy);
    // A single weight's gradient may cancel with what was there before.
    let start = before
        .iter()
        .fold(0.0, |most, value| f64::max(most, f64::from(value.abs())));
    want_dw.iter_mut().zip(&before).for_each(|(w, &b)| *w += f64::from(b));
    let (x, dy) = (to_nhwc(size.input, &x), to_nhwc(size.output, &dy));

    let mut worst = [0.0_f64; 3];
    for level in Level::available() {
        for forms in forms(level, size, &weight) {
            // Whatever is not written stays a NaN, which the check finds.
            let mut y = vec![f32::NAN; size.output.len()];
            forward_with(&forms[0], size, &x, Some(&bias), Some(&mut y), None);
            let y = to_nchw(size.output, &y);
            worst[0] = worst[0].max(check(level, size, &y, &want_y, f64::MIN_POSITIVE));
            let mut dx = vec![f32::NAN; size.input.len()];
            backward_data_with(&forms[1], size, &dy, &mut dx, None);
            let dx = to_nchw(size.input, &dx);
            worst[1] = worst[1].max(check(level, size, &dx, &want_dx, f64::MIN_POSITIVE));
        }
        if small::takes_gradients(size) {
            let mut dweight = before.clone();
            small_weight::backward(level, size, &x, &dy, &mut dweight);
            worst[2] = worst[2].max(check(level, size, &dweight, &want_dw, start));
        }
        for toom in [false, true] {
            if !toom || toom::takes(&size.window) {
                let mut dweight = before.clone();
                weight::backward_by(toom, level, size, &x, &dy, &mut dweight);
                worst[2] = worst[2].max(check(level, size, &dweight, &want_dw, start));
            }
        }
    }
    worst
}

fn report(name: &str, errors: impl Iterator<Item = [f64; 3]>) {
    let worst = errors.fold([0.0_f64; 3], |most, next| std::array::from_fn(|i| most[i].max(next[i])));
    println!(
        "{name}: greatest relative error forward {:.1e}, data {:.1e}, weight {:.1e}",
        worst[0], worst[1], worst[2]
    );
}

/// Every tile width and remainder, every tile of taps, blocks of channels with a rest.
#[test]
fn every_remainder_matches_the_oracle() {
    let mut rng = Rng(SplitMix64(1));
    let errors = (1..=17).flat_map(|side| {
        let kernels = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        kernels.map(|kernel| (side, kernel))
    });
    let errors = errors.map(|(side, kernel)| {
        let channels = [1, 3, 8, 15, 16, 17, 24, 33][(side + kernel) % 8];
        let mut size = same(1 + side % 2, side, channels, kernel);
        size.input.height = side.max(18 - side);
        let size = sized(size.input, size.window, [0; 2]).unwrap();
        against_the_oracle(&size, &mut rng)
    });
    report("remainders", errors);
}

/// The windows of the convolutions that halve a map, with all paddings: every rest of rows, every border.
#[test]
fn halving_matches_the_oracle() {
    let mut rng = Rng(SplitMix64(5));
    let sizes = (1..=12).flat_map(|side| [(side, 3), (side, 5)]);
    let sizes = sizes.flat_map(|(side, kernel)| (0..=kernel).map(move |pad| (side, kernel, pad)));
    let sizes = sizes.filter_map(|(side, kernel, pad)| {
        let input = MapSize {
            batch: 2,
            height: side,
            width: 13 - side,
            channels: [1, 15, 16, 40][(side + pad) % 4],
        };
        let window = Window {
            kernel: [kernel; 2],
            stride: [2; 2],
            pad: [pad; 2],
            dilation: [1; 2],
        };
        sized(input, window, [0; 2])
    });
    report("halving", sizes.map(|size| against_the_oracle(&size, &mut rng)));
}

/// Random strides, dilations, paddings (wider than the window too) and longer outputs.
#[test]
fn random_windows_match_the_oracle() {
    let mut rng = Rng(SplitMix64(2));
    let sizes: Vec<ConvSize> = std::iter::from_fn(|| {
        let input = MapSize {
            batch: rng.between(1, 3),
            height: rng.between(1, 20),
            width: rng.between(1, 20),
            channels: rng.between(1, 40),
        };
        let kernel = [rng.between(1, 10), rng.between(1, 10)];
        let one = rng.between(0, 1);
        let window = Window {
            kernel,
            stride: [rng.between(1, 1 + 2 * one), rng.between(1, 1 + 2 * one)],
            pad: [rng.between(0, kernel[0] + 1), rng.between(0, kernel[1] + 1)],
            dilation: [rng.between(1, 3), rng.between(1, 3)],
        };
        Some(sized(input, window, [rng.between(0, 1), rng.between(0, 1)]))
    })
    .flatten()
    .take(250)
    .collect();
    report(
        "windows",
        sizes
            .iter()
            .map(|size| against_the_oracle(size, &mut Rng(SplitMix64(3)))),
    );
}

/// Several bands, parts and tasks; long sums.
#[test]
fn large_maps_match_the_oracle() {
    let sizes = [same(3, 70, 17, 3), same(9, 33, 20, 9), same(5, 32, 48, 5)];
    report(
        "large",
        sizes
            .iter()
            .map(|size| against_the_oracle(size, &mut Rng(SplitMix64(4)))),
    );
}

/// Counts how often each pixel was received, and doubles its values.
struct Count {
    channels: usize,
    seen: Vec<AtomicUsize>,
}

impl<E: CpuReal> Finish<E> for Count {
    fn finish(&self, first: usize, pixels: &mut [E]) {
        assert_eq!(pixels.len() % self.channels, 0, "whole pixels");
        for seen in &self.seen[first..][..pixels.len() / self.channels] {
            seen.fetch_add(1, Ordering::Relaxed);
        }
        pixels.iter_mut().for_each(|value| *value += *value);
    }
}

/// Runs `kernel` without and with a [`Count`] over `map`: every pixel must be received once, when
/// its final values are there.
fn check_finish<E: CpuReal>(map: MapSize, kernel: impl Fn(Option<&dyn Finish<E>>) -> CpuBuf<E>) {
    let (channels, plain) = (map.channels, kernel(None));
    let seen = (0..map.rows()).map(|_| AtomicUsize::new(0)).collect();
    let count = Count { channels, seen };
    let doubled = kernel(Some(&count));
    assert!(count.seen.iter().all(|seen| seen.load(Ordering::Relaxed) == 1));
    assert!(plain.iter().zip(&*doubled).all(|(&one, &two)| one + one == two));
}

fn finish_gets_every_pixel_once<E: CpuReal>(size: &ConvSize) {
    let mut rng = Rng(SplitMix64(6));
    let mut values = |len| -> Vec<E> { wide(&rng.values(len)).into_iter().map(E::of).collect() };
    let (x, dy) = (values(size.input.len()), values(size.output.len()));
    let weight = values(size.input.channels * taps(size));
    for level in Level::available() {
        level.with(|| {
            check_finish(size.output, |finish| forward(size, &x, &kernel(&weight), None, finish));
            check_finish(size.input, |finish| backward_data(size, &kernel(&weight), &dy, finish));
        });
    }
}

#[test]
fn finish_gets_every_pixel_once_when_it_is_done() {
    let input = MapSize {
        batch: 3,
        height: 21,
        width: 19,
        channels: 37,
    };
    for (kernel, stride) in [(1, 1), (3, 1), (3, 2), (9, 1), (5, 3)] {
        let window = Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            pad: [kernel / 2; 2],
            dilation: [1; 2],
        };
        let size = sized(input, window, [0; 2]).unwrap();
        finish_gets_every_pixel_once::<f32>(&size);
        finish_gets_every_pixel_once::<f64>(&size);
    }
}
