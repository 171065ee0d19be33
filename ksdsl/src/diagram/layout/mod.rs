//! Where everything stands. The flow is from top to bottom; x is 0 on the axis, where it enters and leaves.

mod columns;
mod frame;
mod join;
mod leaf;
mod legend;
mod sequence;
mod tags;

use super::mark::{Area, Mark, Text, at};
use super::tree::Item;
use super::words::Words;
use frame::FrameBox;
use leaf::Leaf;

/// Sizes of text: of layers, of what is said besides, of titles of pictures.
const SIZE: f64 = 12.0;
const SMALL: f64 = 10.5;
const LARGE: f64 = 18.0;
/// The height of a line of text.
const LINE: f64 = 16.0;
/// Around the picture.
const MARGIN: f64 = 24.0;
/// Between the picture and the legend.
const APART: f64 = 32.0;

/// Heights of columns that are tried.
const LIMITS: [f64; 9] = [
    900.0,
    1080.0,
    1300.0,
    1600.0,
    2000.0,
    2600.0,
    3600.0,
    5200.0,
    f64::INFINITY,
];
/// The ratio of width to height that pictures should have.
const RATIO: f64 = 1.3;
/// The width above which a picture needs a wide screen.
const WIDE: f64 = 1600.0;

/// What has its place: as far as it reaches to the left and right of the axis.
#[derive(Default)]
struct Laid {
    left: f64,
    right: f64,
    height: f64,
    marks: Vec<Mark>,
}

/// How the flow reaches a part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// By an arrow.
    Arrow,
    /// By a line that goes on inside it.
    Line,
    /// Not at all: it has its value from elsewhere.
    Nothing,
}

/// A part of a flow, before it is known how wide its neighbours are.
enum Part {
    Leaf(Box<Leaf>),
    Frame(Box<FrameBox>),
    Other(Entry, Laid),
}

/// A picture.
pub(super) struct Picture {
    pub(super) size: [f64; 2],
    pub(super) marks: Vec<Mark>,
}

/// Lays out a network, in the columns that suit it best.
pub(super) fn picture(words: &Words<'_>, items: &[Item<'_>]) -> Picture {
    let mut best: Option<(f64, Picture)> = None;
    for limit in LIMITS {
        let picture = with_legend(words, whole(words, items, limit));
        let cost = cost(picture.size);
        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
            best = Some((cost, picture));
        }
    }
    match best {
        Some((_, picture)) => picture,
        None => unreachable!("at least one limit is tried"),
    }
}

/// How far a size is from what a reader can see at once.
fn cost([width, height]: [f64; 2]) -> f64 {
    let ratio = (width / height / RATIO).ln().abs();
    ratio + (width / WIDE - 1.0).max(0.0)
}

/// The flow from the inputs to the outputs.
fn whole(words: &Words<'_>, items: &[Item<'_>], limit: f64) -> Laid {
    let layout = Layout { words, limit };
    let parts = layout.parts(items, &layout.network_input());
    layout.inner(parts, limit).laid
}

/// The picture with its title above and its shared kernels beside or below.
fn with_legend(words: &Words<'_>, flow: Laid) -> Picture {
    let heading = legend::heading(words);
    let top = MARGIN + heading.height;
    let width = flow.left + flow.right;
    let legend = legend::kernels(words, flow.height, width);
    let beside = legend.beside;
    let legend_size = legend.laid.as_ref().map_or([0.0; 2], |laid| [laid.right, laid.height]);
    let mut marks = vec![
        at(MARGIN, MARGIN, heading.marks),
        at(MARGIN + flow.left, top, flow.marks),
    ];
    let (mut right, mut bottom) = (width, flow.height);
    if let Some(laid) = legend.laid {
        let [x, y] = if beside {
            [width + APART, 0.0]
        } else {
            [0.0, flow.height + APART]
        };
        marks.push(at(MARGIN + x, top + y, laid.marks));
        right = right.max(x + legend_size[0]);
        bottom = bottom.max(y + legend_size[1]);
    }
    Picture {
        size: [2.0 * MARGIN + right.max(heading.right), top + bottom + MARGIN],
        marks,
    }
}

/// Lays out parts of a network.
struct Layout<'w, 'n> {
    words: &'w Words<'n>,
    /// The height at which flows go on in a further column.
    limit: f64,
}

/// Text that is centred in an area.
fn centred(area: Area, size: f64, runs: Vec<(&'static str, String)>) -> Mark {
    let middle = [area.x + area.width / 2.0, area.y + area.height / 2.0];
    Text::mark(middle, size, super::mark::Anchor::Middle, runs)
}
