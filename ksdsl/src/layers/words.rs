//! Arguments that are words of the language.

use super::{ArgValue, ParamDef};
use crate::ast::{Expr, ExprKind};
use crate::diag::{Code, Diagnostic, Diagnostics, nearest};
use crate::source::Span;
use crate::value::{Env, Value, eval};

/// A word, and nothing else.
pub(super) fn choice(
    param: &ParamDef,
    expr: &Expr,
    words: &'static [&'static str],
    diagnostics: &mut Diagnostics,
) -> Option<ArgValue> {
    let written = match &expr.kind {
        ExprKind::Name(written) => Some(written.as_str()),
        _ => None,
    };
    if let Some(word) = words.iter().find(|word| Some(**word) == written) {
        return Some(ArgValue::Word(word));
    }
    diagnostics.push(no_such_word(param, expr.span, words, written));
    None
}

fn no_such_word(param: &ParamDef, span: Span, words: &[&'static str], written: Option<&str>) -> Diagnostic {
    let text = format!("`{}` takes one of {}", param.name, words.join(", "));
    let diagnostic = Diagnostic::error(Code::WrongType, span, text);
    match written.and_then(|written| nearest(written, words.iter().copied())) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")).fix(span, near),
        None => diagnostic,
    }
}

/// A word, or a truth value for the first or the last of them.
pub(super) fn word(
    param: &ParamDef,
    expr: &Expr,
    words: &'static [&'static str],
    env: &Env,
    diagnostics: &mut Diagnostics,
) -> Option<ArgValue> {
    if let ExprKind::Name(written) = &expr.kind
        && let Some(word) = words.iter().find(|word| *word == written)
    {
        return Some(ArgValue::Word(word));
    }
    // A truth value may stand for the words that mean it.
    if let (ExprKind::Bool(_) | ExprKind::Not(_) | ExprKind::Binary(..) | ExprKind::Name(_), [off, .., on]) =
        (&expr.kind, words)
        && let Some(Value::Bool(flag)) = eval(expr, env, diagnostics)
    {
        return Some(ArgValue::Word(if flag { on } else { off }));
    }
    let written = match &expr.kind {
        ExprKind::Name(written) => Some(written.as_str()),
        _ => None,
    };
    diagnostics.push(no_such_word(param, expr.span, words, written));
    None
}
