//! Branches side by side, and what joins them.

use super::super::mark::{Line, Mark, at};
use super::super::tree::{Branch, Branches, Item, boxes};
use super::sequence::{Flow, shape_label};
use super::{Entry, Laid, Layout};
use crate::ir::Shape;

/// Between branches.
const APART: f64 = 24.0;
/// How far a branch without steps reaches to each side.
const BARE: f64 = 10.0;
/// Where the flow forks, and where branches begin if it does.
const FORK: f64 = 8.0;
const BELOW_FORK: f64 = 26.0;
/// Between branches and what joins them, with shapes and without.
const LABELLED: f64 = 28.0;
const PLAIN: f64 = 16.0;

/// A branch at its place.
struct Arm {
    x: f64,
    flow: Option<Flow>,
    label: Option<String>,
    sides: [f64; 2],
    boxes: usize,
}

impl Arm {
    fn entry(&self) -> Entry {
        self.flow.as_ref().map_or(Entry::Line, |flow| flow.entry)
    }

    fn height(&self) -> f64 {
        self.flow.as_ref().map_or(0.0, |flow| flow.laid.height)
    }
}

impl Layout<'_, '_> {
    pub(super) fn join(&self, join: &Branches<'_>, input: Shape, level: usize) -> Laid {
        let arms = join.arms.iter().map(|branch| self.arm(branch, input, level));
        let mut arms: Vec<Arm> = arms.collect();
        let is_bar = arms.iter().filter(|arm| arm.flow.is_some()).count() > 2;
        let axis = beside(&mut arms, is_bar);
        arms.iter_mut().for_each(|arm| arm.x -= axis);
        let forks = arms.iter().any(|arm| arm.x != 0.0 && arm.entry() != Entry::Nothing);
        let top = if forks { BELOW_FORK } else { FORK };
        let highest = arms.iter().map(Arm::height).fold(0.0, f64::max);
        let is_labelled = arms.iter().any(|arm| arm.label.is_some());
        let bottom = top + highest + if is_labelled { LABELLED } else { PLAIN };
        let words = (None, join.op.word().to_owned(), join.op.details());
        let joined = self.leaf_of(&join.layers, join.op, words, "join");
        let reach = |side: fn(&Arm) -> f64| arms.iter().map(side).fold(0.0, f64::max);
        let axes = [reach(|arm| -arm.x), reach(|arm| arm.x)];
        let width = match is_bar {
            true => joined.natural.max(2.0 * axes[0].max(axes[1]) + 2.0 * BARE),
            false => joined.natural,
        };
        let height = joined.height;
        let joined = joined.place(width, height / 2.0);
        let mut laid = Laid {
            left: reach(|arm| arm.sides[0] - arm.x).max(joined.left),
            right: reach(|arm| arm.sides[1] + arm.x).max(joined.right),
            height: bottom + height,
            marks: Vec::new(),
        };
        for arm in arms {
            place(arm, [top, bottom], [width / 2.0, height / 2.0], &mut laid.marks);
        }
        laid.marks.push(at(0.0, bottom, joined.marks));
        laid
    }

    fn arm(&self, branch: &Branch<'_>, input: Shape, level: usize) -> Arm {
        let stops = self.parts_at(&branch.items, input, level);
        let flow = (!stops.is_empty()).then(|| self.inner(stops, f64::INFINITY));
        let label = (branch.output != input).then(|| branch.output.to_string());
        let [left, right] = flow
            .as_ref()
            .map_or([BARE; 2], |flow| [flow.laid.left, flow.laid.right]);
        let words = label.as_ref().map_or(0.0, |label| shape_label(label, 0.0).1);
        let is_source = matches!(branch.items.as_slice(), [Item::From(_)]);
        Arm {
            x: 0.0,
            flow,
            label,
            sides: [left, right.max(words)],
            boxes: if is_source { 0 } else { boxes(&branch.items) },
        }
    }
}

/// Places branches side by side; where the flow enters and leaves: at the largest branch, or in the middle of many.
fn beside(arms: &mut [Arm], is_bar: bool) -> f64 {
    let mut right: Option<f64> = None;
    for arm in arms.iter_mut() {
        arm.x = right.map_or(0.0, |right| right + APART + arm.sides[0]);
        right = Some(arm.x + arm.sides[1]);
    }
    if is_bar {
        return arms.last().map_or(0.0, |last| last.x / 2.0);
    }
    let enters = |arm: &&Arm| arm.entry() != Entry::Nothing;
    let most = arms.iter().filter(enters).map(|arm| arm.boxes).max();
    let largest = arms.iter().filter(enters).find(|arm| Some(arm.boxes) == most);
    largest.or(arms.first()).map_or(0.0, |arm| arm.x)
}

/// A branch from where the flow forks to what joins it, which is this wide and high to each side of its middle.
fn place(arm: Arm, [top, bottom]: [f64; 2], [half_width, half_height]: [f64; 2], marks: &mut Vec<Mark>) {
    let x = arm.x;
    let (entry, height) = (arm.entry(), arm.height());
    if entry != Entry::Nothing {
        let points = match x == 0.0 {
            true => vec![[0.0, 0.0], [0.0, top]],
            false => vec![[0.0, 0.0], [0.0, FORK], [x, FORK], [x, top]],
        };
        marks.push(Line::with(points, "line", entry == Entry::Arrow));
    }
    let end = top + height;
    let is_above = x.abs() <= half_width - 6.0;
    marks.push(match is_above {
        true => Line::arrow([[x, end], [x, bottom]]),
        false => {
            let middle = bottom + half_height;
            Line::arrow([[x, end], [x, middle], [half_width.copysign(x), middle]])
        }
    });
    if let Some(label) = &arm.label {
        let (mark, _) = shape_label(label, bottom - LABELLED / 2.0 - 2.0);
        marks.push(at(x, 0.0, vec![mark]));
    }
    if let Some(flow) = arm.flow {
        marks.push(at(x, top, flow.laid.marks));
    }
}
