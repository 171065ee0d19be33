//! Steps one after the other.

use super::super::mark::{Anchor, Line, Text, at};
use super::super::measure::width;
use super::super::tree::Item;
use super::columns::{Beside, Column, split};
use super::{Entry, Laid, Layout, Part, SMALL};
use crate::ir::Shape;

/// Between boxes: with a shape, without one, and of layers that keep their shape.
const LABELLED: f64 = 28.0;
const PLAIN: f64 = 16.0;
const STACKED: f64 = 4.0;
/// Between a line and what goes on with it, and before what comes from elsewhere.
const SHORT: f64 = 8.0;
const BROKEN: f64 = 14.0;
/// Between the axis and a shape.
const BESIDE: f64 = 8.0;

/// A part with the shape that is shown after it.
pub(super) struct Stop {
    part: Part,
    label: Option<String>,
    /// Whether it keeps the shape of a layer before it, and touches it.
    stacks: bool,
    /// Whether it is a value with a name, which the flow goes on from.
    is_source: bool,
}

/// Steps in one or more columns.
pub(super) struct Flow {
    pub(super) laid: Laid,
    /// The left ends of its columns.
    pub(super) lefts: Vec<f64>,
    /// How the flow reaches the first step.
    pub(super) entry: Entry,
    /// Where the last one ends.
    pub(super) exit: [f64; 2],
}

/// How two neighbours are connected, and the space between them.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Gap {
    pub(super) height: f64,
    pub(super) entry: Entry,
    /// Whether a further column can begin here.
    pub(super) breaks: bool,
    is_stack: bool,
}

impl Layout<'_, '_> {
    pub(super) fn parts(&self, items: &[Item<'_>], input: &Shape) -> Vec<Stop> {
        let mut stops = vec![Stop {
            part: self.inputs(),
            label: None,
            stacks: false,
            is_source: false,
        }];
        stops.extend(self.parts_at(items, *input, 0));
        stops.extend(self.output().map(|part| Stop {
            part,
            label: None,
            stacks: false,
            is_source: false,
        }));
        stops
    }

    /// The parts of steps that a value of this shape enters.
    pub(super) fn parts_at(&self, items: &[Item<'_>], input: Shape, level: usize) -> Vec<Stop> {
        let mut before = input;
        let stop = |(position, item): (usize, &Item<'_>)| {
            let goes_on = match items.get(position + 1) {
                Some(next) => !begins_elsewhere(next),
                None => level > 0 || self.output().is_some(),
            };
            let (part, after) = self.part(item, (before, goes_on), level)?;
            let is_layer = matches!(part, Part::Leaf(_));
            let label = (after != before || matches!(item, Item::From(_))).then(|| after.to_string());
            let is_kept = matches!(item, Item::Keep(_) | Item::Set(_));
            before = after;
            Some(Stop {
                part,
                label: label.filter(|_| !is_kept),
                stacks: is_layer,
                is_source: matches!(item, Item::From(_)),
            })
        };
        items.iter().enumerate().filter_map(stop).collect()
    }

    fn part(&self, item: &Item<'_>, (before, goes_on): (Shape, bool), level: usize) -> Option<(Part, Shape)> {
        let network = self.words.network;
        Some(match item {
            Item::Layer(layers) => (
                Part::Leaf(Box::new(self.leaf(layers)?)),
                self.words.first(layers)?.output,
            ),
            Item::Frame(frame) => {
                let output = frame.scopes.last()?.output;
                (Part::Frame(Box::new(self.frame(frame, level))), output)
            }
            Item::Join(join) => {
                let entry = if begins_elsewhere(item) {
                    Entry::Nothing
                } else {
                    Entry::Line
                };
                (Part::Other(entry, self.join(join, before, level)), join.output)
            }
            Item::Keep(id) => (self.keep(*id, "keep", goes_on), before),
            Item::Set(id) => (self.keep(*id, "set", goes_on), before),
            Item::From(id) => (self.source(*id), network.values[*id].shape),
        })
    }

    /// Lays out steps in columns of at most this height, if they can be split.
    pub(super) fn inner(&self, stops: Vec<Stop>, limit: f64) -> Flow {
        self.flow(stops, limit, 0.0)
    }

    /// The same with so much more room between columns.
    pub(super) fn flow(&self, stops: Vec<Stop>, limit: f64, room: f64) -> Flow {
        let heights: Vec<f64> = stops.iter().map(|stop| stop.part.height()).collect();
        let gaps: Vec<Gap> = stops.windows(2).map(|pair| gap(&pair[0], &pair[1])).collect();
        let ends = split(&heights, &gaps, limit);
        let entry = stops.first().map_or(Entry::Line, |stop| stop.part.entry());
        let widest = |width: f64, stop: &Stop| match &stop.part {
            Part::Leaf(leaf) => width.max(leaf.natural),
            _ => width,
        };
        let leaf = stops.iter().fold(0.0, widest);
        let mut stops = stops.into_iter();
        let mut from = 0;
        let mut columns = Vec::new();
        for end in ends {
            let stops: Vec<Stop> = stops.by_ref().take(end - from).collect();
            let label = stops.last().and_then(|stop| stop.label.clone());
            let goes_on = gaps.get(end - 1).is_some_and(|gap| gap.entry == Entry::Arrow);
            let gaps = &gaps[from..(end - 1).max(from)];
            columns.push(Column {
                laid: column(stops, gaps, leaf),
                label,
                goes_on,
            });
            from = end;
        }
        let Beside { laid, exit, lefts } = super::columns::beside(columns, room);
        Flow {
            laid,
            lefts,
            entry,
            exit,
        }
    }
}

impl Part {
    fn height(&self) -> f64 {
        match self {
            Part::Leaf(leaf) => leaf.height,
            Part::Frame(frame) => frame.height,
            Part::Other(_, laid) => laid.height,
        }
    }

    fn entry(&self) -> Entry {
        match self {
            Part::Leaf(_) | Part::Frame(_) => Entry::Arrow,
            Part::Other(entry, _) => *entry,
        }
    }
}

/// Whether a step takes values with names only.
fn begins_elsewhere(item: &Item<'_>) -> bool {
    match item {
        Item::From(_) => true,
        Item::Join(join) => join
            .arms
            .iter()
            .all(|arm| arm.items.first().is_some_and(begins_elsewhere)),
        _ => false,
    }
}

fn gap(before: &Stop, after: &Stop) -> Gap {
    let is_stack = before.stacks && after.stacks && before.label.is_none();
    let entry = after.part.entry();
    let height = match (entry, &before.label) {
        (Entry::Nothing, _) => BROKEN,
        (_, Some(_)) => LABELLED,
        _ if is_stack => STACKED,
        (Entry::Line, None) => SHORT,
        (Entry::Arrow, None) => PLAIN,
    };
    Gap {
        height,
        entry,
        breaks: !is_stack && entry != Entry::Line && !before.is_source,
        is_stack,
    }
}

/// A shape beside the axis, and how far it reaches to the right.
pub(super) fn shape_label(text: &str, middle: f64) -> (super::Mark, f64) {
    let mark = Text::mark([BESIDE, middle], SMALL, Anchor::Start, vec![("dim", text.to_owned())]);
    (mark, BESIDE + width(text, SMALL))
}

/// Boxes that are narrower than this part of the widest are not made as wide.
const NARROW: f64 = 0.6;

/// Steps below each other. Boxes of layers are equally wide, and so are other boxes.
fn column(stops: Vec<Stop>, gaps: &[Gap], leaf: f64) -> Laid {
    let sides = frame_sides(&stops);
    let mut column = Laid::default();
    for (position, stop) in stops.into_iter().enumerate() {
        let laid = match stop.part {
            Part::Leaf(part) => part.place(leaf, 4.0),
            Part::Frame(frame) => {
                let [left, right] = frame.sides;
                let is_narrow = left + right < NARROW * (sides[0] + sides[1]);
                frame.place(if is_narrow { [left, right] } else { sides })
            }
            Part::Other(_, laid) => laid,
        };
        column.left = column.left.max(laid.left);
        column.right = column.right.max(laid.right);
        column.marks.push(at(0.0, column.height, laid.marks));
        column.height += laid.height;
        let Some(gap) = gaps.get(position) else {
            continue;
        };
        let ends = [[0.0, column.height], [0.0, column.height + gap.height]];
        if gap.entry != Entry::Nothing && !gap.is_stack {
            column.marks.push(Line::with(ends, "line", gap.entry == Entry::Arrow));
        }
        if let (Some(label), true) = (&stop.label, gap.entry != Entry::Nothing) {
            let (mark, right) = shape_label(label, column.height + gap.height / 2.0 - 1.0);
            column.marks.push(mark);
            column.right = column.right.max(right);
        }
        column.height += gap.height;
    }
    column
}

/// How far the boxes around steps reach to the left and right.
fn frame_sides(stops: &[Stop]) -> [f64; 2] {
    stops.iter().fold([0.0; 2], |[left, right], stop| match &stop.part {
        Part::Frame(frame) => [left.max(frame.sides[0]), right.max(frame.sides[1])],
        _ => [left, right],
    })
}
