//! Sizes: here they are joined by `x`.

use super::{Context, error};
use crate::diag::Diagnostic;

/// `input(3, 32, 32)`, `input 3, 32, 32`, `input: 3 x 32 x 32`, `input shape = (3, 32, 32)`.
pub(super) fn input(context: &Context<'_, '_>) -> Option<Diagnostic> {
    if context.word(0) != "input" || context.here == 0 {
        return None;
    }
    let end = context.tokens.iter().rposition(|token| token.text != ";")?;
    let sizes = (1..=end).filter(|number| {
        let token = &context.tokens[*number];
        token.is_number() || token.is_word() && context.word(number + 1) != "=" && !matches!(token.text, "x" | "X")
    });
    let plain = |number: &usize| {
        matches!(
            context.word(*number),
            "(" | ")" | "[" | "]" | "," | "x" | "X" | "=" | ":" | "*" | "×"
        )
    };
    let texts: Vec<&str> = sizes.clone().map(|number| context.word(number)).collect();
    let others = (1..=end).filter(|number| !sizes.clone().any(|size| size == *number));
    let named = |number: &usize| context.word(number + 1) == "=";
    let known = others.clone().all(|number| plain(&number) || named(&number));
    if !known || others.clone().all(|number| context.word(number) == "x") {
        return None;
    }
    let span = context.span(1, end);
    let diagnostic = error(span, "input sizes are separated by `x`");
    Some(match texts.as_slice() {
        [_] | [_, _, _] => {
            let glue = if context.touches(0) { " " } else { "" };
            let sizes = texts.join(" x ");
            diagnostic
                .help(format!("write `input {sizes}`"))
                .fix(span, format!("{glue}{sizes}"))
        }
        _ => diagnostic.help("write `input channels x height x width`, or `input features`"),
    })
}

/// `stride = (2, 2)`, `kernel = [3, 3]`: the brackets hold sizes.
pub(super) fn tuple(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let open = match context.word(context.here) {
        "[" if matches!(context.before(), "=" | "," | "(") && context.inside == Some('(') => context.here,
        "," => context.opener(context.here)?,
        _ => return None,
    };
    let in_call = open > 0 && matches!(context.word(open - 1), "=" | "," | "(");
    if !in_call || context.word(0) == "share" {
        return None;
    }
    let close = context.partner(open)?;
    let sizes = parts(context, open + 1, close)?;
    let span = context.span(open, close);
    let diagnostic = error(span, "sizes are separated by `x`, without brackets");
    Some(match sizes.as_slice() {
        [one] => diagnostic.write(span, *one),
        [height, width] => diagnostic.write(span, format!("{height} x {width}")),
        _ => diagnostic.help("write one size, or `height x width`"),
    })
}

/// What stands between the commas of a bracket.
fn parts<'t>(context: &Context<'_, 't>, from: usize, close: usize) -> Option<Vec<&'t str>> {
    let commas = (from..close).filter(|number| context.word(*number) == ",");
    let mut parts = Vec::new();
    let mut start = from;
    for end in commas.chain([close]) {
        // A comma may stand before the closing bracket.
        if end > start {
            parts.push(context.source(start, end - 1));
        } else if end < close {
            return None;
        }
        start = end + 1;
    }
    Some(parts)
}

/// `3X3`, `3 X 3`, `3×3`.
pub(super) fn capital(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let here = context.here;
    let is_sign = |number: usize| matches!(context.word(number), "X" | "×");
    if is_sign(here) && here > 0 {
        let span = context.span(here, here);
        let blanks = |number: usize| if context.touches(number) { " " } else { "" };
        let text = format!("{}x{}", blanks(here - 1), blanks(here));
        return Some(
            error(span, "sizes are separated by a lowercase `x`")
                .help("write `x`")
                .fix(span, text),
        );
    }
    let word = context.word(here);
    let mut numbers = word.split('X');
    let closed_up =
        word.contains('X') && numbers.all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let span = context.span(here, here);
    closed_up.then(|| error(span, "sizes are separated by a lowercase `x`").write(span, word.replace('X', "x")))
}
