//! Values and the evaluation of expressions.

use crate::ast::{BinaryOp, Expr, ExprKind};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::ir::ValueId;
use crate::source::{Name, Span, Spanned};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

/// A value of the language.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A value of the forward pass that has a name.
    Kept(ValueId),
}

impl Value {
    /// The type, in words.
    #[doc(hidden)]
    pub fn kind(self) -> &'static str {
        match self {
            Value::Int(_) => "an integer",
            Value::Float(_) => "a floating-point number",
            Value::Bool(_) => "a boolean",
            Value::Kept(_) => "a value of the forward pass",
        }
    }

    /// The value with its type, in words.
    #[doc(hidden)]
    pub fn described(self) -> String {
        match self {
            Value::Int(value) => format!("the integer {value}"),
            Value::Float(value) => format!("{value:?}, a floating-point number"),
            Value::Bool(value) => format!("`{value}`"),
            Value::Kept(_) => self.kind().to_owned(),
        }
    }

    /// As a floating-point number, if it is a number.
    pub fn as_f64(self) -> Option<f64> {
        match self {
            Value::Int(value) => Some(value as f64),
            Value::Float(value) => Some(value),
            Value::Bool(_) | Value::Kept(_) => None,
        }
    }

    /// Reads a value as it is written in the language: for command lines.
    pub fn parse(text: &str) -> Option<Value> {
        match text {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => match text.parse::<i64>() {
                Ok(value) => Some(Value::Int(value)),
                Err(_) => text
                    .parse::<f64>()
                    .ok()
                    .filter(|value| value.is_finite() && text.starts_with(|c: char| c.is_ascii_digit() || c == '-'))
                    .map(Value::Float),
            },
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Int(value) => write!(f, "{value}"),
            Value::Float(value) => write!(f, "{value:?}"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Kept(_) => f.write_str(self.kind()),
        }
    }
}

/// The functions of the language with their number of arguments.
pub const FUNCTIONS: &[(&str, usize)] = &[("min", 2), ("max", 2), ("select", 3), ("floor_div", 2), ("ceil_div", 2)];

/// Named values: what expressions can refer to. Inner names hide nothing, the checks see to that.
#[derive(Clone, Debug, Default)]
pub struct Env {
    outer: Option<Rc<Env>>,
    values: HashMap<String, Option<Value>>,
    order: Vec<String>,
}

impl Env {
    /// An environment inside another one.
    pub fn inside(outer: Rc<Env>) -> Self {
        Env {
            outer: Some(outer),
            ..Env::default()
        }
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

    fn get(&self, name: &str) -> Option<Value> {
        match (self.values.get(name), &self.outer) {
            (Some(value), _) => *value,
            (None, Some(outer)) => outer.get(name),
            (None, None) => None,
        }
    }
}

/// Computes an expression. `None` means that it could not be computed, and that this has been
/// reported, here or by the checks of names.
pub fn eval(expr: &Expr, env: &Env, diagnostics: &mut Diagnostics) -> Option<Value> {
    match &expr.kind {
        ExprKind::Invalid => None,
        ExprKind::Int(value) => Some(Value::Int(*value)),
        ExprKind::Float(value) => Some(Value::Float(*value)),
        ExprKind::Bool(value) => Some(Value::Bool(*value)),
        ExprKind::Name(name) => env.get(name),
        // A function with the wrong number of arguments was reported by the checks of names.
        ExprKind::Function(name, args) if !FUNCTIONS.contains(&(name.value.as_str(), args.len())) => None,
        ExprKind::Function(name, args) => {
            let values = args
                .iter()
                .map(|arg| eval(arg, env, diagnostics))
                .collect::<Option<Vec<_>>>()?;
            report(function(name, args, &values, expr.span), diagnostics)
        }
        ExprKind::Negate(inner) => match eval(inner, env, diagnostics)? {
            Value::Int(value) => report(
                value.checked_neg().map(Value::Int).ok_or_else(|| overflow(expr.span)),
                diagnostics,
            ),
            Value::Float(value) => Some(Value::Float(-value)),
            value => report(Err(wrong_type(inner.span, "a number", value)), diagnostics),
        },
        ExprKind::Not(inner) => match eval(inner, env, diagnostics)? {
            Value::Bool(value) => Some(Value::Bool(!value)),
            value => report(Err(wrong_type(inner.span, "a boolean", value)), diagnostics),
        },
        ExprKind::Binary(left, operator, right) => {
            let (a, b) = (eval(left, env, diagnostics), eval(right, env, diagnostics));
            report(binary((left, a?), operator, (right, b?), expr.span), diagnostics)
        }
    }
}

/// Computes an integer.
pub fn eval_int(expr: &Expr, env: &Env, diagnostics: &mut Diagnostics) -> Option<i64> {
    match eval(expr, env, diagnostics)? {
        Value::Int(value) => Some(value),
        value => report(Err(wrong_type(expr.span, "an integer", value)), diagnostics),
    }
}

/// Computes a boolean.
pub fn eval_bool(expr: &Expr, env: &Env, diagnostics: &mut Diagnostics) -> Option<bool> {
    match eval(expr, env, diagnostics)? {
        Value::Bool(value) => Some(value),
        value => report(Err(wrong_type(expr.span, "a boolean", value)), diagnostics),
    }
}

type Evaluated = Result<Value, Box<Diagnostic>>;

fn report<T>(result: Result<T, Box<Diagnostic>>, diagnostics: &mut Diagnostics) -> Option<T> {
    result.map_err(|diagnostic| diagnostics.push(*diagnostic)).ok()
}

fn wrong_type(span: Span, wanted: &str, got: Value) -> Box<Diagnostic> {
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

fn function(name: &Name, args: &[Expr], values: &[Value], span: Span) -> Evaluated {
    match (name.value.as_str(), values) {
        ("select", [Value::Bool(condition), a, b]) => Ok(if *condition { *a } else { *b }),
        ("select", [condition, ..]) => Err(wrong_type(args[0].span, "a boolean", *condition)),
        ("min" | "max", [a, b]) => {
            let (x, y) = (number(&args[0], *a)?, number(&args[1], *b)?);
            let first = if name.value == "min" { x <= y } else { x >= y };
            Ok(if first { *a } else { *b })
        }
        ("floor_div" | "ceil_div", [Value::Int(_), Value::Int(0)]) => Err(by_zero(args[1].span)),
        ("floor_div" | "ceil_div", [Value::Int(a), Value::Int(b)]) => {
            let quotient = a.checked_div(*b).ok_or_else(|| overflow(span))?;
            // The quotient is rounded towards zero: towards the wrong side half of the time.
            let (exact, negative) = (quotient * b == *a, (*a < 0) != (*b < 0));
            let step = match name.value.as_str() {
                "floor_div" if !exact && negative => -1,
                "ceil_div" if !exact && !negative => 1,
                _ => 0,
            };
            Ok(Value::Int(quotient + step))
        }
        (_, values) => {
            let odd = values
                .iter()
                .position(|value| !matches!(value, Value::Int(_)))
                .unwrap_or(0);
            Err(match (args.get(odd), values.get(odd)) {
                (Some(arg), Some(value)) => wrong_type(arg.span, "an integer", *value),
                _ => Box::new(Diagnostic::error(
                    Code::WrongType,
                    span,
                    "this function needs arguments",
                )),
            })
        }
    }
}

fn number(expr: &Expr, value: Value) -> Result<f64, Box<Diagnostic>> {
    value.as_f64().ok_or_else(|| wrong_type(expr.span, "a number", value))
}

fn binary(left: (&Expr, Value), operator: &Spanned<BinaryOp>, right: (&Expr, Value), span: Span) -> Evaluated {
    use BinaryOp::*;
    match (operator.value, left.1, right.1) {
        (And, Value::Bool(a), Value::Bool(b)) => Ok(Value::Bool(a && b)),
        (Or, Value::Bool(a), Value::Bool(b)) => Ok(Value::Bool(a || b)),
        (And | Or, Value::Bool(_), other) => Err(wrong_type(right.0.span, "a boolean", other)),
        (And | Or, other, _) => Err(wrong_type(left.0.span, "a boolean", other)),
        (Eq, Value::Bool(a), Value::Bool(b)) => Ok(Value::Bool(a == b)),
        (Ne, Value::Bool(a), Value::Bool(b)) => Ok(Value::Bool(a != b)),
        (Eq | Ne | Le | Ge | Lt | Gt, _, _) => compare(left, operator.value, right),
        (_, Value::Int(a), Value::Int(b)) => integer(a, operator.value, b, right.0.span, span),
        _ => real(left, operator.value, right, span),
    }
}

fn compare(left: (&Expr, Value), operator: BinaryOp, right: (&Expr, Value)) -> Evaluated {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let order = match (left.1, right.1) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(&b)),
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

fn real(left: (&Expr, Value), operator: BinaryOp, right: (&Expr, Value), span: Span) -> Evaluated {
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
