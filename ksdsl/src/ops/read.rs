//! Reading the arguments of a call: each expression becomes a value of the kind that its parameter has.

use super::args::{ArgValue, Args, Axes, Padding, ParamDef, ParamKind, takes};
use super::{initial, words};
use crate::ast::{Arg, Dims, Expr, ExprKind};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::limits;
use crate::source::Span;
use crate::value::{Env, Value, eval};

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
