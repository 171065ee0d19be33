//! What expressions can refer to.

use super::Value;
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use std::collections::HashMap;
use std::rc::Rc;

/// The names of the sizes of the current value.
pub const SIZES: [&str; 6] = [
    "in_channels",
    "in_height",
    "in_width",
    "in_length",
    "in_features",
    "in_tokens",
];

/// The value that the next step receives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Current {
    /// There is none here.
    #[default]
    Nowhere,
    /// It could not be computed, and that was reported.
    Unknown,
    /// Feature maps.
    Map {
        /// Their number.
        channels: u64,
        /// Their height.
        height: u64,
        /// Their width.
        width: u64,
    },
    /// A vector.
    Vector {
        /// Its length.
        features: u64,
    },
    /// A signal.
    Signal {
        /// Its channels.
        channels: u64,
        /// Its length.
        length: u64,
    },
    /// A sequence.
    Tokens {
        /// The number of tokens.
        length: u64,
        /// Features of a token; none for token ids.
        features: Option<u64>,
    },
}

impl Current {
    /// A size by its name. `None` if it is unknown.
    fn size(self, name: &str, span: Span) -> Result<Option<Value>, Box<Diagnostic>> {
        let value = |size: u64| Ok(Some(Value::Int(i64::try_from(size).unwrap_or(i64::MAX))));
        let error = |code, help: &str| Diagnostic::error(code, span, format!("`{name}` has no value here")).help(help);
        let no = |what: String, help: &str| Err(Box::new(error(Code::WrongInput, help).label(what)));
        match (self, name) {
            (Current::Unknown, _) => Ok(None),
            (Current::Map { channels, .. }, "in_channels") => value(channels),
            (Current::Map { height, .. }, "in_height") => value(height),
            (Current::Map { width, .. }, "in_width") => value(width),
            (Current::Signal { channels, .. }, "in_channels") => value(channels),
            (Current::Signal { length, .. }, "in_length") => value(length),
            (Current::Signal { channels, .. }, _) => no(
                format!("the current value is a signal of {channels} channels"),
                "write `in_channels` or `in_length`",
            ),
            (Current::Vector { features }, "in_features") => value(features),
            (Current::Tokens { length, .. }, "in_tokens") => value(length),
            (
                Current::Tokens {
                    features: Some(features),
                    ..
                },
                "in_features",
            ) => value(features),
            (
                Current::Tokens {
                    length,
                    features: Some(_),
                },
                _,
            ) => no(
                format!("the current value is a sequence of {length} tokens"),
                "write `in_tokens` or `in_features`",
            ),
            (Current::Tokens { length, features: None }, _) => no(
                format!("the current value is a sequence of {length} token ids"),
                "write `in_tokens`",
            ),
            (Current::Map { channels, .. }, _) => no(
                format!("the current value is feature maps of {channels} channels"),
                "write `in_channels`, `in_height` or `in_width`",
            ),
            (Current::Vector { features }, _) => no(
                format!("the current value is a vector of {features} features"),
                "write `in_features`",
            ),
            (Current::Nowhere, _) => Err(Box::new(error(Code::UnknownName, AFTER_INPUT))),
        }
    }
}

/// What to do where there is no current value.
pub(crate) const AFTER_INPUT: &str =
    "sizes of the current value exist in the body of a network, after its `input`, and in blocks";

/// Named values: what expressions can refer to. Inner names hide nothing but words, the checks see to that.
#[derive(Clone, Debug, Default)]
pub struct Env {
    outer: Option<Rc<Env>>,
    values: HashMap<String, Option<Value>>,
    order: Vec<String>,
    current: Current,
}

impl Env {
    /// An environment inside another one.
    pub fn inside(outer: Rc<Env>) -> Self {
        Env {
            outer: Some(outer),
            ..Env::default()
        }
    }

    /// Binds names to themselves, as words.
    pub fn bind_words<'w>(&mut self, words: impl IntoIterator<Item = &'w str>) {
        for word in words {
            self.bind(word, Some(Value::word(word)));
        }
    }

    /// Sets the current value.
    pub fn set_current(&mut self, current: Current) {
        self.current = current;
    }

    /// Binds a name; `None` is a value that could not be computed and was reported.
    pub fn bind(&mut self, name: &str, value: Option<Value>) {
        self.values.insert(name.to_owned(), value);
        self.order.push(name.to_owned());
    }

    /// The number of bound names: the mark for [`Env::truncate`].
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether no name is bound.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Forgets the names bound since `len` was read.
    pub fn truncate(&mut self, len: usize) {
        for name in self.order.drain(len.min(self.order.len())..) {
            self.values.remove(&name);
        }
    }

    /// Whether a name is bound.
    pub fn knows(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Whether a name is bound in here or around, up to and without `words`.
    pub fn hides(&self, name: &str, words: &Rc<Env>) -> bool {
        let outer = self.outer.as_ref().filter(|outer| !Rc::ptr_eq(outer, words));
        self.values.contains_key(name) || outer.is_some_and(|outer| outer.hides(name, words))
    }

    /// The value bound to a name.
    pub fn get(&self, name: &str) -> Option<Value> {
        self.find(name).cloned().flatten()
    }

    fn find(&self, name: &str) -> Option<&Option<Value>> {
        let outer = || self.outer.as_ref().and_then(|outer| outer.find(name));
        self.values.get(name).or_else(outer)
    }

    /// The value of a name in an expression. `None` if it is unknown, which was reported.
    pub(super) fn value(&self, name: &str, span: Span) -> Result<Option<Value>, Box<Diagnostic>> {
        match SIZES.contains(&name) {
            true => self.current.size(name, span),
            false => Ok(self.get(name)),
        }
    }
}
