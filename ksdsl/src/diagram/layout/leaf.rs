//! The box of a layer, or of the same layer of repetitions.

use super::super::kernels::Chip;
use super::super::mark::{Anchor, Area, Group, Mark, Rect, Text};
use super::super::measure::{shortened, width, wrapped};
use super::super::theme::colour;
use super::super::words::NAME;
use super::{LINE, Laid, Layout, SIZE, SMALL, centred};
use crate::ir::{LayerId, Op};

/// The least width of a box, and the most that its words fill before they go on in a further line.
const NARROW: f64 = 120.0;
const WIDE: f64 = 230.0;
/// Widths are multiples of this, so that boxes with much the same words are equally wide.
const STEP: f64 = 24.0;
/// Between the border and the words.
const PAD: f64 = 10.0;
/// Chips: height, space inside to each side, space between.
const CHIP: [f64; 3] = [15.0, 5.0, 4.0];

/// A line of words with its size; each has a class.
type Words = (f64, Vec<(&'static str, String)>);

/// What a box says.
pub(super) struct Leaf {
    /// Lines of words with their sizes.
    lines: Vec<Words>,
    /// One chip beside the first line, or rows of them below.
    beside: Option<Chip>,
    rows: Vec<Vec<Chip>>,
    /// The colour of its only kernel.
    colour: Option<&'static str>,
    group: Group,
    class: &'static str,
    pub(super) natural: f64,
    pub(super) height: f64,
    /// Whether words stand in the middle of a wide box.
    centred: bool,
}

/// The width of a chip.
fn chip_width(chip: &Chip) -> f64 {
    width(&chip.text, SMALL) + 2.0 * CHIP[1]
}

fn row_width(row: &[Chip]) -> f64 {
    row.iter().map(|chip| chip_width(chip) + CHIP[2]).sum::<f64>() - CHIP[2]
}

/// Chips in rows of at most this width.
fn rows(chips: Vec<Chip>, most: f64) -> Vec<Vec<Chip>> {
    let mut rows: Vec<Vec<Chip>> = Vec::new();
    for chip in chips {
        match rows.last_mut() {
            Some(row) if row_width(row) + CHIP[2] + chip_width(&chip) <= most => row.push(chip),
            _ => rows.push(vec![chip]),
        }
    }
    rows
}

impl Layout<'_, '_> {
    /// The box of a layer.
    pub(super) fn leaf(&self, layers: &[LayerId]) -> Option<Leaf> {
        let layer = self.words.first(layers)?;
        let (name, kind, arguments) = self.words.layer(layer);
        Some(self.leaf_of(layers, &layer.op, (name, kind, arguments), "layer"))
    }

    /// The box of a layer, or what joins branches.
    pub(super) fn leaf_of(
        &self,
        layers: &[LayerId],
        op: &Op,
        (name, kind, arguments): (Option<String>, String, Vec<String>),
        class: &str,
    ) -> Leaf {
        let kernels = &self.words.kernels;
        let mut chips = kernels.chips(layers);
        let used = kernels.used(layers);
        let colour = match used.as_slice() {
            [kernel] if chips.len() == 1 => Some(colour(*kernel)),
            _ => None,
        };
        let beside = if chips.len() == 1 { chips.pop() } else { None };
        let mut first = Vec::new();
        first.extend(name.map(|name| ("dim", format!("{}: ", shortened(&name, NAME)))));
        first.push(("ink", kind));
        let lines = lines(first, &arguments, beside.as_ref());
        let rows = rows(chips, WIDE);
        let centred = class == "join";
        let words = words_width(&lines, beside.as_ref(), &rows) + 2.0 * PAD;
        Leaf {
            natural: match centred {
                true => words,
                false => (words.max(NARROW) / STEP).ceil() * STEP,
            },
            height: 8.0 + LINE * lines.len() as f64 + (CHIP[0] + CHIP[2]) * rows.len() as f64,
            lines,
            beside,
            rows,
            colour,
            group: self.leaf_group(layers, op, (class, &used)),
            class: match (centred, self.words.has_parameters(layers)) {
                (true, _) => "pill",
                (false, true) => "box",
                (false, false) => "plain",
            },
            centred,
        }
    }

    /// What programs and the pointer find at a box.
    fn leaf_group(&self, layers: &[LayerId], op: &Op, (class, kernels): (&str, &[usize])) -> Group {
        Group {
            class: class.to_owned(),
            kernels: kernels.to_vec(),
            title: self.words.layer_title(layers, op),
            data: vec![("layers", layers.len().to_string())],
            ..Group::default()
        }
    }
}

/// The width of the widest line of words or chips.
fn words_width(lines: &[Words], beside: Option<&Chip>, rows: &[Vec<Chip>]) -> f64 {
    let text = |(size, runs): &Words| runs.iter().map(|(_, run)| width(run, *size)).sum();
    let mut widths: Vec<f64> = lines.iter().map(text).collect();
    if let (Some(first), Some(chip)) = (widths.first_mut(), beside) {
        *first += PAD + chip_width(chip);
    }
    widths.extend(rows.iter().map(|row| row_width(row)));
    widths.into_iter().fold(0.0, f64::max)
}

/// The words of a box: arguments beside the kind where there is room, else below.
fn lines(mut first: Vec<(&'static str, String)>, arguments: &[String], chip: Option<&Chip>) -> Vec<Words> {
    let all = arguments.join(", ");
    let used: f64 = first.iter().map(|(_, run)| width(run, SIZE)).sum();
    let room = WIDE - used - chip.map_or(0.0, |chip| PAD + chip_width(chip));
    if all.is_empty() || width(&all, SIZE) + width(" ", SIZE) <= room {
        if !all.is_empty() {
            first.push(("dim", format!(" {all}")));
        }
        return vec![(SIZE, first)];
    }
    let below = wrapped(arguments, SMALL, WIDE);
    let below = below.into_iter().map(|line| (SMALL, vec![("dim", line)]));
    std::iter::once((SIZE, first)).chain(below).collect()
}

impl Leaf {
    /// The box, as wide as its neighbours.
    pub(super) fn place(mut self, width: f64, radius: f64) -> Laid {
        let area = Area::new(-width / 2.0, 0.0, width, self.height);
        let mut group = std::mem::take(&mut self.group);
        group.marks.push(Rect::mark(area, radius, self.class));
        if let Some(colour) = self.colour {
            group.marks.push(Rect::coloured(area, radius, (colour, 0.16)));
            group
                .marks
                .push(Rect::coloured(Area { width: 5.0, ..area }, 2.0, (colour, 1.0)));
        }
        group.marks.extend(self.content(area));
        Laid {
            left: width / 2.0,
            right: width / 2.0,
            height: self.height,
            marks: vec![Mark::Group(group)],
        }
    }

    /// Words and chips in the box.
    fn content(&self, area: Area) -> Vec<Mark> {
        let spare = if self.centred {
            (area.width - self.natural) / 2.0
        } else {
            0.0
        };
        let left = area.x + spare + PAD;
        let mut marks = Vec::new();
        let mut y = 4.0;
        for (size, runs) in &self.lines {
            let is_only = self.lines.len() == 1 && self.beside.is_none() && self.centred;
            marks.push(match is_only {
                true => centred(
                    Area {
                        y,
                        height: LINE,
                        ..area
                    },
                    *size,
                    runs.clone(),
                ),
                false => Text::mark([left, y + LINE / 2.0], *size, Anchor::Start, runs.clone()),
            });
            y += LINE;
        }
        if let Some(chip) = &self.beside {
            let x = area.x + area.width - spare - PAD - chip_width(chip);
            marks.extend(draw(chip, [x, 4.0 + (LINE - CHIP[0]) / 2.0]));
        }
        for row in &self.rows {
            let mut x = left;
            for chip in row {
                marks.extend(draw(chip, [x, y + 1.0]));
                x += chip_width(chip) + CHIP[2];
            }
            y += CHIP[0] + CHIP[2];
        }
        marks
    }
}

/// A chip at a place.
pub(super) fn draw(chip: &Chip, [x, y]: [f64; 2]) -> [Mark; 2] {
    let area = Area::new(x, y, chip_width(chip), CHIP[0]);
    let (shape, class) = match chip.colours() {
        Some((colour, on)) => (Rect::coloured(area, 4.0, (colour, 1.0)), on),
        None => (Rect::mark(area, 4.0, "plain"), "dim"),
    };
    [shape, centred(area, SMALL, vec![(class, chip.text.clone())])]
}

/// Rows of chips in a column, and how large they are.
pub(super) fn chip_rows(chips: Vec<Chip>, most: f64) -> Laid {
    let rows = rows(chips, most);
    let mut laid = Laid::default();
    for row in &rows {
        let mut x = 0.0;
        for chip in row {
            laid.marks.extend(draw(chip, [x, laid.height + 1.0]));
            x += chip_width(chip) + CHIP[2];
        }
        laid.right = laid.right.max(x - CHIP[2]);
        laid.height += CHIP[0] + CHIP[2];
    }
    laid
}
