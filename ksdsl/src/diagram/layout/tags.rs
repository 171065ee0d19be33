//! Inputs, outputs and values with names.

use super::super::mark::{Area, Group, Line, Mark, Rect};
use super::super::measure::{shortened, width};
use super::super::words::NAME;
use super::{Entry, Laid, Layout, Part, SIZE, centred};
use crate::ir::{Port, Shape, ValueId};

/// The height of a tag, and the space to each side of its words.
const HEIGHT: f64 = 22.0;
const PAD: f64 = 10.0;
/// How far tags stand beside the flow.
const BESIDE: f64 = 22.0;

/// A tag from `x` on; `None` for one on the axis.
fn tag(
    x: Option<f64>,
    [class, ink]: [&'static str; 2],
    words: (&str, String),
    title: String,
    value: Option<ValueId>,
) -> Laid {
    let text = format!("{} {}", words.0, words.1);
    let width = width(&text, SIZE) + 2.0 * PAD;
    let left = x.unwrap_or(-width / 2.0);
    let area = Area::new(left, 0.0, width, HEIGHT);
    let group = Group {
        class: value.map_or_else(|| format!("tag {class}s"), |id| format!("tag {class}s v{id}")),
        title,
        marks: vec![
            Rect::mark(area, HEIGHT / 2.0, class),
            centred(area, SIZE, vec![(ink, text)]),
        ],
        ..Group::default()
    };
    Laid {
        left: -left.min(0.0),
        right: left + width,
        height: HEIGHT,
        marks: vec![Mark::Group(group)],
    }
}

const PORT: [&str; 2] = ["port", "on_port"];
const VALUE: [&str; 2] = ["value", "ink"];

fn words(name: Option<&str>, shape: Shape) -> String {
    match name {
        Some(name) => format!("{} {shape}", shortened(name, NAME)),
        None => shape.to_string(),
    }
}

fn port(x: Option<f64>, what: &'static str, port: &Port) -> Laid {
    let title = format!("{what} {}", words(port.name.as_deref(), port.shape));
    tag(
        x,
        PORT,
        (what, words(port.name.as_deref(), port.shape)),
        title,
        port.value,
    )
}

impl Layout<'_, '_> {
    /// The inputs, the first on the axis.
    pub(super) fn inputs(&self) -> Part {
        let mut laid = Laid::default();
        for input in &self.words.network.inputs {
            let x = (!laid.marks.is_empty()).then_some(laid.right + BESIDE);
            let next = port(x, "input", input);
            laid.left = laid.left.max(next.left);
            laid.right = next.right;
            laid.height = HEIGHT;
            laid.marks.extend(next.marks);
        }
        Part::Other(Entry::Nothing, laid)
    }

    pub(super) fn network_input(&self) -> Shape {
        self.words.network.input()
    }

    /// The last value, where that is the output.
    pub(super) fn output(&self) -> Option<Part> {
        match self.words.network.outputs.as_slice() {
            [only @ Port { value: None, .. }] => Some(Part::Other(Entry::Arrow, port(None, "output", only))),
            _ => None,
        }
    }

    /// The current value gets a name.
    pub(super) fn keep(&self, id: ValueId, word: &'static str, goes_on: bool) -> Part {
        let network = self.words.network;
        let kept = &network.values[id];
        let word = if self.words.is_exit(id) { "exit" } else { word };
        let mut ports = network.outputs.iter();
        let output = ports.find(|port| port.value == Some(id) && word == "keep");
        let mut laid = match output {
            Some(of) => port(Some(BESIDE), "output", of),
            None => {
                let title = format!("{word} {}: {}", kept.name, kept.shape);
                tag(
                    Some(BESIDE),
                    VALUE,
                    (word, shortened(&kept.name, NAME)),
                    title,
                    Some(id),
                )
            }
        };
        let class = if output.is_some() { "line" } else { "wire" };
        let middle = HEIGHT / 2.0;
        let end = if goes_on { HEIGHT } else { middle };
        laid.marks.push(Line::mark([[0.0, 0.0], [0.0, end]]));
        laid.marks
            .push(Line::with([[0.0, middle], [BESIDE, middle]], class, true));
        Part::Other(Entry::Line, laid)
    }

    /// The flow goes on from a value.
    pub(super) fn source(&self, id: ValueId) -> Part {
        let kept = &self.words.network.values[id];
        let title = format!("from {}: {}", kept.name, kept.shape);
        let laid = tag(None, VALUE, ("from", shortened(&kept.name, NAME)), title, Some(id));
        Part::Other(Entry::Nothing, laid)
    }
}
