//! Networks and blocks as other languages begin them.

use super::{Context, error};
use crate::diag::Diagnostic;
use crate::foreign;

/// `class Net`, `def block`, `import x`, `network a { ... }` where a network or a block should begin.
pub(super) fn foreign_item(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let begins = context.here == 0 && context.expects("`net` or `block`");
    let help = foreign::statement_word(context.word(0)).filter(|_| begins)?;
    let span = context.span(0, 0);
    let diagnostic = error(span, format!("unexpected `{}`", context.word(0)));
    Some(match (context.word(0), context.word(2)) {
        ("network" | "model" | "class", "{" | "(" | "=") => diagnostic.write(span, "net"),
        ("def" | "fn" | "func" | "function" | "module", "{" | "(") => diagnostic.write(span, "block"),
        _ => diagnostic.help(help),
    })
}

/// `net a(depth: int = 2)`, `block b(x y)`: parameters with types, or without a comma between them.
pub(super) fn parameters(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let head = (0..=context.here)
        .rev()
        .find(|number| matches!(context.word(*number), "net" | "block"))?;
    let open = head + 2;
    if context.word(open) != "(" {
        return None;
    }
    let close = context.partner(open)?;
    let inside = open + 1..close;
    let is_name = |number: usize| context.tokens[number].is_word() && matches!(context.word(number - 1), "(" | ",");
    let name = inside.clone().find(|number| {
        let next = context.word(number + 1);
        is_name(*number) && !matches!(next, "=" | "," | ")")
    })?;
    let next = name + 1;
    if context.word(next) != ":" {
        let span = context.span(next, next);
        return Some(error(span, "parameters are separated by `,`").help(format!("write `, {}`", context.word(next))));
    }
    let ends = |number: &usize| matches!(context.word(*number), "=" | "," | ")");
    let end = (next + 1..=close).find(ends)?;
    let span = context.span(next, end - 1);
    Some(
        error(span, "parameters have no type annotations")
            .help(format!("write `{}`", context.word(name)))
            .fix(span, ""),
    )
}

/// `net a: ...`: Python's block.
pub(super) fn colon(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let head = matches!(context.word(0), "net" | "block") && context.word(context.here) == ":";
    let head = head && context.expects("`{`");
    head.then(|| {
        let span = context.span(context.here, context.here);
        let before = context.source(0, context.here - 1);
        error(span, format!("the body of `{}` must be in braces", context.word(0)))
            .help(format!("write `{before} {{ ... }}`"))
    })
}
