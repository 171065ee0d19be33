//! Why a network has no steps.

use crate::ir::WrongCount;
use std::fmt;

/// Why a network has no steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A layer that has none.
    Unsupported {
        /// Its path, or the word of an operation that is no layer.
        place: String,
        /// The operation.
        word: &'static str,
        /// What is in the way, if not all of it.
        what: Option<String>,
        /// Where it is written, if it is a layer.
        offset: Option<usize>,
    },
    /// An input of token ids.
    Ids {
        /// The input.
        name: String,
    },
    /// A loop that the network has not, or that cannot run so often.
    Steps(WrongCount),
    /// A loop whose items stop on their own.
    Exit {
        /// The name of the loop.
        name: String,
    },
    /// More than is written.
    TooLarge {
        /// What there is too much of, in words.
        what: String,
    },
    /// A weight, or what is made of some, that is no finite number.
    NotFinite {
        /// The tensor, and what was made of it.
        key: String,
    },
    /// Weights that are not those of the network.
    Weights,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unsupported {
                place,
                word,
                what: Some(what),
                ..
            } => write!(f, "`{place}` ({word}) cannot be exported to C: {what}"),
            Error::Unsupported { place, word, .. } => {
                write!(f, "`{place}` cannot be exported to C: `{word}` is not supported there")
            }
            Error::Ids { name } => write!(f, "the input `{name}` takes token ids, which cannot be exported to C"),
            Error::Steps(wrong) => wrong.fmt(f),
            Error::Exit { name } => write!(
                f,
                "the loop `{name}` has an exit, which cannot be exported to C: remove it, or choose a count of steps"
            ),
            Error::TooLarge { what } => write!(f, "the network is too large for C: {what}"),
            Error::NotFinite { key } => write!(f, "`{key}` has values that are not finite"),
            Error::Weights => f.write_str("the weights are not those of the network"),
        }
    }
}

impl std::error::Error for Error {}
