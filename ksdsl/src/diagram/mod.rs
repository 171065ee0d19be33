//! Pictures of networks: stages and blocks as boxes, repetitions folded, shared kernels in colour.
//!
//! `tree` folds the network, `layout` gives everything its place, by the widths of `measure`, and `svg` writes it.
//! Nothing depends on fonts or on the machine, so the same network gives the same bytes.

mod alike;
mod kernels;
mod layout;
mod mark;
mod measure;
#[cfg(feature = "png")]
mod png;
mod svg;
mod theme;
mod tree;
mod words;

use crate::ir::Network;
#[cfg(feature = "png")]
pub use png::png;
use std::fmt;
pub use theme::Theme;

/// How a network is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The colours of the surface.
    pub theme: Theme,
    /// How many stages, blocks and repetitions inside each other are opened.
    pub depth: usize,
    /// The most boxes and shared kernels.
    pub max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            theme: Theme::Auto,
            depth: usize::MAX,
            max: 1000,
        }
    }
}

/// A network with more boxes than a picture may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// How many boxes and shared kernels it has.
    pub boxes: usize,
    /// How many it may have.
    pub max: usize,
    /// The largest depth at which it has no more, and how many it has there.
    pub depth: Option<(usize, usize)>,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooLarge { boxes, max, .. } = self;
        write!(
            f,
            "the picture would have {boxes} boxes and shared kernels, more than {max}"
        )
    }
}

impl std::error::Error for TooLarge {}

/// The most levels that are tried to find a depth that fits.
const LEVELS: usize = 64;

/// Draws a network as SVG.
///
/// # Errors
/// If it has more boxes than the picture may have.
pub fn svg(network: &Network, options: &Options) -> Result<String, TooLarge> {
    let kernels: usize = network.groups.iter().map(|group| group.kernels as usize).sum();
    let boxes = |depth| kernels + tree::boxes(&tree::fold(network, depth));
    let items = tree::fold(network, options.depth);
    let count = kernels + tree::boxes(&items);
    if count > options.max {
        let fitting = (0..LEVELS.min(options.depth)).map_while(|depth| {
            let count = boxes(depth);
            (count <= options.max).then_some((depth, count))
        });
        return Err(TooLarge {
            boxes: count,
            max: options.max,
            depth: fitting.last(),
        });
    }
    let words = words::Words::new(network);
    let picture = layout::picture(&words, &items);
    let style = theme::style(options.theme, [kernels, network.values.len()]);
    Ok(svg::document(picture.size, &network.name, &style, &picture.marks))
}
