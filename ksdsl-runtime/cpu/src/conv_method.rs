//! Which algorithm a convolution runs on.

use super::{scoped, winograd};
use crate::real::CpuReal;
use ksdsl_engine::size::{Algorithm, ConvSize, LinearSize, MapSize};
use std::any::TypeId;
use std::cell::Cell;

/// How a convolution is computed.
#[derive(Clone, Copy, Debug)]
pub(super) enum ConvMethod {
    /// As a linear layer over the pixels.
    Pointwise(LinearSize),
    /// One channel at a time.
    Depthwise,
    /// As a matrix product with the unrolled input.
    Unrolled,
    /// 3x3 by F(4x4, 3x3).
    Winograd,
}

/// What to do with convolutions that Winograd's algorithm can take. It overrides the algorithm that a
/// [`ConvSize`] asks for, which overrides the heuristic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WinogradChoice {
    /// Use Winograd where measurements show a gain, in `f32` only.
    #[default]
    WhereItPays,
    /// Use it wherever it can be used, also in `f64`.
    Always,
    /// Compute the convolution directly.
    Never,
}

thread_local! {
    static CHOICE: Cell<WinogradChoice> = const { Cell::new(WinogradChoice::WhereItPays) };
}

/// Runs `f`; convolutions called from it, on this thread, follow `choice` instead of the heuristic.
///
/// A training step's backward pass follows the choice in force when it runs.
pub fn with_winograd<R>(choice: WinogradChoice, f: impl FnOnce() -> R) -> R {
    scoped::with_value(&CHOICE, choice, f)
}

/// The work of a pass in multiply-adds; reading a weight takes as long as many of them, where each serves few pixels.
pub(super) fn work(size: &ConvSize) -> usize {
    const READING: usize = 16;
    let taps: usize = size.window.kernel.iter().product();
    let weights = taps * size.input.channels / size.groups.max(1) * size.output.channels;
    let pixels = size.output.rows();
    weights.saturating_mul(pixels + READING)
}

/// The convolution as a linear layer over the pixels, if it is one.
pub(super) fn pointwise(size: &ConvSize) -> Option<LinearSize> {
    let window = &size.window;
    let same_map = (size.input.height, size.input.width) == (size.output.height, size.output.width);
    let unit = window.kernel == [1, 1] && window.stride == [1, 1] && window.pad == [0, 0];
    (size.groups == 1 && unit && same_map).then(|| LinearSize {
        rows: size.input.rows(),
        inputs: size.input.channels,
        outputs: size.output.channels,
    })
}

/// The algorithm for the convolution and for both its gradients.
pub(super) fn method<E: CpuReal>(size: &ConvSize) -> ConvMethod {
    if let Some(linear) = pointwise(size) {
        return ConvMethod::Pointwise(linear);
    }
    let choice = CHOICE.get();
    let requested = choice == WinogradChoice::WhereItPays && size.algorithm == Algorithm::Winograd;
    if requested && winograd::takes(size) {
        return ConvMethod::Winograd;
    }
    if size.groups == size.input.channels && size.groups == size.output.channels {
        return ConvMethod::Depthwise;
    }
    let pays = || TypeId::of::<E>() == TypeId::of::<f32>() && winograd_pays(&size.for_rules());
    let winograd = match (choice, size.algorithm) {
        (WinogradChoice::Always, _) => true,
        (WinogradChoice::WhereItPays, Algorithm::Auto) => pays(),
        (WinogradChoice::WhereItPays, Algorithm::Training) => !is_rough(&size.output) && pays(),
        _ => false,
    };
    if winograd && winograd::takes(size) {
        return ConvMethod::Winograd;
    }
    ConvMethod::Unrolled
}

/// Fewest pixels of an output of a training pass by F(4x4, 3x3).
const ROUGH_ROWS: usize = 4096;
/// Fewest pixels of such an output times images: of a batch of fewer than 64 images more pixels, 65,536 of 4.
const ROUGH_PRODUCT: usize = 64 * ROUGH_ROWS;

/// Whether the error of F(4x4, 3x3), whose root mean square is 4 to 8 times the direct one's, is too large for an
/// output of a training pass. So many more values pass a ReLU that should not, or do not though they should.
/// Where a norm is over `n` values, one of them changes the gradients by about `1 / sqrt(n)`: a rare but great error
/// over few values, a small part of the usual rounding over many. The next norm is over the pixels of this output; those
/// that its error reaches later are over smaller maps, down to a pixel for each image. Hence both numbers count
/// (`tests/parity/deep.py`: the second layer of Xception, on 4 maps of 32x32).
fn is_rough(output: &MapSize) -> bool {
    let pixels = output.rows();
    pixels < ROUGH_ROWS || pixels * output.batch < ROUGH_PRODUCT
}

/// Whether F(4x4, 3x3) is faster than unrolling, measured with AVX-512 of a Zen 4 on two cores in paired runs
/// (`benches/kernels.rs` repeats them).
///
/// - The tiles must be filled at least half: of the saving of 4, less than 2 would be left, and the
///   transforms take that.
/// - The products must outweigh the transforms: 36 `tiles in out` against about
///   36 `tiles (in + out)`; 16 channels pay from 256 tiles on, 24 from 64 on, 32 from 4 on.
///
/// That a kernel is transformed is not counted: that happens once for all its visits.
fn winograd_pays(size: &ConvSize) -> bool {
    let (input, output) = (&size.input, &size.output);
    let tiles = output.batch * output.height.div_ceil(4) * output.width.div_ceil(4);
    let least_tiles = match input.channels.min(output.channels) {
        0..16 => return false,
        16..24 => 256,
        24..32 => 64,
        _ => 4,
    };
    tiles >= least_tiles && output.rows() >= tiles * 8
}

#[cfg(test)]
mod tests {
    use super::{ConvMethod, WinogradChoice, method, with_winograd};
    use ksdsl_engine::size::{Algorithm, ConvSize, MapSize, Window};

    fn conv(batch: usize, side: usize, channels: usize) -> ConvSize {
        let map = MapSize {
            batch,
            height: side,
            width: side,
            channels,
        };
        let window = Window {
            kernel: [3; 2],
            stride: [1; 2],
            pad: [1; 2],
            dilation: [1; 2],
        };
        ConvSize {
            input: map,
            output: map,
            window,
            groups: 1,
            algorithm: Default::default(),
            unit: None,
        }
    }

    #[test]
    fn the_rule_is_what_was_measured() {
        let winograd = |batch, side, channels| {
            let method = method::<f32>(&conv(batch, side, channels));
            matches!(method, ConvMethod::Winograd)
        };
        // The layers of SE-ResNet, training and latency.
        assert!(winograd(64, 32, 64) && winograd(64, 16, 128) && winograd(64, 8, 256));
        assert!(winograd(1, 32, 64) && winograd(1, 16, 128) && winograd(1, 8, 256));
        // Few channels, few tiles, tiles mostly empty.
        assert!(winograd(64, 8, 16) && !winograd(64, 4, 16) && !winograd(64, 32, 8));
        assert!(winograd(64, 4, 32) && winograd(1, 8, 32) && !winograd(1, 4, 32));
        assert!(winograd(1, 32, 24) && !winograd(1, 28, 24) && !winograd(1, 32, 16));
        assert!(winograd(64, 7, 64) && !winograd(64, 5, 64) && !winograd(64, 2, 64));
    }

    /// Outputs of a training pass, of few pixels and of many.
    ///
    /// Elsewhere: <https://github.com/uxlfoundation/oneDNN/issues/748>,
    /// <https://github.com/openvinotoolkit/openvino/pull/21623>
    #[test]
    fn small_maps_are_accurate_in_training() {
        let winograd = |batch, side| {
            let size = conv(batch, side, 64);
            assert!(matches!(method::<f32>(&size), ConvMethod::Winograd));
            matches!(method::<f32>(&size.in_training()), ConvMethod::Winograd)
        };
        assert!(winograd(64, 8) && winograd(32, 16) && winograd(16, 32) && winograd(4, 128));
        assert!(!winograd(63, 8) && !winograd(31, 16) && !winograd(15, 32) && !winograd(4, 127));
        // What was chosen stays.
        let chosen = ConvSize {
            algorithm: Algorithm::Winograd,
            ..conv(1, 8, 64)
        };
        assert!(matches!(method::<f32>(&chosen.in_training()), ConvMethod::Winograd));
    }

    /// The choice at run time, then the size, then the heuristic.
    #[test]
    fn the_choice_at_run_time_goes_before_the_size() {
        use WinogradChoice::{Always, Never, WhereItPays};
        // The rule takes Winograd for the first, not for the second.
        for (size, rule) in [(conv(64, 32, 64), true), (conv(1, 4, 8), false)] {
            let taken = |algorithm, choice| {
                let size = ConvSize { algorithm, ..size };
                let methods = with_winograd(choice, || [method::<f32>(&size), method::<f64>(&size)]);
                methods.map(|method| matches!(method, ConvMethod::Winograd))
            };
            assert_eq!(taken(Algorithm::Auto, WhereItPays), [rule, false]);
            assert_eq!(taken(Algorithm::Winograd, WhereItPays), [true; 2]);
            assert_eq!(taken(Algorithm::Direct, WhereItPays), [false; 2]);
            for algorithm in [Algorithm::Auto, Algorithm::Winograd, Algorithm::Direct] {
                assert_eq!(taken(algorithm, Always), [true; 2]);
                assert_eq!(taken(algorithm, Never), [false; 2]);
            }
        }
        // One channel is depthwise by default.
        let mut one = conv(1, 8, 1);
        assert!(matches!(method::<f32>(&one), ConvMethod::Depthwise));
        one.algorithm = Algorithm::Winograd;
        assert!(matches!(method::<f32>(&one), ConvMethod::Winograd));
    }

    #[test]
    fn what_the_algorithm_cannot_do_is_unrolled() {
        let plain = conv(64, 32, 64);
        let with = |change: &dyn Fn(&mut ConvSize)| {
            let mut size = plain;
            change(&mut size);
            let method = with_winograd(WinogradChoice::Always, || method::<f32>(&size));
            matches!(method, ConvMethod::Unrolled)
        };
        assert!(!with(&|_| ()));
        assert!(with(&|size| size.window.stride = [1, 2]));
        assert!(with(&|size| size.window.dilation = [2, 1]));
        assert!(with(&|size| size.window.kernel = [3, 5]));
        assert!(with(&|size| size.window.pad = [3, 1]));
        assert!(with(&|size| size.groups = 2));
        assert!(matches!(method::<f64>(&plain), ConvMethod::Unrolled));
    }
}
