//! Columns: where a long flow goes on at the top.

use super::super::mark::{Line, at};
use super::Laid;
use super::sequence::{Gap, shape_label};

/// Between columns, and above all but the first.
const GUTTER: f64 = 44.0;
const ABOVE: f64 = 34.0;
/// How far below a column its flow turns.
const BELOW: f64 = 12.0;

/// The ends of columns of at most this height, as equal as they can be. A column is higher where it cannot be split.
pub(super) fn split(heights: &[f64], gaps: &[Gap], limit: f64) -> Vec<usize> {
    let ends = ends(heights, gaps, limit);
    if ends.len() < 2 {
        return ends;
    }
    // The least limit with as many columns, to a pixel.
    let (mut low, mut high) = (0.0, limit);
    while high - low > 1.0 {
        let middle = (low + high) / 2.0;
        match self::ends(heights, gaps, middle).len() <= ends.len() {
            true => high = middle,
            false => low = middle,
        }
    }
    self::ends(heights, gaps, high)
}

/// The ends of columns that are filled one after the other.
fn ends(heights: &[f64], gaps: &[Gap], limit: f64) -> Vec<usize> {
    let mut ends = Vec::new();
    // The height of the column, and up to the last place where it can end.
    let mut height = 0.0;
    let mut last: Option<(usize, f64)> = None;
    for (at, own) in heights.iter().enumerate() {
        if let Some(gap) = at.checked_sub(1).and_then(|before| gaps.get(before)) {
            if gap.breaks {
                last = Some((at, height + gap.height));
            }
            height += gap.height;
        }
        height += own;
        if height > limit
            && let Some((end, until)) = last.take()
        {
            ends.push(end);
            height -= until;
        }
    }
    ends.push(heights.len());
    ends
}

/// A column, and the shape with which its flow goes on in the next, if it does.
pub(super) struct Column {
    pub(super) laid: Laid,
    pub(super) label: Option<String>,
    pub(super) goes_on: bool,
}

/// Columns at their places.
pub(super) struct Beside {
    pub(super) laid: Laid,
    /// Where the last one ends.
    pub(super) exit: [f64; 2],
    /// The left ends of all.
    pub(super) lefts: Vec<f64>,
}

/// Columns side by side with so much more room between them, and the flow from each to the next.
pub(super) fn beside(columns: Vec<Column>, room: f64) -> Beside {
    let below = if columns.len() > 1 { BELOW } else { 0.0 };
    let mut all = Laid::default();
    let mut before: Option<(bool, Option<String>)> = None;
    let mut exit = [0.0; 2];
    let mut lefts = Vec::new();
    for Column { laid, label, goes_on } in columns {
        let (mut x, mut y) = (0.0, 0.0);
        match before.take() {
            None => all.left = laid.left,
            Some((enters, label)) => {
                let gutter = all.right + GUTTER / 2.0;
                x = all.right + GUTTER + room + laid.left;
                if enters {
                    y = ABOVE;
                    all.marks.push(onwards(exit, gutter, [x, y]));
                }
                if let (Some(label), true) = (label, enters) {
                    let (mark, right) = shape_label(&label, 4.0 + (y - 4.0) / 2.0);
                    all.marks.push(at(x, 0.0, vec![mark]));
                    all.right = all.right.max(x + right);
                }
            }
        }
        lefts.push(x - laid.left);
        exit = [x, y + laid.height];
        all.right = all.right.max(x + laid.right);
        all.height = all.height.max(exit[1] + below);
        all.marks.push(at(x, y, laid.marks));
        before = Some((goes_on, label));
    }
    Beside { laid: all, exit, lefts }
}

/// The line from the end of a column through the gutter to the next.
fn onwards([from, bottom]: [f64; 2], gutter: f64, [x, y]: [f64; 2]) -> super::Mark {
    let (turn, top) = (bottom + BELOW, 4.0);
    let corners = [[from, turn], [gutter, turn], [gutter, top], [x, top]];
    let points: Vec<[f64; 2]> = std::iter::once([from, bottom]).chain(corners).chain([[x, y]]).collect();
    Line::arrow(points)
}
