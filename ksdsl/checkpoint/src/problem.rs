//! Mismatches between a file and a network.

use crate::kind::Kind;
use std::fmt;

/// The number of problems shown, and of copies in one of them.
const SHOWN: usize = 20;

/// Letters of a visit that are shown.
const LETTERS: usize = 200;

/// A mismatch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// A tensor of the network is missing in the file.
    Missing {
        /// Its key.
        key: String,
        /// If layers share the tensor, the keys of the copies that would be accepted instead.
        copies: Vec<String>,
    },
    /// The file has an unknown tensor.
    Surplus {
        /// Its key.
        key: String,
    },
    /// Every key of the file is one of the network's with the same prefix.
    Wrapped {
        /// The prefix, with its point: `module.`.
        prefix: String,
    },
    /// A tensor has another shape.
    Shape {
        /// Its key.
        key: String,
        /// In the file.
        found: Vec<u64>,
        /// In the network.
        expected: Vec<u64>,
    },
    /// A tensor has elements of another type.
    Kind {
        /// Its key.
        key: String,
        /// In the file.
        found: Kind,
        /// The expected type, in words.
        expected: String,
    },
    /// Layers that share a tensor have copies that differ.
    Untied {
        /// The tensor they share.
        shared: String,
        /// One copy.
        first: String,
        /// A copy with other values.
        second: String,
    },
    /// The file says that a tensor serves other layers.
    Visits {
        /// The tensor.
        key: String,
        /// The first that only one of them names.
        visit: String,
        /// Whether it is the file that names it.
        in_file: bool,
    },
    /// The file's metadata name visits of a tensor that the network does not share.
    Tie {
        /// The tensor.
        key: String,
        /// A tensor that the network shares, which may be meant.
        nearest: Option<String>,
    },
    /// Layers make their kernels of a tensor, so that theirs cannot be fused into it.
    Made {
        /// The tensor.
        key: String,
    },
    /// No layer has an addition of low rank for what it differs from the mean by.
    NoLowRank {
        /// The shared tensor.
        key: String,
    },
    /// Invalid weights of a mean.
    Weights {
        /// The tensor.
        key: String,
        /// What is wrong.
        what: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Missing { key, copies } if copies.is_empty() => write!(f, "`{key}` is missing"),
            Problem::Missing { key, copies } => write!(
                f,
                "`{key}` is missing, and so {} that could replace it: `{}`{}",
                if copies.len() == 1 { "is a copy" } else { "are copies" },
                copies[..copies.len().min(SHOWN)].join("`, `"),
                match copies.len().saturating_sub(SHOWN) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                }
            ),
            Problem::Surplus { key } => write!(f, "`{key}` is not a tensor of the network"),
            Problem::Wrapped { prefix } => write!(
                f,
                "every key begins with `{prefix}`, which a wrapper has put there; save the module inside the wrapper, or \
                 remove `{prefix}` from the keys"
            ),
            Problem::Shape { key, found, expected } => {
                write!(f, "`{key}` has the shape {found:?}, expected {expected:?}")
            }
            Problem::Kind { key, found, expected } => {
                write!(f, "`{key}` has the type {found}, expected {expected}")
            }
            Problem::Untied { shared, first, second } => write!(
                f,
                "`{first}` and `{second}` differ, but the layers share one tensor, `{shared}`"
            ),
            Problem::Visits { key, visit, in_file } => {
                let (yes, no) = match in_file {
                    true => ("the file", "the network"),
                    false => ("the network", "the file"),
                };
                // A file's metadata are not limited to what a terminal can show, as keys are.
                let visit: String = visit.chars().take(LETTERS).flat_map(char::escape_debug).collect();
                write!(f, "`{key}` serves `{visit}` in {yes}, but not in {no}")
            }
            Problem::Tie { key, nearest } => {
                write!(f, "the file's metadata tie `{key}`, which the network does not share")?;
                match nearest {
                    Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
                    None => Ok(()),
                }
            }
            Problem::Made { key } => write!(
                f,
                "kernels cannot be fused into `{key}`, of which layers use the transpose, slices or combinations; train \
                 the network with sharing, or share kernels as they are"
            ),
            Problem::NoLowRank { key } => write!(
                f,
                "the layers of `{key}` have no low-rank updates for what the mean leaves out; write \
                 `with private low_rank(4)` in their `share` clause, or choose another method"
            ),
            Problem::Weights { key, what } => write!(f, "invalid weights for `{key}`: {what}"),
        }
    }
}

/// All mismatches, in the order of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_weights = self.0.iter().all(|problem| matches!(problem, Problem::Weights { .. }));
        let what = if of_weights { "weights do" } else { "checkpoint does" };
        write!(f, "the {what} not match the network:")?;
        self.0
            .iter()
            .take(SHOWN)
            .try_for_each(|problem| write!(f, "\n- {problem}"))?;
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n- and {more} more"),
        }
    }
}

impl std::error::Error for Problems {}

/// `value`, or the problems there are.
pub(crate) fn unless<T>(mut problems: Vec<Problem>, value: T) -> Result<T, Problems> {
    problems.sort();
    problems.dedup();
    match problems.is_empty() {
        true => Ok(value),
        false => Err(Problems(problems)),
    }
}
