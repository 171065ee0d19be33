//! Arguments that are words of the language.

use super::{ArgValue, ParamDef, RESIDUAL, is_word, layers};
use crate::ast::{Expr, ExprKind};
use crate::diag::{Code, Diagnostic, Diagnostics, nearest};
use crate::source::Span;

/// The parameter that a word of the language is for.
pub fn parameter_of(word: &str) -> Option<&'static str> {
    let of_layers = layers().flat_map(|layer| layer.params);
    let takes = |param: &&ParamDef| is_word(param.kind, word);
    of_layers.chain(RESIDUAL).find(takes).map(|param| param.name)
}

/// A word, and nothing else.
pub(super) fn word(
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
