//! What layers can be given, and reading it from a call.

use super::initial::{self, InitChoice};
use super::words;
use crate::ast::{Arg, Dims, Expr, ExprKind};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::ir::ValueId;
use crate::limits;
use crate::source::Span;
use crate::value::{Env, Value, eval};

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
    values: Vec<(&'static str, ArgValue, Span)>,
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

/// Reads the arguments of a call to a layer with these parameters. `None` if one of them cannot be
/// used (which is reported) or is missing (which the checks of names report).
pub fn read(params: &'static [ParamDef], args: &[Arg], env: &Env, diagnostics: &mut Diagnostics) -> Option<Args> {
    read_along(params, args, (env, Axes::Both), diagnostics)
}

/// As [`read`], with sizes for these directions.
pub fn read_along(
    params: &'static [ParamDef],
    args: &[Arg],
    along: (&Env, Axes),
    diagnostics: &mut Diagnostics,
) -> Option<Args> {
    let args = given_along(params, args, along, diagnostics)?;
    let complete = params
        .iter()
        .all(|param| !param.required || args.get(param.name).is_some());
    complete.then_some(args)
}

/// As [`read`], also where required arguments are missing.
pub fn read_given(params: &'static [ParamDef], args: &[Arg], env: &Env, diagnostics: &mut Diagnostics) -> Option<Args> {
    given_along(params, args, (env, Axes::Both), diagnostics)
}

fn given_along(
    params: &'static [ParamDef],
    args: &[Arg],
    (env, axes): (&Env, Axes),
    diagnostics: &mut Diagnostics,
) -> Option<Args> {
    let mut values = Vec::new();
    let mut complete = true;
    for (position, arg) in args.iter().enumerate() {
        let param = match &arg.name {
            Some(name) => params.iter().find(|param| param.name == name.value),
            None => params.get(position),
        };
        match param.and_then(|param| Some((param.name, value(param, &arg.value, (env, axes), diagnostics)?))) {
            Some((name, value)) => values.push((name, value, arg.value.span)),
            None => complete = false,
        }
    }
    complete.then_some(Args { values })
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

fn value(param: &ParamDef, dims: &Dims, (env, axes): (&Env, Axes), diagnostics: &mut Diagnostics) -> Option<ArgValue> {
    let is_of_axes = matches!(param.kind, ParamKind::Sizes | ParamKind::Zeros | ParamKind::Padding);
    let limit = if is_of_axes && axes == Axes::Both { 2 } else { 1 };
    if dims.sizes.len() > limit {
        let text = format!(
            "`{}` takes at most {limit} size{}",
            param.name,
            if limit == 1 { "" } else { "s" }
        );
        let diagnostic = Diagnostic::error(Code::WrongType, dims.span, text);
        diagnostics.push(match is_of_axes && axes == Axes::Length {
            true => diagnostic.help("a signal has one direction, its length"),
            false => diagnostic,
        });
        return None;
    }
    let value = value_of_both(param, dims, env, diagnostics)?;
    Some(match (axes, value) {
        (Axes::Length, ArgValue::Sizes([_, along])) => ArgValue::Sizes([across(param), along]),
        (Axes::Length, ArgValue::Padding(Padding::Zeros([_, along]))) => {
            ArgValue::Padding(Padding::Zeros([across(param), along]))
        }
        (_, value) => value,
    })
}

/// The size in the direction that a signal does not have.
fn across(param: &ParamDef) -> u64 {
    u64::from(param.kind == ParamKind::Sizes)
}

fn value_of_both(param: &ParamDef, dims: &Dims, env: &Env, diagnostics: &mut Diagnostics) -> Option<ArgValue> {
    let first = dims.sizes.first()?;
    match param.kind {
        ParamKind::Size => size(param, first, 1, env, diagnostics).map(ArgValue::Size),
        ParamKind::Sizes => sizes(param, dims, 1, env, diagnostics).map(ArgValue::Sizes),
        ParamKind::Zeros => sizes(param, dims, 0, env, diagnostics).map(ArgValue::Sizes),
        ParamKind::Padding => match &first.kind {
            ExprKind::Name(word) if word == "same" => Some(ArgValue::Padding(Padding::Same)),
            ExprKind::Name(word) if word == "valid" => Some(ArgValue::Padding(Padding::Zeros([0, 0]))),
            ExprKind::Name(word) if word == "causal" => Some(ArgValue::Padding(Padding::Causal)),
            ExprKind::Name(_) | ExprKind::Function(..) | ExprKind::Index(..) if dims.sizes.len() == 1 => {
                padding(param, first, env, diagnostics).map(ArgValue::Padding)
            }
            _ => sizes(param, dims, 0, env, diagnostics).map(|pad| ArgValue::Padding(Padding::Zeros(pad))),
        },
        ParamKind::Flag => match eval(first, env, diagnostics)? {
            Value::Bool(flag) => Some(ArgValue::Flag(flag)),
            other => wrong_type(param, first.span, &other, diagnostics),
        },
        ParamKind::Number { min, max } => number(param, first, (min, max), env, diagnostics).map(ArgValue::Number),
        ParamKind::Init => initial::read(param, first, env, diagnostics).map(ArgValue::Init),
        ParamKind::Whole => whole(param, first, env, diagnostics).map(ArgValue::Size),
        ParamKind::Amount => amount(param, first, env, diagnostics),
        ParamKind::Value => match eval(first, env, diagnostics)? {
            Value::Kept(id) => Some(ArgValue::Value(Some(id))),
            Value::Bool(false) => Some(ArgValue::Value(None)),
            other => wrong_type(param, first.span, &other, diagnostics),
        },
        ParamKind::Word(words) => words::word(param, first, words, env, diagnostics),
    }
}

/// A padding that is computed: a size or a word.
fn padding(param: &ParamDef, expr: &Expr, env: &Env, diagnostics: &mut Diagnostics) -> Option<Padding> {
    match eval(expr, env, diagnostics)? {
        Value::Word(word) if &*word == "same" => Some(Padding::Same),
        Value::Word(word) if &*word == "valid" => Some(Padding::Zeros([0, 0])),
        Value::Word(word) if &*word == "causal" => Some(Padding::Causal),
        Value::Int(value) => in_range(param, expr, value, 0, diagnostics).map(|pad| Padding::Zeros([pad; 2])),
        other => wrong_type(param, expr.span, &other, diagnostics),
    }
}

fn sizes(param: &ParamDef, dims: &Dims, min: i64, env: &Env, diagnostics: &mut Diagnostics) -> Option<[u64; 2]> {
    let first = size(param, dims.sizes.first()?, min, env, diagnostics);
    match dims.sizes.get(1) {
        Some(second) => {
            let second = size(param, second, min, env, diagnostics);
            Some([first?, second?])
        }
        None => Some([first?; 2]),
    }
}

fn size(param: &ParamDef, expr: &Expr, min: i64, env: &Env, diagnostics: &mut Diagnostics) -> Option<u64> {
    match eval(expr, env, diagnostics)? {
        Value::Int(value) => in_range(param, expr, value, min, diagnostics),
        other => wrong_type(param, expr.span, &other, diagnostics),
    }
}

fn in_range(param: &ParamDef, expr: &Expr, value: i64, min: i64, diagnostics: &mut Diagnostics) -> Option<u64> {
    if (min..=limits::DIMENSION).contains(&value) {
        return u64::try_from(value).ok();
    }
    let range = format!("between {min} and {}", limits::DIMENSION);
    diagnostics.push(out_of_range(param.name, expr.span, value, range));
    None
}

fn whole(param: &ParamDef, expr: &Expr, env: &Env, diagnostics: &mut Diagnostics) -> Option<u64> {
    match eval(expr, env, diagnostics)? {
        Value::Int(value) => u64::try_from(value).ok().or_else(|| {
            diagnostics.push(out_of_range(param.name, expr.span, value, "at least 0".to_owned()));
            None
        }),
        other => wrong_type(param, expr.span, &other, diagnostics),
    }
}

/// An integer is a count, a floating-point number a part of the whole: `1` is one, `1.0` all.
fn amount(param: &ParamDef, expr: &Expr, env: &Env, diagnostics: &mut Diagnostics) -> Option<ArgValue> {
    let value = eval(expr, env, diagnostics)?;
    match value {
        Value::Int(value) if value >= 1 => u64::try_from(value).ok().map(ArgValue::Size),
        Value::Float(value) if value > 0.0 && value <= 1.0 => Some(ArgValue::Number(value)),
        Value::Int(_) | Value::Float(_) => {
            let text = "at least 1, or a fraction above 0.0 and at most 1.0".to_owned();
            diagnostics.push(out_of_range(param.name, expr.span, value, text));
            None
        }
        other => wrong_type(param, expr.span, &other, diagnostics),
    }
}

pub(super) fn number(
    param: &ParamDef,
    expr: &Expr,
    range: (f64, f64),
    env: &Env,
    diagnostics: &mut Diagnostics,
) -> Option<f64> {
    let value = eval(expr, env, diagnostics)?;
    let Some(number) = value.as_f64() else {
        return wrong_type(param, expr.span, &value, diagnostics);
    };
    if (range.0..range.1).contains(&number) {
        return Some(number);
    }
    let text = format!("at least {} and below {}", range.0, range.1);
    diagnostics.push(out_of_range(param.name, expr.span, value, text));
    None
}

pub(super) fn wrong_type<T>(param: &ParamDef, span: Span, got: &Value, diagnostics: &mut Diagnostics) -> Option<T> {
    let text = format!("`{}` takes {}", param.name, param.kind.wanted());
    let diagnostic = Diagnostic::error(Code::WrongType, span, text).label(format!("this is {}", got.described()));
    let two = matches!(param.kind, ParamKind::Sizes | ParamKind::Zeros | ParamKind::Padding);
    let sizes = match got {
        Value::List(list) if two && matches!(list.items().len(), 1 | 2) => list.items(),
        _ => &[],
    };
    let sizes: Vec<String> = sizes.iter().map(Value::to_string).collect();
    if param.kind == ParamKind::Value {
        let help = "give the name of an input, as of `input lengths: 1`, or of a value that `keep` names";
        diagnostics.push(diagnostic.help(help));
        return None;
    }
    diagnostics.push(match sizes.is_empty() {
        true => diagnostic.maybe_help(match got {
            Value::Word(word) => takes(param, word).1,
            _ => None,
        }),
        false => diagnostic
            .help(format!("sizes are separated by `x`: write `{}`", sizes.join(" x ")))
            .fix(span, sizes.join(" x ")),
    });
    None
}

fn out_of_range(name: &str, span: Span, value: impl std::fmt::Display, range: String) -> Diagnostic {
    Diagnostic::error(Code::OutOfRange, span, format!("`{name}` cannot be {value}")).label(format!("must be {range}"))
}
