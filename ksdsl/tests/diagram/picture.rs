//! A picture as a reader of SVG sees it.

use super::font;
use roxmltree::{Document, Node};

/// A rectangle: left, top, right, bottom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds(pub(super) [f64; 4]);

impl Bounds {
    /// Whether another is inside, to a tenth of a pixel.
    pub(super) fn contains(&self, other: &Bounds) -> bool {
        let [left, top, right, bottom] = self.0;
        let [a, b, c, d] = other.0;
        a >= left - 0.1 && b >= top - 0.1 && c <= right + 0.1 && d <= bottom + 0.1
    }

    /// Whether they have an area in common, and not a border only.
    pub(super) fn overlaps(&self, other: &Bounds) -> bool {
        let [left, top, right, bottom] = self.0;
        let [a, b, c, d] = other.0;
        left + 0.1 < c && a + 0.1 < right && top + 0.1 < d && b + 0.1 < bottom
    }
}

/// A text with its place.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) bounds: Bounds,
    /// The class of the group it is in; empty outside of all.
    pub(super) class: String,
    /// The rectangles of that group.
    pub(super) boxes: Vec<Bounds>,
}

/// A box of a layer, a join or a closed stage.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) class: String,
    pub(super) bounds: Bounds,
    /// How many layers it stands for.
    pub(super) layers: usize,
    pub(super) title: String,
}

/// An entry of the legend.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) visits: usize,
    pub(super) colour: String,
    pub(super) bounds: Bounds,
}

/// The lines of a shared kernel.
#[derive(Debug)]
pub(super) struct Visits {
    pub(super) label: String,
    /// Where they reach boxes.
    pub(super) ends: Vec<Bounds>,
    pub(super) lines: Vec<Bounds>,
    pub(super) colour: Option<String>,
}

/// A picture.
#[derive(Debug, Default)]
pub(super) struct Picture {
    pub(super) size: [f64; 2],
    pub(super) texts: Vec<Text>,
    pub(super) leaves: Vec<Leaf>,
    pub(super) kernels: Vec<Kernel>,
    pub(super) visits: Vec<Visits>,
    /// Horizontal and vertical parts of lines, as thin rectangles.
    pub(super) lines: Vec<Bounds>,
}

fn attribute(node: &Node<'_, '_>, name: &str) -> f64 {
    let value = node.attribute(name).unwrap_or("0");
    value.parse().unwrap_or_else(|_| panic!("{name} = {value}"))
}

fn rectangle(node: &Node<'_, '_>) -> Bounds {
    let [x, y, width, height] = ["x", "y", "width", "height"].map(|name| attribute(node, name));
    Bounds([x, y, x + width, y + height])
}

fn children<'a, 'd>(node: &Node<'a, 'd>, tag: &'static str) -> impl Iterator<Item = Node<'a, 'd>> {
    node.children().filter(move |child| child.has_tag_name(tag))
}

/// All of a text, with its spans.
fn content(node: &Node<'_, '_>) -> String {
    node.descendants()
        .filter(Node::is_text)
        .filter_map(|text| text.text())
        .collect()
}

impl Picture {
    pub(super) fn read(svg: &str) -> Self {
        let document = Document::parse(svg).expect("well-formed XML");
        let root = document.root_element();
        let mut picture = Picture {
            size: [attribute(&root, "width"), attribute(&root, "height")],
            ..Picture::default()
        };
        for node in root.descendants() {
            match node.tag_name().name() {
                "text" => picture.texts.push(text(&node)),
                "path" => picture.lines.extend(lines(&node)),
                "g" if node.has_attribute("data-layers") => picture.leaves.push(leaf(&node)),
                "g" if node
                    .attribute("class")
                    .is_some_and(|class| class.starts_with("visits ")) =>
                {
                    picture.visits.push(visits(&node));
                }
                "g" if node.has_attribute("data-kernel") => picture.kernels.push(kernel(&node)),
                _ => {}
            }
        }
        picture
    }

    /// The layers that all boxes stand for.
    pub(super) fn layers(&self) -> usize {
        self.leaves.iter().map(|leaf| leaf.layers).sum()
    }
}

/// Letters reach from 0.76 of the size above the baseline (`l`, `b`) to 0.24 below it (`g`, `,`).
fn text(node: &Node<'_, '_>) -> Text {
    let text = content(node);
    let size = attribute(node, "font-size");
    let width = font::width(&text, size);
    let (x, y) = (attribute(node, "x"), attribute(node, "y"));
    let left = match node.attribute("text-anchor") {
        None => x,
        Some("middle") => x - width / 2.0,
        Some("end") => x - width,
        Some(anchor) => panic!("{anchor}"),
    };
    let parent = node.parent_element().filter(|parent| parent.has_tag_name("g"));
    Text {
        text,
        bounds: Bounds([left, y - 0.76 * size, left + width, y + 0.24 * size]),
        class: parent
            .and_then(|group| group.attribute("class"))
            .unwrap_or("")
            .to_owned(),
        boxes: parent
            .map(|group| children(&group, "rect").map(|rect| rectangle(&rect)).collect())
            .unwrap_or_default(),
    }
}

/// What the rectangles of a group cover together: a pile is one box.
fn bounds(node: &Node<'_, '_>) -> Bounds {
    let all = children(node, "rect").map(|rect| rectangle(&rect));
    all.reduce(|Bounds([a, b, c, d]), Bounds([left, top, right, bottom])| {
        Bounds([a.min(left), b.min(top), c.max(right), d.max(bottom)])
    })
    .expect("a box")
}

fn leaf(node: &Node<'_, '_>) -> Leaf {
    Leaf {
        class: node.attribute("class").expect("a class").to_owned(),
        bounds: bounds(node),
        layers: attribute(node, "data-layers") as usize,
        title: children(node, "title").map(|title| content(&title)).collect(),
    }
}

fn kernel(node: &Node<'_, '_>) -> Kernel {
    let chip = children(node, "rect").next().expect("a chip");
    Kernel {
        name: node.attribute("data-kernel").expect("a name").to_owned(),
        label: children(node, "text")
            .next()
            .map(|text| content(&text))
            .expect("a label"),
        visits: attribute(node, "data-visits") as usize,
        colour: chip.attribute("fill").expect("a colour").to_owned(),
        bounds: rectangle(&chip),
    }
}

fn visits(node: &Node<'_, '_>) -> Visits {
    let colours: Vec<&str> = children(node, "path")
        .filter_map(|line| line.attribute("stroke"))
        .collect();
    let first = colours.first().copied();
    Visits {
        label: children(node, "title").map(|title| content(&title)).collect(),
        ends: children(node, "rect").map(|end| rectangle(&end)).collect(),
        lines: children(node, "path").flat_map(|line| lines(&line)).collect(),
        colour: first
            .filter(|first| colours.iter().all(|colour| colour == first))
            .map(str::to_owned),
    }
}

/// The straight parts of a path, which consists of `M`, `L`, `Q` and `Z`. Arrowheads are left out.
fn lines(node: &Node<'_, '_>) -> Vec<Bounds> {
    if node.attribute("class") == Some("head") {
        return Vec::new();
    }
    let d = node.attribute("d").expect("a path");
    let mut lines = Vec::new();
    let mut at: Option<[f64; 2]> = None;
    for command in d
        .split_inclusive(|c: char| c.is_ascii_alphabetic())
        .scan(' ', |name, part| {
            let command = (*name, part.trim_end_matches(|c: char| c.is_ascii_alphabetic()));
            *name = part.chars().last().unwrap_or(' ');
            Some(command)
        })
    {
        let numbers: Vec<f64> = command
            .1
            .split_whitespace()
            .map(|number| number.parse().expect("a number"))
            .collect();
        let Some(end) = numbers.last_chunk::<2>() else {
            continue;
        };
        if let ('L', Some([x, y])) = (command.0, at) {
            assert!(
                (x - end[0]).abs() < 0.02 || (y - end[1]).abs() < 0.02,
                "a slanting line: {d}"
            );
            lines.push(Bounds([x.min(end[0]), y.min(end[1]), x.max(end[0]), y.max(end[1])]));
        }
        at = Some(*end);
    }
    lines.retain(|Bounds([left, top, right, bottom])| right > left || bottom > top);
    lines
        .into_iter()
        .map(|Bounds([left, top, right, bottom])| Bounds([left - 0.75, top - 0.75, right + 0.75, bottom + 0.75]))
        .collect()
}
