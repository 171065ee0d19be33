//! Kernels packed for the pass they are used in.

use super::lines::{Lines, blocks, blocks_len};
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

/// Whether to use Toom-Cook for a map of this width: as the size asks for, or by the heuristic.
fn toom(level: Level, size: &ConvSize, width: usize) -> bool {
    match size.algorithm {
        Algorithm::Auto | Algorithm::Training => toom_pays(level, &size.window, width),
        Algorithm::ToomCook => toom::takes(&size.window),
        Algorithm::Direct | Algorithm::Winograd => false,
    }
}

/// Whether Toom-Cook's way is faster than the direct one, measured in paired runs on one core
/// (`depthwise::speeds::toom_against_direct`): rows of up to eight taps, or few rows, leave more to the
/// transformations than they save; narrow maps waste too much of the last tile; and 16 registers hold
/// too small a tile for a gain.
fn toom_pays(level: Level, window: &Window, width: usize) -> bool {
    let [height, taps] = window.kernel;
    level == Level::Avx512 && toom::takes(window) && height >= 7 && taps >= 9 && width >= 12
}

/// Which [`Way`] is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Direct,
    Small,
    Toom,
    Strided,
}

/// The way of the forward pass, or of the data gradient.
pub(super) fn kind(level: Level, size: &ConvSize, backward: bool) -> Kind {
    let width = if backward { size.input.width } else { size.output.width };
    if backward && size.window.stride != [1, 1] {
        Kind::Strided
    } else if toom(level, size, width) {
        Kind::Toom
    } else if small::pays(level, size) {
        Kind::Small
    } else {
        Kind::Direct
    }
}

/// Values of each of the parts of a form.
pub(super) fn lengths(level: Level, size: &ConvSize, backward: bool) -> Vec<usize> {
    let (lanes, channels) = (level.lanes(), size.input.channels);
    let of_taps = |taps| blocks_len(lanes, channels, taps);
    match kind(level, size, backward) {
        Kind::Direct | Kind::Small => vec![of_taps(taps(size))],
        Kind::Toom => {
            let points = toom::weights_len(lanes, size.window.kernel, channels);
            vec![points, of_taps(taps(size))]
        }
        Kind::Strided => strided::phase_taps(size).map(of_taps).collect(),
    }
}

impl Form {
    /// For the forward pass, at the level in force; `weight` is `[channel][ky][kx]`.
    pub(crate) fn forward(size: &ConvSize, weight: &[f32]) -> Self {
        Self::new(size, weight, false)
    }

    /// For the data gradient: with stride 1 the kernel rotated by 180 degrees.
    pub(crate) fn backward_data(size: &ConvSize, weight: &[f32]) -> Self {
        Self::new(size, weight, true)
    }

    fn new(size: &ConvSize, weight: &[f32], backward: bool) -> Self {
        let (level, taps) = (Level::current(), taps(size));
        let lanes = level.lanes();
        let place = |tap| if backward { taps - 1 - tap } else { tap };
        let plain = || {
            let places: Vec<usize> = (0..taps).map(place).collect();
            blocks(lanes, taps, weight, &places)
        };
        let way = match kind(level, size, backward) {
            Kind::Direct => Way::Direct(plain()),
            Kind::Small => Way::Small(plain()),
            Kind::Toom => Way::Toom([toom::weights(lanes, size.window.kernel, weight, backward), plain()]),
            Kind::Strided => Way::Strided(strided::weights(lanes, size, weight)),
        };
        Self { level, way }
    }
}
