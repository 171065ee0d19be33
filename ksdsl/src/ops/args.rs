//! What layers can be given, and reading it from a call.

use super::initial::{self, InitChoice};
use crate::ir::ValueId;
use crate::source::Span;

/// A parameter of a layer.
pub struct ParamDef {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: ParamKind,
    /// Whether it must be given.
    pub required: bool,
}

/// A parameter, short.
pub(super) const fn param(name: &'static str, kind: ParamKind, required: bool) -> ParamDef {
    ParamDef { name, kind, required }
}

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ParamKind {
    /// A size of at least one.
    Size,
    /// One size for both directions or `height x width`, each at least one.
    Sizes,
    /// As `Sizes`, zero allowed.
    Zeros,
    /// As `Zeros`, or `same`, or `valid`.
    Padding,
    /// `true` or `false`.
    Flag,
    /// A number in this range, the upper end excluded where `open` says so.
    Number {
        /// The least value.
        min: f64,
        /// The largest value.
        max: f64,
    },
    /// The initial value of a parameter: `zeros`, `kaiming_normal`, `normal(0.02)`.
    Init,
    /// A whole number from zero.
    Whole,
    /// How many of several things: their number, at least one, or a fraction of them, above zero
    /// and at most one.
    Amount,
    /// A value of the forward pass by its name, or `false` for none.
    Value,
    /// One of these words and nothing else.
    Word(&'static [&'static str]),
}

impl ParamKind {
    /// What it takes where that is not a word, as messages say it.
    pub fn wanted(self) -> &'static str {
        match self {
            ParamKind::Size | ParamKind::Sizes | ParamKind::Zeros | ParamKind::Whole => "an integer",
            ParamKind::Padding => "integers, `same`, `valid` or `causal`",
            ParamKind::Flag => "`true` or `false`",
            ParamKind::Number { .. } | ParamKind::Amount => "a number",
            ParamKind::Init => "the name of an initialisation",
            ParamKind::Value => "the name of a value",
            ParamKind::Word(_) => "a word",
        }
    }
}

/// The directions that sizes are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axes {
    /// Height and width.
    Both,
    /// The length of a signal.
    Length,
}

/// How windows are padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Zeros on both sides, vertically and horizontally.
    Zeros([u64; 2]),
    /// As many zeros as make the output `ceil(input / stride)`.
    Same,
    /// Zeros before a signal alone, so that no output depends on later samples.
    Causal,
}

/// The value of an argument.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum ArgValue {
    Size(u64),
    Sizes([u64; 2]),
    Padding(Padding),
    Flag(bool),
    Number(f64),
    Init(InitChoice),
    Word(&'static str),
    Value(Option<ValueId>),
}

/// The arguments of one call, by parameter.
#[derive(Debug, Default)]
pub struct Args {
    pub(super) values: Vec<(&'static str, ArgValue, Span)>,
}

impl Args {
    /// Takes the initialisations of a call around it, for parameters of these names without one.
    pub(crate) fn inherit(&mut self, outer: &Args, params: &[ParamDef]) {
        let wanted = |name: &str| self.get(name).is_none() && params.iter().any(|param| param.name == name);
        let inits = outer
            .values
            .iter()
            .filter(|(_, value, _)| matches!(value, ArgValue::Init(_)));
        let taken: Vec<_> = inits.filter(|(name, ..)| wanted(name)).copied().collect();
        self.values.extend(taken);
    }

    /// Where the argument for a parameter was written.
    pub fn span(&self, param: &str) -> Option<Span> {
        self.values
            .iter()
            .find(|(name, ..)| *name == param)
            .map(|(_, _, span)| *span)
    }

    /// The value for a parameter, if given.
    pub fn get(&self, param: &str) -> Option<ArgValue> {
        self.values
            .iter()
            .find(|(name, ..)| *name == param)
            .map(|(_, value, _)| *value)
    }

    /// A size, or the default.
    pub fn size(&self, param: &str, default: u64) -> u64 {
        match self.get(param) {
            Some(ArgValue::Size(value)) => value,
            _ => default,
        }
    }

    /// Sizes, or the default.
    pub fn sizes(&self, param: &str, default: [u64; 2]) -> [u64; 2] {
        match self.get(param) {
            Some(ArgValue::Sizes(value)) => value,
            _ => default,
        }
    }

    /// A padding, none by default.
    pub fn padding(&self, param: &str) -> Padding {
        match self.get(param) {
            Some(ArgValue::Padding(value)) => value,
            _ => Padding::Zeros([0, 0]),
        }
    }

    /// A flag, or the default.
    pub fn flag(&self, param: &str, default: bool) -> bool {
        match self.get(param) {
            Some(ArgValue::Flag(value)) => value,
            _ => default,
        }
    }

    /// A number, or the default.
    pub fn number(&self, param: &str, default: f64) -> f64 {
        match self.get(param) {
            Some(ArgValue::Number(value)) => value,
            _ => default,
        }
    }

    /// An initialisation, if given.
    pub fn init(&self, param: &str) -> Option<InitChoice> {
        match self.get(param) {
            Some(ArgValue::Init(value)) => Some(value),
            _ => None,
        }
    }

    /// A value of the forward pass, if given.
    pub fn value(&self, param: &str) -> Option<ValueId> {
        match self.get(param) {
            Some(ArgValue::Value(value)) => value,
            _ => None,
        }
    }

    /// All values of the forward pass that are given, with their parameters.
    pub(crate) fn given_values(&self) -> impl Iterator<Item = (&'static str, ValueId)> + '_ {
        self.values.iter().filter_map(|(name, value, _)| match value {
            ArgValue::Value(value) => value.map(|id| (*name, id)),
            _ => None,
        })
    }

    /// A word, or the default.
    pub fn word(&self, param: &str, default: &'static str) -> &'static str {
        match self.get(param) {
            Some(ArgValue::Word(value)) => value,
            _ => default,
        }
    }
}

/// Whether a name in an argument for this parameter is a word of the language rather than a
/// parameter of the user's.
pub fn is_word(kind: ParamKind, word: &str) -> bool {
    match kind {
        ParamKind::Padding => matches!(word, "same" | "valid" | "causal"),
        ParamKind::Init => initial::is_word(word),
        ParamKind::Word(words) => words.contains(&word),
        _ => false,
    }
}

/// The words that an argument for this parameter may be, and what to say where `name` is none of them.
pub fn takes(param: &ParamDef, name: &str) -> (&'static [&'static str], Option<String>) {
    let param_name = param.name;
    let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(name));
    match param.kind {
        ParamKind::Padding => (
            &["same", "valid", "causal"],
            Some(format!("`{param_name}` takes sizes, `same`, `valid` or `causal`")),
        ),
        ParamKind::Zeros if is(&["same", "valid", "full"]) => {
            (&[], Some(format!("`{param_name}` takes numbers here, such as 0 or 1")))
        }
        ParamKind::Flag if is(&["yes", "no", "on", "off", "none", "null", "nil"]) => {
            (&[], Some(format!("`{param_name}` takes `true` or `false`")))
        }
        _ => (&[], None),
    }
}
