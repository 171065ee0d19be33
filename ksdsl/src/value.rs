//! Values and the evaluation of expressions.

mod collections;
mod env;
mod kinds;

use crate::ast::{Arg, BinaryOp, Expr, ExprKind};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::source::{Name, Span, Spanned};
pub(crate) use env::AFTER_INPUT;
pub use env::{Current, Env, SIZES};
pub(crate) use kinds::GivenArg;
pub use kinds::{CallValue, List, Value};

/// The functions of the language with their number of arguments.
pub const FUNCTIONS: &[(&str, usize)] = &[
    ("min", 2),
    ("max", 2),
    ("select", 3),
    ("floor_div", 2),
    ("ceil_div", 2),
    ("len", 1),
    ("sqrt", 1),
];

/// Computes an expression. `None` means that it could not be computed, and that this has been
/// reported, here or by the checks of names.
pub fn eval(expr: &Expr, env: &Env, diagnostics: &mut Diagnostics) -> Option<Value> {
    match &expr.kind {
        ExprKind::Invalid => None,
        ExprKind::Int(value) => Some(Value::Int(*value)),
        ExprKind::Float(value) => Some(Value::Float(*value)),
        ExprKind::Bool(value) => Some(Value::Bool(*value)),
        ExprKind::Name(name) => report(env.value(name, expr.span), diagnostics)?,
        ExprKind::Kept(id) => Some(Value::Kept(*id)),
        ExprKind::List(items) => collections::list(items, expr.span, env, diagnostics),
        ExprKind::Index(list, index) => collections::item(list, index, env, diagnostics),
        ExprKind::Function(name, args) if is_function(&name.value) => {
            let args = plain(name, args)?;
            let values = args
                .iter()
                .map(|arg| eval(arg, env, diagnostics))
                .collect::<Option<Vec<_>>>()?;
            report(function(name, &args, values, expr.span), diagnostics)
        }
        ExprKind::Function(name, args) => collections::call(name, args, env, diagnostics),
        ExprKind::Negate(inner) => match eval(inner, env, diagnostics)? {
            Value::Int(value) => report(
                value.checked_neg().map(Value::Int).ok_or_else(|| overflow(expr.span)),
                diagnostics,
            ),
            Value::Float(value) => Some(Value::Float(-value)),
            value => report(Err(wrong_type(inner.span, "a number", &value)), diagnostics),
        },
        ExprKind::Not(inner) => match eval(inner, env, diagnostics)? {
            Value::Bool(value) => Some(Value::Bool(!value)),
            value => report(Err(wrong_type(inner.span, "a boolean", &value)), diagnostics),
        },
        ExprKind::Binary(left, operator, right) => {
            let (a, b) = (eval(left, env, diagnostics), eval(right, env, diagnostics));
            report(binary((left, a?), operator, (right, b?), expr.span), diagnostics)
        }
    }
}

/// Whether this is a function of the language, which has a value at once; all others are calls for later.
pub fn is_function(name: &str) -> bool {
    FUNCTIONS.iter().any(|(known, _)| *known == name)
}

/// The arguments of a function; with other ones it was reported by the checks of names.
fn plain<'e>(name: &Name, args: &'e [Arg]) -> Option<Vec<&'e Expr>> {
    let (_, wanted) = FUNCTIONS.iter().find(|(known, _)| *known == name.value)?;
    let arg = |arg: &'e Arg| match (&arg.name, arg.value.sizes.as_slice()) {
        (None, [value]) => Some(value),
        _ => None,
    };
    let args: Vec<&Expr> = args.iter().map(arg).collect::<Option<_>>()?;
    (args.len() == *wanted).then_some(args)
}

/// Computes an integer.
pub fn eval_int(expr: &Expr, env: &Env, diagnostics: &mut Diagnostics) -> Option<i64> {
    match eval(expr, env, diagnostics)? {
        Value::Int(value) => Some(value),
        value => report(Err(wrong_type(expr.span, "an integer", &value)), diagnostics),
    }
}

/// Computes a boolean.
pub fn eval_bool(expr: &Expr, env: &Env, diagnostics: &mut Diagnostics) -> Option<bool> {
    match eval(expr, env, diagnostics)? {
        Value::Bool(value) => Some(value),
        value => report(Err(wrong_type(expr.span, "a boolean", &value)), diagnostics),
    }
}

type Evaluated = Result<Value, Box<Diagnostic>>;

fn report<T>(result: Result<T, Box<Diagnostic>>, diagnostics: &mut Diagnostics) -> Option<T> {
    result.map_err(|diagnostic| diagnostics.push(*diagnostic)).ok()
}

fn wrong_type(span: Span, wanted: &str, got: &Value) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::error(Code::WrongType, span, format!("expected {wanted}"))
            .label(format!("this is {}", got.described())),
    )
}

fn overflow(span: Span) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::error(Code::Overflow, span, "arithmetic overflow")
            .help("integers lie between -9223372036854775808 and 9223372036854775807"),
    )
}

fn by_zero(span: Span) -> Box<Diagnostic> {
    Box::new(Diagnostic::error(Code::DivisionByZero, span, "division by zero").label("this is 0"))
}

fn function(name: &Name, args: &[&Expr], mut values: Vec<Value>, span: Span) -> Evaluated {
    match (name.value.as_str(), values.as_slice()) {
        ("select", [Value::Bool(condition), ..]) => {
            let chosen = if *condition { 1 } else { 2 };
            Ok(values.swap_remove(chosen))
        }
        ("select", [condition, ..]) => Err(wrong_type(args[0].span, "a boolean", condition)),
        ("len", [Value::List(list)]) => Ok(Value::Int(i64::try_from(list.items().len()).unwrap_or(i64::MAX))),
        ("len", [other, ..]) => Err(wrong_type(args[0].span, "a list", other)),
        ("min" | "max", [a, b]) => {
            let (x, y) = (number(args[0], a)?, number(args[1], b)?);
            let first = if name.value == "min" { x <= y } else { x >= y };
            Ok(if first { a.clone() } else { b.clone() })
        }
        ("sqrt", [value]) => root(args[0], value),
        ("floor_div" | "ceil_div", [Value::Int(_), Value::Int(0)]) => Err(by_zero(args[1].span)),
        ("floor_div" | "ceil_div", [Value::Int(a), Value::Int(b)]) => rounded(&name.value, *a, *b, span),
        (_, values) => {
            let odd = values
                .iter()
                .position(|value| !matches!(value, Value::Int(_)))
                .unwrap_or(0);
            Err(match (args.get(odd), values.get(odd)) {
                (Some(arg), Some(value)) => wrong_type(arg.span, "an integer", value),
                _ => Box::new(Diagnostic::error(
                    Code::WrongType,
                    span,
                    "this function needs arguments",
                )),
            })
        }
    }
}

/// The square root, which is no integer even where it could be.
fn root(arg: &Expr, value: &Value) -> Evaluated {
    let number = number(arg, value)?;
    if number < 0.0 {
        let text = format!("the square root of {value} is no real number");
        return Err(Box::new(
            Diagnostic::error(Code::OutOfRange, arg.span, text).label("must be at least 0"),
        ));
    }
    Ok(Value::Float(number.sqrt()))
}

fn rounded(name: &str, a: i64, b: i64, span: Span) -> Evaluated {
    let quotient = a.checked_div(b).ok_or_else(|| overflow(span))?;
    // The quotient is rounded towards zero: towards the wrong side half of the time.
    let (exact, negative) = (quotient * b == a, (a < 0) != (b < 0));
    let step = match name {
        "floor_div" if !exact && negative => -1,
        "ceil_div" if !exact && !negative => 1,
        _ => 0,
    };
    Ok(Value::Int(quotient + step))
}

fn number(expr: &Expr, value: &Value) -> Result<f64, Box<Diagnostic>> {
    value.as_f64().ok_or_else(|| wrong_type(expr.span, "a number", value))
}

fn binary(left: (&Expr, Value), operator: &Spanned<BinaryOp>, right: (&Expr, Value), span: Span) -> Evaluated {
    use BinaryOp::*;
    match (operator.value, &left.1, &right.1) {
        (And, Value::Bool(a), Value::Bool(b)) => Ok(Value::Bool(*a && *b)),
        (Or, Value::Bool(a), Value::Bool(b)) => Ok(Value::Bool(*a || *b)),
        (And | Or, Value::Bool(_), other) => Err(wrong_type(right.0.span, "a boolean", other)),
        (And | Or, other, _) => Err(wrong_type(left.0.span, "a boolean", other)),
        (Eq, Value::Bool(a), Value::Bool(b)) => Ok(Value::Bool(a == b)),
        (Ne, Value::Bool(a), Value::Bool(b)) => Ok(Value::Bool(a != b)),
        (Eq | Ne, a, b) if is_name(a) && is_name(b) => Ok(Value::Bool(same_word(a, b) == (operator.value == Eq))),
        (Eq | Ne | Le | Ge | Lt | Gt, _, _) => compare((left.0, &left.1), operator.value, (right.0, &right.1)),
        (_, Value::Int(a), Value::Int(b)) => integer(*a, operator.value, *b, right.0.span, span),
        _ => real((left.0, &left.1), operator.value, (right.0, &right.1), span),
    }
}

/// Whether a value can be compared with words.
fn is_name(value: &Value) -> bool {
    matches!(value, Value::Word(_) | Value::Call(_))
}

/// Whether two values are one word; a call with arguments equals no word and no call.
fn same_word(a: &Value, b: &Value) -> bool {
    matches!((a, b), (Value::Word(a), Value::Word(b)) if a == b)
}

fn compare(left: (&Expr, &Value), operator: BinaryOp, right: (&Expr, &Value)) -> Evaluated {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let order = match (left.1, right.1) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        _ => number(left.0, left.1)?.partial_cmp(&number(right.0, right.1)?),
    };
    Ok(Value::Bool(match operator {
        BinaryOp::Eq => order == Some(Equal),
        BinaryOp::Ne => order != Some(Equal),
        BinaryOp::Le => matches!(order, Some(Less | Equal)),
        BinaryOp::Ge => matches!(order, Some(Greater | Equal)),
        BinaryOp::Lt => order == Some(Less),
        _ => order == Some(Greater),
    }))
}

fn integer(a: i64, operator: BinaryOp, b: i64, divisor: Span, span: Span) -> Evaluated {
    let result = match operator {
        BinaryOp::Add => a.checked_add(b),
        BinaryOp::Sub => a.checked_sub(b),
        BinaryOp::Mul => a.checked_mul(b),
        _ if b == 0 => return Err(by_zero(divisor)),
        BinaryOp::Div => match a.checked_rem(b) {
            Some(0) => a.checked_div(b),
            Some(_) => return Err(inexact(a, b, span)),
            None => None,
        },
        _ => a.checked_rem_euclid(b),
    };
    result.map(Value::Int).ok_or_else(|| overflow(span))
}

fn inexact(a: i64, b: i64, span: Span) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::error(Code::InexactDivision, span, format!("{a} / {b} is not an integer"))
            .label(format!("{a} is not a multiple of {b}"))
            .help("write `floor_div(a, b)` or `ceil_div(a, b)` to round"),
    )
}

fn real(left: (&Expr, &Value), operator: BinaryOp, right: (&Expr, &Value), span: Span) -> Evaluated {
    let (a, b) = (number(left.0, left.1)?, number(right.0, right.1)?);
    let value = match operator {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        _ if b == 0.0 => return Err(by_zero(right.0.span)),
        BinaryOp::Div => a / b,
        _ => a.rem_euclid(b),
    };
    if value.is_finite() {
        Ok(Value::Float(value))
    } else {
        let text = "arithmetic overflow";
        Err(Box::new(
            Diagnostic::error(Code::Overflow, span, text).help("floating-point numbers go up to about 1.8e308"),
        ))
    }
}
