//! Initial values of parameters, as a call chooses them.

use super::read::{number, wrong_type};
use super::{ParamDef, ParamKind};
use crate::ast::{Arg, Expr, ExprKind};
use crate::diag::{Code, Diagnostic, Diagnostics, nearest};
use crate::foreign;
use crate::source::Name;
use crate::value::is_function as is_function_of_values;
use crate::value::{CallValue, Env, Value, eval};

/// The initial value of a parameter, before fan-in and fan-out are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InitChoice {
    /// He et al. 2015, normal: standard deviation `sqrt(2 / fan_in)`.
    KaimingNormal,
    /// He et al. 2015, uniform: bound `sqrt(6 / fan_in)`.
    KaimingUniform,
    /// Glorot & Bengio 2010, normal: standard deviation `sqrt(2 / (fan_in + fan_out))`.
    XavierNormal,
    /// Glorot & Bengio 2010, uniform: bound `sqrt(6 / (fan_in + fan_out))`.
    XavierUniform,
    /// All equal.
    Constant(f64),
    /// Normal with this standard deviation.
    Normal(f64),
    /// Uniform within this bound.
    Uniform(f64),
}

/// The words of [`InitChoice`].
const INITS: &[(&str, InitChoice)] = &[
    ("kaiming_normal", InitChoice::KaimingNormal),
    ("kaiming_uniform", InitChoice::KaimingUniform),
    ("xavier_normal", InitChoice::XavierNormal),
    ("xavier_uniform", InitChoice::XavierUniform),
    ("zeros", InitChoice::Constant(0.0)),
    ("ones", InitChoice::Constant(1.0)),
];
/// The functions of [`InitChoice`].
const INIT_FUNCTIONS: &[&str] = &["constant", "normal", "uniform"];

/// The words of initialisations.
pub(super) fn words() -> impl Iterator<Item = &'static str> + Clone {
    INITS.iter().map(|(word, _)| *word)
}

pub(super) fn is_word(word: &str) -> bool {
    words().any(|init| init == word)
}

/// Whether a function in an argument for this parameter is one the parameter knows.
pub fn is_function(kind: ParamKind, name: &str) -> bool {
    kind == ParamKind::Init && is_init(name)
}

/// The initialisations that take a number.
pub fn init_functions() -> impl Iterator<Item = &'static str> {
    INIT_FUNCTIONS.iter().copied()
}

/// Whether this is an initialisation that takes a number.
pub fn is_init(name: &str) -> bool {
    INIT_FUNCTIONS.contains(&name)
}

/// The initialisation that an argument chooses.
pub(super) fn read(param: &ParamDef, expr: &Expr, env: &Env, diagnostics: &mut Diagnostics) -> Option<InitChoice> {
    let computed = match &expr.kind {
        ExprKind::Name(word) => !is_word(word) && env.knows(word),
        ExprKind::Function(name, _) => is_function_of_values(&name.value),
        ExprKind::Index(..) => true,
        _ => false,
    };
    if !computed {
        return written(param, expr, env, diagnostics);
    }
    let choice = match eval(expr, env, diagnostics)? {
        Value::Word(word) => of_word(&word),
        Value::Call(call) => return of_call(param, expr, &call, diagnostics),
        other => return wrong_type(param, expr.span, &other, diagnostics),
    };
    if choice.is_none() {
        diagnostics.push(no_init(param, expr));
    }
    choice
}

fn of_word(word: &str) -> Option<InitChoice> {
    INITS
        .iter()
        .find(|(known, _)| *known == word)
        .map(|(_, choice)| *choice)
}

/// An initialisation with a number that a parameter or a constant holds.
fn of_call(param: &ParamDef, expr: &Expr, call: &CallValue, diagnostics: &mut Diagnostics) -> Option<InitChoice> {
    let args = call.args();
    let place = |arg: &Arg| arg.value.sizes.first().cloned();
    match args.as_slice() {
        [arg] if is_init(&call.name.value) => {
            function(param, &call.name.value, &place(arg)?, &Env::default(), diagnostics)
        }
        _ => {
            diagnostics.push(no_init(param, expr));
            None
        }
    }
}

/// An initialisation written in its place.
fn written(param: &ParamDef, expr: &Expr, env: &Env, diagnostics: &mut Diagnostics) -> Option<InitChoice> {
    match &expr.kind {
        ExprKind::Name(word) => {
            if let Some(choice) = of_word(word) {
                return Some(choice);
            }
        }
        ExprKind::Function(name, args) if is_init(&name.value) => {
            let sizes: Vec<&Expr> = args.iter().flat_map(|arg| &arg.value.sizes).collect();
            let [arg] = sizes.as_slice() else {
                let text = format!("`{}` takes one number", name.value);
                diagnostics.push(Diagnostic::error(Code::SurplusArgument, expr.span, text));
                return None;
            };
            return function(param, &name.value, arg, env, diagnostics);
        }
        _ => {}
    }
    diagnostics.push(no_init(param, expr));
    None
}

fn function(param: &ParamDef, name: &str, arg: &Expr, env: &Env, diagnostics: &mut Diagnostics) -> Option<InitChoice> {
    let range = match name {
        "constant" => (-1e30, 1e30),
        _ => (0.0, 1e30),
    };
    let value = number(param, arg, range, env, diagnostics)?;
    Some(match name {
        "constant" => InitChoice::Constant(value),
        "normal" => InitChoice::Normal(value),
        _ if value == 0.0 => InitChoice::Constant(0.0),
        _ => InitChoice::Uniform(value),
    })
}

fn no_init(param: &ParamDef, expr: &Expr) -> Diagnostic {
    let text = format!("`{}` takes {}", param.name, param.kind.wanted());
    let diagnostic = Diagnostic::error(Code::WrongType, expr.span, text);
    let (ExprKind::Name(written) | ExprKind::Function(Name { value: written, .. }, _)) = &expr.kind else {
        return diagnostic.help(all_inits());
    };
    match foreign::init(written).or_else(|| nearest(written, words())) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")).fix(expr.span, near),
        None => diagnostic.help(all_inits()),
    }
}

fn all_inits() -> String {
    let words: Vec<&str> = words().collect();
    format!(
        "one of {}, {}(number)",
        words.join(", "),
        INIT_FUNCTIONS.join("(number), ")
    )
}
