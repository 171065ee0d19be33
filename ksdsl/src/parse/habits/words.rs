//! Strings, comments, operators and conditional values.

use super::{Context, error};
use crate::diag::Diagnostic;

/// `"same"`.
pub(super) fn string(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let quote = context.word(context.here);
    if !matches!(quote, "\"" | "'" | "`") {
        return None;
    }
    let rest = context.tokens.iter().enumerate().skip(context.here + 1);
    let mut line = rest.take_while(|(_, token)| !token.starts_line);
    let Some((end, _)) = line.find(|(_, token)| token.text == quote) else {
        let span = context.span(context.here, context.here);
        return Some(error(span, "strings are not supported").help("remove the quotes"));
    };
    let span = context.span(context.here, end);
    let diagnostic = error(span, "strings are not supported");
    Some(match end - context.here {
        2 => diagnostic.write(span, context.word(context.here + 1)),
        _ => diagnostic.help("remove the quotes"),
    })
}

/// `# note`.
pub(super) fn comment(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let span = context.span(context.here, context.here);
    (context.word(context.here) == "#").then(|| {
        error(span, "`#` does not start a comment")
            .help("comments start with `//`")
            .fix(span, "//")
    })
}

/// `a ** b`, `a ^ b`, `c ? a : b`, `.5`, `not` as `!` and the like.
pub(super) fn operator(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let here = context.here;
    let span = context.span(here, here);
    let expects_value = context.expects("a value") || context.expects("an argument");
    match (context.before(), context.word(here)) {
        ("*", "*") if context.word(0) != "share" => Some(
            error(context.span(here - 1, here), "unknown operator `**`").help("write a power as a product, `a * a`"),
        ),
        (_, "^") => Some(error(span, "unknown operator `^`").help("write a power as a product, `a * a`")),
        (_, "?") => Some(error(span, "unknown operator `?`").help("write `select(condition, a, b)`")),
        (_, ".")
            if expects_value
                && context.touches(here)
                && context.word(here + 1).starts_with(|c: char| c.is_ascii_digit()) =>
        {
            let span = context.span(here, here + 1);
            let text = format!("0{}", context.source(here, here + 1));
            Some(error(span, "a number must start with a digit").write(span, text))
        }
        _ => None,
    }
}

/// `64 if c else 32`.
pub(super) fn conditional(context: &Context<'_, '_>) -> Option<Diagnostic> {
    if context.word(0) == "share" {
        return None;
    }
    let last = context.here.min(context.tokens.len().checked_sub(1)?);
    let word = (1..=last).rev().find(|number| context.word(*number) == "if")?;
    let start = start_of_value(context, word);
    let is_value = match context.word(word - 1) {
        // A layer may end in a bracket too, but not behind these.
        ")" => start > 0 && matches!(context.word(start - 1), "(" | "[" | "," | "="),
        text => !matches!(text, "else" | ";" | "}" | "{" | ""),
    };
    if !is_value {
        return None;
    }
    let end = end_of_value(context, word + 1);
    let span = context.span(start, end);
    let diagnostic = error(context.span(word, word), "conditional values are written with `select`");
    let otherwise = (word + 1..end).find(|number| context.word(*number) == "else");
    Some(match otherwise.filter(|_| start < word) {
        Some(otherwise) => {
            let value = context.source(start, word - 1);
            let condition = context.source(word + 1, otherwise - 1);
            diagnostic.write(
                span,
                format!("select({condition}, {value}, {})", context.source(otherwise + 1, end)),
            )
        }
        None => diagnostic.help("write `select(condition, a, b)` for a value, `when condition { ... }` for layers"),
    })
}

/// The first token of the value that ends before `end`.
fn start_of_value(context: &Context<'_, '_>, end: usize) -> usize {
    let mut depth = 0usize;
    let limit = (0..end).rev().find(|number| match context.word(*number) {
        ")" | "]" => {
            depth += 1;
            false
        }
        "(" | "[" if depth > 0 => {
            depth -= 1;
            false
        }
        "(" | "[" | "," | "=" | "{" | "input" | "repeat" => depth == 0,
        _ => false,
    });
    limit.map_or(0, |limit| limit + 1)
}

/// The last token of the value that begins at `start`.
fn end_of_value(context: &Context<'_, '_>, start: usize) -> usize {
    let mut depth = 0usize;
    let limit = (start..context.tokens.len()).find(|number| match context.word(*number) {
        "(" | "[" => {
            depth += 1;
            false
        }
        ")" | "]" if depth > 0 => {
            depth -= 1;
            false
        }
        ")" | "]" | "," | ";" | "{" | "}" => depth == 0,
        _ => false,
    });
    limit.unwrap_or(context.tokens.len()) - 1
}

/// `conv(8, kernel: 3)`.
pub(super) fn named_with_colon(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let span = context.span(context.here, context.here);
    let named = context.word(context.here) == ":"
        && context.inside == Some('(')
        && context.here > 0
        && context.tokens[context.here - 1].is_word();
    named.then(|| {
        error(span, "named arguments use `=`")
            .help(format!("write `{} = ...`", context.before()))
            .fix(span, " =")
    })
}
