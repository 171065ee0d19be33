//! Why an operation refuses its arguments or inputs, and the checks of inputs that operations share.

use super::Shape;
use crate::diag::Code;
use crate::ir::in_words;

/// Why a layer's arguments or input are invalid.
#[derive(Debug)]
pub struct Problem {
    /// The kind of problem.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// The parameter to point at, if one is to blame rather than the whole layer.
    pub param: Option<&'static str>,
    /// How to fix it.
    pub help: Option<String>,
    /// Of inputs that do not fit together, which.
    pub clash: Option<Box<Clash>>,
}

/// Inputs that do not fit together.
#[derive(Clone, Copy, Debug)]
pub struct Clash {
    /// How many of the first inputs fit together.
    pub joined: usize,
    /// The shape they have together.
    pub so_far: Shape,
    /// The shape of the next, which does not fit.
    pub next: Shape,
}

impl Problem {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Problem {
            code,
            message: message.into(),
            param: None,
            help: None,
            clash: None,
        }
    }

    pub(super) fn at(mut self, param: &'static str) -> Self {
        self.param = Some(param);
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The map sizes, for layers that take maps only.
pub(super) fn map_of(name: &str, input: Shape) -> Result<(u64, u64, u64), Problem> {
    match input {
        Shape::Map {
            channels,
            height,
            width,
        } => Ok((channels, height, width)),
        Shape::Signal { channels, length } => Ok((channels, 1, length)),
        Shape::Flat(features) => Err(Problem::new(
            Code::WrongInput,
            format!("`{name}` expects feature maps, but its input is a vector of {features} features"),
        )
        .help("move it before the global pooling or `flatten` that produces the vector")),
        Shape::Tokens { .. } | Shape::Ids { .. } => Err(not_taken(name, input)),
    }
}

/// The problem of a layer that does not take sequences.
pub(crate) fn not_taken(name: &str, input: Shape) -> Problem {
    let text = format!("`{name}` cannot take {}", in_words(input));
    let help = match input {
        Shape::Ids { .. } => "write `embedding(features)` before it",
        Shape::Map { .. } | Shape::Flat(_) => "it takes sequences: `to_tokens` makes one of feature maps",
        Shape::Signal { .. } => {
            "a signal has one row: `to_tokens` makes a sequence of it, and an input of `channels x height x width` is feature maps"
        }
        Shape::Tokens { .. } => {
            "sequences take `linear`, `attention`, norms over the features, activations and dropout; an input of `channels x height x width` is feature maps, one of `channels x length as signal` a signal"
        }
    };
    Problem::new(Code::WrongInput, text).help(help)
}

/// Features of the positions of maps or of the tokens of a sequence.
pub(super) fn positions_of(name: &str, input: Shape) -> Result<u64, Problem> {
    match input {
        Shape::Tokens { features, .. } => Ok(features),
        input => map_of(name, input).map(|(channels, ..)| channels),
    }
}

/// Whether it is anything but token ids.
pub(super) fn is_numbers(input: Shape) -> bool {
    !matches!(input, Shape::Ids { .. })
}

/// Whether input and output channels can be split into this many groups, which are the argument for a parameter.
pub(super) fn groups_divide(
    [inputs, outputs]: [u64; 2],
    groups: u64,
    groups_param: Option<&'static str>,
) -> Result<(), Problem> {
    for (count, which) in [(inputs, "input"), (outputs, "output")] {
        if count % groups != 0 {
            let text = format!("{count} {which} channels cannot be split into {groups} groups");
            let problem = Problem::new(Code::GroupsDoNotDivide, text).help(format!(
                "{groups} must divide both {inputs} input and {outputs} output channels"
            ));
            return Err(match groups_param {
                Some(name) => problem.at(name),
                None => problem,
            });
        }
    }
    Ok(())
}

/// The shape of inputs that are joined one by one; `what` is what cannot be done to those that do not fit, in the
/// participle, and `help` how they would.
pub(super) fn joined(
    inputs: &[Shape],
    join: impl Fn(Shape, Shape) -> Option<Shape>,
    (code, what, help): (Code, &str, &str),
) -> Result<Shape, Problem> {
    let mut so_far = inputs[0];
    for (joined, next) in inputs.iter().copied().enumerate().skip(1) {
        so_far = join(so_far, next).ok_or_else(|| {
            let text = format!("{} and {} cannot be {what}", in_words(so_far), in_words(next));
            Problem {
                clash: Some(Box::new(Clash { joined, so_far, next })),
                ..Problem::new(code, text).help(help)
            }
        })?;
    }
    Ok(so_far)
}

/// The shape of equal inputs.
pub(super) fn equal(inputs: &[Shape], what: &str) -> Result<Shape, Problem> {
    let help = "all paths must have the same shape";
    joined(inputs, |a, b| (a == b).then_some(a), (Code::ShapesDiffer, what, help))
}
