//! Kernels packed for the pass they are used in.

use super::lines::{Lines, blocks};
use super::{small, strided, taps, toom};
use crate::simd::Level;
use ksdsl_engine::size::{Algorithm, ConvSize, Window};

/// A kernel packed for one pass, at one level, for convolutions of one window and number of
/// channels. It can be kept for as long as the weights stay the same: a kernel with several visits
/// is packed once for all of them.
pub(crate) struct Form {
    pub(super) level: Level,
    pub(super) way: Way,
}

/// How the convolution is computed, with the weights in the order it takes.
pub(super) enum Way {
    /// See [`super::rows`]: `[block][ky][kx][lane]`.
    Direct(Lines),
    /// See [`small`]: as `Direct`.
    Small(Lines),
    /// See [`super::toom`], and the weights as `Direct` for the parts that it is not fit for.
    Toom([Lines; 2]),
    /// See [`strided`]: of each phase `[block][ky][kx][lane]`.
    Strided(Vec<Lines>),
}

/// Whether to use Toom-Cook for a map of this width: as the specification sets, or by the heuristic.
fn toom(level: Level, size: &ConvSize, width: usize) -> bool {
    match size.algorithm {
        Algorithm::Auto | Algorithm::Training => toom_pays(level, &size.window, width),
        Algorithm::ToomCook => toom::takes(&size.window),
        Algorithm::Direct | Algorithm::Winograd => false,
    }
}

/// Whether Toom-Cook's way is faster than the direct one, measured in paired runs on one core
/// (`depthwise::tests::toom_against_direct`): rows of up to eight taps, or few rows, leave more to the
/// transformations than they save; narrow maps waste too much of the last tile; and 16 registers hold
/// too small a tile for a gain.
fn toom_pays(level: Level, window: &Window, width: usize) -> bool {
    let [height, taps] = window.kernel;
    level == Level::Avx512 && toom::takes(window) && height >= 7 && taps >= 9 && width >= 12
}

/// The direct way for these sizes, with the weights that both take.
fn direct(level: Level, size: &ConvSize, weight: Lines) -> Way {
    if small::pays(level, size) {
        Way::Small(weight)
    } else {
        Way::Direct(weight)
    }
}

impl Form {
    /// For the forward pass, at the level in force; `weight` is `[channel][ky][kx]`.
    pub(crate) fn forward(size: &ConvSize, weight: &[f32]) -> Self {
        let level = Level::current();
        let window = &size.window;
        let places: Vec<usize> = (0..taps(size)).collect();
        let plain = blocks(level.lanes(), taps(size), weight, &places);
        let way = if toom(level, size, size.output.width) {
            Way::Toom([toom::weights(level.lanes(), window.kernel, weight, false), plain])
        } else {
            direct(level, size, plain)
        };
        Self { level, way }
    }

    /// For the data gradient: with stride 1 the kernel rotated by 180 degrees.
    pub(crate) fn backward_data(size: &ConvSize, weight: &[f32]) -> Self {
        let level = Level::current();
        let window = &size.window;
        if window.stride != [1, 1] {
            let way = Way::Strided(strided::weights(level.lanes(), size, weight));
            return Self { level, way };
        }
        let places: Vec<usize> = (0..taps(size)).rev().collect();
        let plain = blocks(level.lanes(), taps(size), weight, &places);
        let way = if toom(level, size, size.input.width) {
            Way::Toom([toom::weights(level.lanes(), window.kernel, weight, true), plain])
        } else {
            direct(level, size, plain)
        };
        Self { level, way }
    }
}
