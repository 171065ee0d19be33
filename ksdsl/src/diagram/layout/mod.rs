//! Where everything stands. The flow is from top to bottom; x is 0 on the axis, where it enters and leaves.

mod columns;
mod frame;
mod join;
mod leaf;
mod legend;
mod sequence;
mod tags;
mod visits;

use super::mark::{Area, Mark, Text, at};
use super::tree::Item;
use super::words::Words;
use frame::FrameBox;
use leaf::Leaf;
use sequence::Flow;
use visits::Visits;

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
    let laid = |limit, lines| with_legend(words, whole(words, items, limit), lines);
    let costs = LIMITS.map(|limit| (cost(laid(limit, false).size), limit));
    let best = costs.into_iter().min_by(|(a, _), (b, _)| a.total_cmp(b));
    match best {
        Some((_, limit)) => laid(limit, true),
        None => unreachable!("at least one limit is tried"),
    }
}

/// How far a size is from what a reader can see at once.
fn cost([width, height]: [f64; 2]) -> f64 {
    let ratio = (width / height / RATIO).ln().abs();
    ratio + (width / WIDE - 1.0).max(0.0)
}

/// The flow from the inputs to the outputs.
fn whole(words: &Words<'_>, items: &[Item<'_>], limit: f64) -> Flow {
    let layout = Layout { words, limit };
    let parts = layout.parts(items, &layout.network_input());
    layout.flow(parts, limit, visits::room(words.network))
}

/// The picture with its title above, its shared kernels beside or below, and lines from these to the layers, which need no
/// more room.
fn with_legend(words: &Words<'_>, flow: Flow, with_lines: bool) -> Picture {
    let Flow { laid: flow, lefts, .. } = flow;
    let room = visits::room(words.network);
    let heading = legend::heading(words);
    let width = flow.left + flow.right;
    let legend = legend::kernels(words, [width, flow.height], room);
    let [above, below] = if legend.beside { [room, 0.0] } else { [0.0, room] };
    let top = MARGIN + heading.height + above;
    let left = MARGIN + room;
    let mut marks = vec![at(MARGIN, MARGIN, heading.marks)];
    let (mut right, mut bottom) = (room + width, flow.height);
    let mut lines = Vec::new();
    if let Some(laid) = legend.laid {
        let [x, y] = match legend.beside {
            true => [width + APART + room, 0.0],
            false => [0.0, flow.height + APART + below],
        };
        right = right.max(room + x + laid.right);
        bottom = bottom.max(y + laid.height);
        let bus = if legend.beside { 0.0 } else { flow.height + APART / 2.0 };
        if with_lines && room > 0.0 {
            let visits = Visits::new(&flow.marks, &lefts, [flow.left, bus]);
            lines = visits.lines(&legend.places, [x, y], legend.beside);
        }
        marks.push(at(left + x, top + y, laid.marks));
    }
    marks.push(at(left + flow.left, top, flow.marks));
    marks.push(at(left, top, lines));
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
