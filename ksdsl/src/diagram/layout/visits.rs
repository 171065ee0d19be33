//! Lines from shared kernels to the boxes of the layers that visit them.
//!
//! Each kernel has a trunk above or below the flow, a rail at the left of each column in which layers visit it, and a branch
//! to each of their boxes. Lines run behind boxes and words: they end before and go on after them.

use super::super::kernels::label;
use super::super::mark::{Anchor, Area, Group, Line, Mark, Rect};
use super::super::measure::width;
use super::super::theme::colour;
use crate::ir::Network;

/// The most kernels that have lines; with more, nobody could follow them.
const MOST: usize = 12;
/// Between lines, between them and what is beside them, and before words and boxes that hide them.
const LANE: f64 = 5.0;
const BESIDE: f64 = 8.0;
const HALO: f64 = 3.0;
/// The radius of the point at which a line reaches a box.
const DOT: f64 = 2.5;
/// How many heights of a box are tried for a branch.
const HEIGHTS: usize = 8;

/// The width of all lines side by side; none where nothing is shared, or too much.
pub(super) fn room(network: &Network) -> f64 {
    match kernels(network) {
        0 => 0.0,
        kernels if kernels > MOST => 0.0,
        kernels => BESIDE + LANE * kernels as f64,
    }
}

fn kernels(network: &Network) -> usize {
    network.groups.iter().map(|group| group.kernels as usize).sum()
}

/// Where lines of a flow may go. Places are relative to the left end of the flow.
pub(super) struct Visits {
    /// The boxes that visit kernels.
    boxes: Vec<(Vec<usize>, Area)>,
    /// Boxes and words, behind which lines run.
    obstacles: Vec<Area>,
    /// The left ends of columns.
    lefts: Vec<f64>,
    /// The height at which trunks begin.
    bus: f64,
}

/// A branch from the rail of a column to a box.
struct Branch {
    column: usize,
    from: [f64; 2],
    to: f64,
}

impl Visits {
    /// Finds the boxes among the marks of a flow that reaches so far to the left of its axis.
    pub(super) fn new(marks: &[Mark], lefts: &[f64], [left, bus]: [f64; 2]) -> Self {
        let mut visits = Visits {
            boxes: Vec::new(),
            obstacles: Vec::new(),
            lefts: lefts.iter().map(|x| x + left).collect(),
            bus,
        };
        visits.find(marks, [left, 0.0]);
        visits
    }

    fn find(&mut self, marks: &[Mark], [x, y]: [f64; 2]) {
        for mark in marks {
            match mark {
                Mark::Group(group) => {
                    let origin = [x + group.at[0], y + group.at[1]];
                    if let (false, Some(area)) = (group.kernels.is_empty(), outline(group)) {
                        self.boxes.push((group.kernels.clone(), moved(area, origin)));
                    }
                    self.find(&group.marks, origin);
                }
                // Lines cross the borders of open boxes, which are the only ones with a shade.
                Mark::Rect(rect) if !rect.class.starts_with("frame") => self.obstacles.push(moved(rect.area, [x, y])),
                Mark::Text(text) => {
                    let width = text.runs.iter().map(|(_, run)| width(run, text.size)).sum();
                    let left = match text.anchor {
                        Anchor::Start => text.x,
                        Anchor::Middle => text.x - width / 2.0,
                    };
                    let area = Area::new(left, text.y - text.size / 2.0, width, text.size);
                    self.obstacles.push(moved(area, [x, y]));
                }
                Mark::Rect(_) | Mark::Line(_) => {}
            }
        }
    }

    /// The lines from the labels of kernels, which are relative to the legend.
    pub(super) fn lines(&self, labels: &[(usize, [f64; 2])], [x, y]: [f64; 2], beside: bool) -> Vec<Mark> {
        let mut taken: Vec<([f64; 2], f64)> = Vec::new();
        let mut marks = Vec::new();
        for (kernel, (row, label_at)) in labels.iter().enumerate() {
            let branches = self.branches(kernel, &mut taken);
            let start = [x + label_at[0], y + label_at[1]];
            let lane = LANE * (kernel + 1) as f64;
            let trunk = if beside { self.bus - lane } else { self.bus + lane };
            let riser = start[0] - BESIDE - LANE * *row as f64;
            let mut lines = Vec::new();
            let rails = self.rails(&branches, trunk);
            let ends = rails.iter().map(|[x, ..]| *x).chain([riser]);
            let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
                (low.min(x), high.max(x))
            });
            lines.push(vec![start, [riser, start[1]], [riser, trunk]]);
            lines.push(vec![[low, trunk], [high, trunk]]);
            lines.extend(rails.iter().map(|[x, from, to]| vec![[*x, *from], [*x, *to]]));
            for branch in &branches {
                lines.extend(
                    self.visible(branch)
                        .map(|[from, to]| vec![[from, branch.from[1]], [to, branch.from[1]]]),
                );
            }
            let mut group = Group {
                class: "visits".to_owned(),
                kernels: vec![kernel],
                title: label(kernel),
                ..Group::default()
            };
            let colour = colour(kernel);
            group.marks = lines.into_iter().map(|points| Line::coloured(points, colour)).collect();
            group.marks.extend(branches.iter().map(|branch| {
                let area = Area::new(branch.to - DOT, branch.from[1] - DOT, 2.0 * DOT, 2.0 * DOT);
                Rect::coloured(area, DOT, (colour, 1.0))
            }));
            marks.push(Mark::Group(group));
        }
        marks
    }

    /// The branches to the boxes that visit a kernel.
    fn branches(&self, kernel: usize, taken: &mut Vec<([f64; 2], f64)>) -> Vec<Branch> {
        let visiting = self.boxes.iter().filter(|(kernels, _)| kernels.contains(&kernel));
        let mut branches = Vec::new();
        for (_, area) in visiting {
            let column = self.lefts.iter().rposition(|left| *left <= area.x + 0.5).unwrap_or(0);
            let rail = self.lefts[column] - BESIDE - LANE * kernel as f64;
            let branch = |y: f64| Branch {
                column,
                from: [rail, y],
                to: area.x,
            };
            let heights = (1..HEIGHTS).map(|part| area.y + area.height * part as f64 / HEIGHTS as f64);
            let hidden = |y: f64| {
                let seen: f64 = self.visible(&branch(y)).map(|[from, to]| to - from).sum();
                let is_taken = taken
                    .iter()
                    .any(|([from, to], other)| (y - other).abs() < HALO && *from < area.x && rail < *to);
                let off_middle = (y - area.y - area.height / 2.0).abs();
                (area.x - rail - seen) + if is_taken { 1e4 } else { 0.0 } + off_middle / 1e3
            };
            let costs = heights.map(|y| (hidden(y), y));
            let best = costs.min_by(|(a, _), (b, _)| a.total_cmp(b));
            if let Some((_, y)) = best {
                taken.push(([rail, area.x], y));
                branches.push(branch(y));
            }
        }
        branches
    }

    /// Where rails stand, from which height to which.
    fn rails(&self, branches: &[Branch], trunk: f64) -> Vec<[f64; 3]> {
        let rail = |column: usize| {
            let mut here = branches.iter().filter(|branch| branch.column == column).peekable();
            let x = here.peek()?.from[0];
            let ends = here.map(|branch| branch.from[1]).chain([trunk]);
            let (top, bottom) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(top, bottom), y| {
                (top.min(y), bottom.max(y))
            });
            Some([x, top, bottom])
        };
        (0..self.lefts.len()).filter_map(rail).collect()
    }

    /// The parts of a branch that no box and no word hides.
    fn visible(&self, branch: &Branch) -> impl Iterator<Item = [f64; 2]> {
        let ([from, y], to) = (branch.from, branch.to);
        let hides = |area: &&Area| area.y - HALO < y && y < area.y + area.height + HALO && area.x < to - 0.5;
        let mut hidden: Vec<[f64; 2]> = self
            .obstacles
            .iter()
            .filter(hides)
            .map(|area| [area.x - HALO, area.x + area.width + HALO])
            .collect();
        hidden.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let mut at = from;
        let mut parts = Vec::new();
        for [start, end] in hidden {
            if start > at {
                parts.push([at, start.min(to)]);
            }
            at = at.max(end);
        }
        if at < to {
            parts.push([at, to]);
        }
        parts.into_iter().filter(|[from, to]| to - from > 1.0)
    }
}

/// The border of a box; the last card of a pile.
fn outline(group: &Group) -> Option<Area> {
    let areas = group.marks.iter().filter_map(|mark| match mark {
        Mark::Rect(rect) => Some(rect.area),
        _ => None,
    });
    areas.reduce(|least, area| if area.x < least.x { area } else { least })
}

fn moved(area: Area, [x, y]: [f64; 2]) -> Area {
    Area {
        x: area.x + x,
        y: area.y + y,
        ..area
    }
}
