//! What a picture consists of. Places are relative to the group that a mark is in.

/// A mark.
pub(super) enum Mark {
    Rect(Rect),
    Text(Text),
    Line(Line),
    Group(Group),
}

/// Where and how large.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A rectangle.
pub(super) struct Rect {
    pub(super) area: Area,
    pub(super) radius: f64,
    /// Its class in the style sheet.
    pub(super) class: &'static str,
    /// The colour of a shared kernel, and how much of it.
    pub(super) colour: Option<(&'static str, f64)>,
}

/// Text in one line.
pub(super) struct Text {
    pub(super) x: f64,
    /// The middle of its line.
    pub(super) y: f64,
    pub(super) size: f64,
    pub(super) anchor: Anchor,
    /// Parts with their classes.
    pub(super) runs: Vec<(&'static str, String)>,
}

/// Which point of a text is given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
}

/// A line with rounded corners.
pub(super) struct Line {
    pub(super) points: Vec<[f64; 2]>,
    pub(super) class: &'static str,
    /// The colour of a shared kernel.
    pub(super) colour: Option<&'static str>,
    /// Whether it ends in an arrowhead.
    pub(super) arrow: bool,
}

/// Marks that belong together.
#[derive(Default)]
pub(super) struct Group {
    pub(super) at: [f64; 2],
    pub(super) class: String,
    /// The shared kernels that it is about, counted from 0.
    pub(super) kernels: Vec<usize>,
    /// What is shown when the pointer is on it.
    pub(super) title: String,
    /// Attributes for programs.
    pub(super) data: Vec<(&'static str, String)>,
    pub(super) marks: Vec<Mark>,
}

impl Area {
    pub(super) fn new(x: f64, y: f64, width: f64, height: f64) -> Self {
        Area { x, y, width, height }
    }
}

impl Rect {
    pub(super) fn mark(area: Area, radius: f64, class: &'static str) -> Mark {
        Mark::Rect(Rect {
            area,
            radius,
            class,
            colour: None,
        })
    }

    pub(super) fn coloured(area: Area, radius: f64, (colour, amount): (&'static str, f64)) -> Mark {
        Mark::Rect(Rect {
            area,
            radius,
            class: "",
            colour: Some((colour, amount)),
        })
    }
}

impl Text {
    pub(super) fn mark([x, y]: [f64; 2], size: f64, anchor: Anchor, runs: Vec<(&'static str, String)>) -> Mark {
        Mark::Text(Text {
            x,
            y,
            size,
            anchor,
            runs,
        })
    }
}

impl Line {
    pub(super) fn mark(points: impl Into<Vec<[f64; 2]>>) -> Mark {
        Self::with(points, "line", false)
    }

    pub(super) fn arrow(points: impl Into<Vec<[f64; 2]>>) -> Mark {
        Self::with(points, "line", true)
    }

    pub(super) fn with(points: impl Into<Vec<[f64; 2]>>, class: &'static str, arrow: bool) -> Mark {
        Mark::Line(Line {
            points: points.into(),
            class,
            colour: None,
            arrow,
        })
    }

    pub(super) fn coloured(points: impl Into<Vec<[f64; 2]>>, colour: &'static str) -> Mark {
        Mark::Line(Line {
            points: points.into(),
            class: "visit",
            colour: Some(colour),
            arrow: false,
        })
    }
}

/// Marks at a place.
pub(super) fn at(x: f64, y: f64, marks: Vec<Mark>) -> Mark {
    Mark::Group(Group {
        at: [x, y],
        marks,
        ..Group::default()
    })
}
