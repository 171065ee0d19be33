//! Arguments that are words of the language.

use super::{ArgValue, ParamDef, ParamKind, RESIDUAL, initial, is_word, layers};
use crate::ast::{Expr, ExprKind};
use crate::diag::{Code, Diagnostic, Diagnostics, nearest};
use crate::source::Span;
use crate::value::{Env, Value, eval};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The words that have a value: names of layers, and words that arguments may be.
static WORDS: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let of_layers = layers().flat_map(|layer| layer.params).chain(RESIDUAL);
    let of_params = of_layers.flat_map(|param| match param.kind {
        ParamKind::Word(words) => words,
        _ => &[],
    });
    let names = layers().map(|layer| layer.name);
    names
        .chain(of_params.copied())
        .chain(initial::words())
        .chain(["same", "valid"])
        .collect()
});

/// The words that have a value wherever no name of the user's hides them.
pub fn language_words() -> impl Iterator<Item = &'static str> {
    WORDS.iter().copied()
}

/// Whether a word has a value wherever no name of the user's hides it.
pub fn is_language_word(word: &str) -> bool {
    WORDS.contains(word)
}

/// The parameter that a word of the language is for.
pub fn parameter_of(word: &str) -> Option<&'static str> {
    let of_layers = layers().flat_map(|layer| layer.params);
    let takes = |param: &&ParamDef| is_word(param.kind, word);
    of_layers.chain(RESIDUAL).find(takes).map(|param| param.name)
}

/// A word, written in its place or the value of an expression, and nothing else.
pub(super) fn word(
    param: &ParamDef,
    expr: &Expr,
    words: &'static [&'static str],
    env: &Env,
    diagnostics: &mut Diagnostics,
) -> Option<ArgValue> {
    let written = match &expr.kind {
        ExprKind::Name(written) if words.contains(&written.as_str()) || !env.knows(written) => Some(written.clone()),
        _ => match eval(expr, env, diagnostics)? {
            Value::Word(word) => Some(word.to_string()),
            _ => None,
        },
    };
    if let Some(word) = words.iter().find(|word| Some(**word) == written.as_deref()) {
        return Some(ArgValue::Word(word));
    }
    diagnostics.push(no_such_word(param, expr.span, words, written.as_deref()));
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
