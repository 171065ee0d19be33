//! The box around a stage, a block, a repetition or a loop.

use super::super::kernels::{Chip, label};
use super::super::mark::{Anchor, Area, Group, Line, Mark, Rect, Text, at};
use super::super::measure::{shortened, width};
use super::super::tree::{Body, Frame};
use super::super::words::{NAME, plural};
use super::leaf::chip_rows;
use super::sequence::Flow;
use super::{Entry, LINE, Laid, Layout, SIZE, SMALL, centred};

/// Between the border and what is inside.
const PAD: f64 = 12.0;
/// The height of the title, and of each further line.
const TITLE: f64 = 24.0;
/// The way back of a loop: how far inside the border, and how high its end is above the first step.
const BACK: [f64; 2] = [12.0, 10.0];
/// The width of the sign of a loop.
const ICON: f64 = 20.0;
/// How far each card of a pile stands out.
const CARD: f64 = 4.0;
/// The height up to which what is inside is never split.
const INNER: f64 = 900.0;
/// The most kernels that a closed box lists.
const KERNELS: usize = 24;
/// The width of rows of kernels in a closed box.
const ROW: f64 = 200.0;

/// A box whose width is not final.
pub(super) struct FrameBox {
    title: Vec<(&'static str, String)>,
    lines: Vec<String>,
    times: usize,
    inside: Inside,
    group: Group,
    /// How far it reaches to the left and right.
    pub(super) sides: [f64; 2],
    pub(super) height: f64,
    level: usize,
}

enum Inside {
    Flow { flow: Flow, looped: bool },
    Closed(Laid),
}

impl Layout<'_, '_> {
    pub(super) fn frame(&self, frame: &Frame<'_>, level: usize) -> FrameBox {
        let (name, indices) = self.words.frame(frame);
        let mut title = vec![("ink", shortened(&name, 2 * NAME))];
        if let Some(of) = frame.of_loop {
            title.push(("dim", format!(" up to {} times", of.most)));
        } else if !indices.is_empty() {
            title.push(("dim", format!(" {indices}")));
        }
        let mut lines = self.words.loop_lines(frame);
        let mut group = Group {
            class: "frame".to_owned(),
            title: self.words.frame_title(frame),
            ..Group::default()
        };
        let inside = match &frame.body {
            Body::Open(items) => {
                let shape = frame.scopes[0].input;
                let limit = (self.limit - TITLE - 4.0 * PAD).max(INNER);
                Inside::Flow {
                    flow: self.inner(self.parts_at(items, shape, level + 1), limit),
                    looped: frame.of_loop.is_some(),
                }
            }
            Body::Closed(layers) => {
                lines.push(plural(layers.len() as u64, "layer"));
                lines.extend(self.words.counts(layers));
                group.kernels = self.words.kernels.used(layers);
                group.data = vec![("layers", layers.len().to_string())];
                Inside::Closed(chip_rows(kernel_chips(&group.kernels), ROW))
            }
        };
        FrameBox {
            title,
            lines,
            times: frame.times,
            inside,
            group,
            sides: [0.0; 2],
            height: 0.0,
            level,
        }
        .measured()
    }
}

fn kernel_chips(used: &[usize]) -> Vec<Chip> {
    let chip = |kernel: &usize| Chip {
        text: label(*kernel),
        kernel: Some(*kernel),
    };
    let mut chips: Vec<Chip> = used.iter().take(KERNELS).map(chip).collect();
    let more = used.len().saturating_sub(KERNELS);
    chips.extend((more > 0).then(|| Chip {
        text: format!("and {more} more"),
        kernel: None,
    }));
    chips
}

/// `x 4`, and how wide its box is.
fn badge(times: usize) -> Option<(String, f64)> {
    let text = format!("\u{d7} {times}");
    let width = width(&text, SMALL) + 12.0;
    (times > 1).then_some((text, width))
}

impl FrameBox {
    fn title_height(&self) -> f64 {
        TITLE + LINE * self.lines.len() as f64
    }

    fn is_loop(&self) -> bool {
        matches!(self.inside, Inside::Flow { looped: true, .. })
    }

    /// Between the title and the first step.
    fn above(&self) -> f64 {
        if self.is_loop() { 24.0 } else { 10.0 }
    }

    /// The same with its size.
    fn measured(mut self) -> Self {
        let text: f64 = self.title.iter().map(|(_, run)| width(run, SIZE)).sum();
        let icon = if self.is_loop() { ICON } else { 0.0 };
        let badge = badge(self.times).map_or(0.0, |(_, width)| width + PAD);
        let lines = self.lines.iter().map(|line| width(line, SMALL));
        let words = lines.fold(text + icon + badge, f64::max) + 2.0 * PAD;
        let (left, right, height) = match &self.inside {
            Inside::Flow { flow, .. } => {
                let back = if self.is_loop() { BACK[0] + 6.0 } else { 0.0 };
                let content = &flow.laid;
                let below = 10.0 + if self.is_loop() { 10.0 } else { 0.0 };
                (
                    content.left + PAD + back,
                    content.right + PAD,
                    self.above() + content.height + below,
                )
            }
            Inside::Closed(chips) => {
                let half = (chips.right + 2.0 * PAD) / 2.0;
                let below = if chips.height > 0.0 { 6.0 } else { 4.0 };
                (half, half, chips.height + below)
            }
        };
        let more = ((words - left - right) / 2.0).max(0.0);
        let cards = self.cards();
        self.sides = [left + more, right + more + cards];
        self.height = self.title_height() + height + cards;
        self
    }

    /// How far the cards of a pile stand out.
    fn cards(&self) -> f64 {
        if self.times > 1 { 2.0 * CARD } else { 0.0 }
    }

    /// The box, reaching as far as its neighbours.
    pub(super) fn place(mut self, [left, right]: [f64; 2]) -> Laid {
        let cards = self.cards();
        let area = Area::new(-left, 0.0, left + right - cards, self.height - cards);
        let mut marks = self.border(area);
        marks.extend(self.heading(area));
        let (top, above, is_loop) = (self.title_height(), self.above(), self.is_loop());
        match self.inside {
            Inside::Closed(chips) => marks.push(at(area.x + PAD, top, chips.marks)),
            Inside::Flow { flow, .. } => marks.extend(steps(flow, area, [top, above], is_loop)),
        }
        self.group.marks = marks;
        Laid {
            left,
            right,
            height: self.height,
            marks: vec![Mark::Group(self.group)],
        }
    }

    /// The cards of a pile, the last one first.
    fn border(&self, area: Area) -> Vec<Mark> {
        let shade = self.level % 2;
        let class = ["frame0", "frame1"][shade];
        let card = |number: f64| {
            let (x, y) = (area.x + number * CARD, number * CARD);
            Rect::mark(Area { x, y, ..area }, 8.0, class)
        };
        let below: &[f64] = if self.times > 1 { &[2.0, 1.0] } else { &[] };
        let mut marks: Vec<Mark> = below.iter().map(|number| card(*number)).collect();
        marks.push(match self.is_loop() {
            true => Rect::mark(area, 8.0, ["frame0 looped", "frame1 looped"][shade]),
            false => card(0.0),
        });
        marks
    }

    /// The words at the top.
    fn heading(&self, area: Area) -> Vec<Mark> {
        let left = area.x + PAD;
        let mut marks = Vec::new();
        if self.is_loop() {
            marks.push(icon(left, TITLE / 2.0));
        }
        let title = [left + if self.is_loop() { ICON } else { 0.0 }, TITLE / 2.0];
        marks.push(Text::mark(title, SIZE, Anchor::Start, self.title.clone()));
        for (position, line) in self.lines.iter().enumerate() {
            let y = TITLE + LINE * (position as f64 + 0.5) - 2.0;
            marks.push(Text::mark([left, y], SMALL, Anchor::Start, vec![("dim", line.clone())]));
        }
        if let Some((text, width)) = badge(self.times) {
            let place = Area::new(area.x + area.width - width - 6.0, 4.0, width, 16.0);
            marks.push(Rect::mark(place, 8.0, "times"));
            marks.push(centred(place, SMALL, vec![("ground", text)]));
        }
        marks
    }
}

/// The steps in a box, which begin this far below its title.
fn steps(flow: Flow, area: Area, [top, above]: [f64; 2], is_loop: bool) -> Vec<Mark> {
    let start = top + above;
    let bottom = start + flow.laid.height;
    let [x, end] = [flow.exit[0], start + flow.exit[1]];
    let bar = [[area.x, top], [area.x + area.width, top]];
    let mut marks = vec![Line::with(bar, "bar", false)];
    if flow.entry != Entry::Nothing {
        let arrow = is_loop && flow.entry == Entry::Arrow;
        marks.push(Line::with([[0.0, top], [0.0, start]], "line", arrow));
    }
    marks.push(Line::mark([[x, end], [x, area.height]]));
    if is_loop {
        marks.push(back(area.x + BACK[0], [x, bottom], top + BACK[1]));
    }
    marks.push(at(0.0, start, flow.laid.marks));
    marks
}

/// The way back from the last step of a loop to the first.
fn back(x: f64, [exit, bottom]: [f64; 2], y: f64) -> Mark {
    let points = [[exit, bottom + 8.0], [x, bottom + 8.0], [x, y], [0.0, y]];
    Line::with(points, "line", true)
}

/// An arrow that goes round.
fn icon(x: f64, y: f64) -> Mark {
    let points = [
        [x + 2.0, y + 4.5],
        [x + 13.0, y + 4.5],
        [x + 13.0, y - 4.5],
        [x, y - 4.5],
    ];
    Line::with(points, "line", true)
}
