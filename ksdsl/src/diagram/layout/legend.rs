//! What stands around the flow: what the network is, and its shared kernels.

use super::super::kernels::{Chip, label};
use super::super::mark::{Anchor, Group, Mark, Text, at};
use super::super::measure::{shortened, width, wrapped};
use super::super::words::{NAME, Words, plural};
use super::leaf::draw;
use super::{LARGE, LINE, Laid, SIZE, SMALL};
use crate::analyse::analyse;
use crate::ir::{Group as Shared, Network, Part, join_sizes};
use crate::summary::thousands;

/// The width of lines of settings.
const HEADING: f64 = 640.0;
/// The height of an entry, the space between columns, and where the words of an entry begin.
const ENTRY: f64 = 40.0;
const GUTTER: f64 = 24.0;
const INDENT: f64 = 40.0;
/// The height of the title.
const TITLE: f64 = 28.0;
/// The height that a legend may always have.
const LEAST: f64 = 420.0;

/// The shared kernels.
pub(super) struct Legend {
    /// Nothing where nothing is shared.
    pub(super) laid: Option<Laid>,
    /// The row of each kernel in its column, and the left end of its label.
    pub(super) places: Vec<(usize, [f64; 2])>,
    /// Whether it stands beside the flow, else below.
    pub(super) beside: bool,
}

/// The name of the network, its parameters, and its counts.
pub(super) fn heading(words: &Words<'_>) -> Laid {
    let network = words.network;
    let settings = network.parameters.iter();
    let settings: Vec<String> = settings
        .map(|(name, value)| {
            format!(
                "{} = {}",
                shortened(name, NAME),
                shortened(&value.to_string(), 2 * NAME)
            )
        })
        .collect();
    let mut lines = vec![(LARGE, "ink", shortened(&network.name, 2 * NAME))];
    lines.extend(
        wrapped(&settings, SIZE, HEADING)
            .into_iter()
            .map(|line| (SIZE, "dim", line)),
    );
    lines.push((SIZE, "dim", totals(network)));
    let mut laid = Laid::default();
    for (size, class, line) in lines {
        let height = size + 8.0;
        laid.right = laid.right.max(width(&line, size));
        let middle = [0.0, laid.height + height / 2.0];
        laid.marks
            .push(Text::mark(middle, size, Anchor::Start, vec![(class, line)]));
        laid.height += height;
    }
    laid.height += 18.0;
    laid
}

/// `36 layers, 1,223,002 parameters (2,771,290 without sharing)`.
fn totals(network: &Network) -> String {
    let counts = analyse(network);
    let mut text = format!(
        "{}, {}",
        plural(network.layers.len() as u64, "layer"),
        plural(counts.trainable, "parameter")
    );
    if counts.trainable != counts.unshared {
        text.push_str(&format!(" ({} without sharing)", thousands(counts.unshared)));
    }
    text
}

/// The shared kernels, beside a flow of this height and width or below it, with room for lines between columns.
pub(super) fn kernels(words: &Words<'_>, [width, height]: [f64; 2], lines: f64) -> Legend {
    let entries = entries(words.network);
    if entries.is_empty() {
        return Legend {
            laid: None,
            places: Vec::new(),
            beside: true,
        };
    }
    let widest = entries.iter().map(|entry| entry.right).fold(0.0, f64::max) + GUTTER + lines;
    let fit = ((height.max(LEAST) - TITLE) / ENTRY).floor().max(1.0) as usize;
    let beside = entries.len() <= 2 * fit && width < 1.6 * height.max(LEAST);
    let rows = match beside {
        true => fit,
        false => entries.len().div_ceil(((width / widest) as usize).max(1)),
    };
    let title = Text::mark(
        [0.0, 8.0],
        SIZE,
        Anchor::Start,
        vec![("ink", "Shared kernels".to_owned())],
    );
    let mut laid = Laid {
        right: super::super::measure::width("Shared kernels", SIZE),
        marks: vec![title],
        ..Laid::default()
    };
    let mut places = Vec::new();
    for (position, entry) in entries.into_iter().enumerate() {
        let (column, row) = (position / rows, position % rows);
        let [x, y] = [widest * column as f64, TITLE + ENTRY * row as f64];
        places.push((row, [x, y + LINE / 2.0]));
        laid.right = laid.right.max(x + entry.right);
        laid.height = laid.height.max(y + ENTRY);
        laid.marks.push(at(x, y, entry.marks));
    }
    Legend {
        laid: Some(laid),
        places,
        beside,
    }
}

fn entries(network: &Network) -> Vec<Laid> {
    let mut entries = Vec::new();
    for group in &network.groups {
        for kernel in 0..group.kernels {
            entries.push(entry(entries.len(), group, kernel));
        }
    }
    entries
}

/// A shared kernel: its label, name, shape, parameters and visits.
fn entry(number: usize, group: &Shared, kernel: u32) -> Laid {
    let visits = group.assignment.iter().filter(|used| **used == kernel).count();
    let tensors = group.tensors();
    let shape = tensors
        .first()
        .map(|tensor| join_sizes(&tensor.shape))
        .unwrap_or_default();
    let sizes = tensors.iter().filter(|tensor| tensor.trainable);
    let parameters = sizes.map(|tensor| tensor.shape.iter().product::<u64>()).sum();
    let name = group.kernel_name(kernel);
    let lines = [
        format!("{}{}", shortened(&name, NAME), part(group)),
        format!(
            "{shape}, {}, {}",
            plural(parameters, "parameter"),
            plural(visits as u64, "visit")
        ),
    ];
    let mapping = group.mapping.as_ref().map(|mapping| format!("\nby {}", mapping.words));
    let mut laid = entry_words(number, &lines);
    laid.marks = vec![Mark::Group(Group {
        class: "kernel".to_owned(),
        kernels: vec![number],
        title: format!("{name}: {}{}", lines[1], mapping.unwrap_or_default()),
        data: vec![("kernel", name), ("visits", visits.to_string())],
        marks: laid.marks,
        ..Group::default()
    })];
    laid
}

/// The label of a shared kernel and what is said of it.
fn entry_words(number: usize, [first, second]: &[String; 2]) -> Laid {
    let chip = Chip {
        text: label(number),
        kernel: Some(number),
    };
    let mut marks: Vec<Mark> = draw(&chip, [0.0, 1.0]).into();
    let line = |y: f64, size: f64, class: &'static str, text: &String| {
        Text::mark([INDENT, y], size, Anchor::Start, vec![(class, text.clone())])
    };
    marks.push(line(LINE / 2.0, SIZE, "ink", first));
    marks.push(line(LINE * 1.5, SMALL, "dim", second));
    Laid {
        right: INDENT + width(first, SIZE).max(width(second, SMALL)),
        marks,
        ..Laid::default()
    }
}

/// What is shared, where that is not a kernel, with its bias or without.
fn part(group: &Shared) -> &'static str {
    match group.parts.as_slice() {
        [Part::Bias] => " (bias)",
        [Part::Norm, ..] => " (norm)",
        _ => "",
    }
}
