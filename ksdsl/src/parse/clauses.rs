//! What is probably meant by a `share` clause in other words than the language's.

use super::habits::{Context, error};
use crate::diag::Diagnostic;
use crate::mappings::{MAPPINGS, PLACES, PRIVATE_PARTS, find};
use crate::ops;
use crate::source::Span;

/// Words that people write in a clause, and the language's.
const WORDS: &[(&[&str], &str)] = &[
    (&["if"], "when"),
    (&["without", "excluding", "excepting", "but", "besides"], "except"),
    (&["unless"], "when not"),
    (&["named", "called", "name"], "as"),
    (&["using", "by", "via", "through", "mapping"], "into"),
    (
        &[
            "from", "inside", "within", "across", "over", "between", "on", "for", "of",
        ],
        "in",
    ),
    (&["and", "+", "&", "=", "|"], ","),
];

/// Words for what is shared, and the language's.
const PARTS: &[(&[&str], &str)] = &[
    (&["weights", "weight", "kernels", "filters", "filter"], "kernel of"),
    (&["biases"], "bias of"),
    (&["parameters", "params", "layers", "all", "everything", "both"], ""),
];

fn ours(table: &[(&[&str], &'static str)], word: &str) -> Option<&'static str> {
    let entry = table.iter().find(|(words, _)| words.contains(&word));
    entry.map(|(_, ours)| *ours)
}

/// What to say of a clause that stops making sense at the context's place.
pub(super) fn advice(context: &Context<'_, '_>) -> Option<Diagnostic> {
    if context.word(0) != "share" || matches!(context.inside, Some('(' | '[')) {
        return None;
    }
    part_of(context)
        .or_else(|| surplus_sign(context))
        .or_else(|| parentheses(context))
        .or_else(|| groups(context))
        .or_else(|| several_kinds(context))
        .or_else(|| transposed(context))
        .or_else(|| with(context))
        .or_else(|| unjoined(context))
        .or_else(|| mapping(context))
        .or_else(|| word(context))
}

/// `share weights of s1[*].conv`.
fn part_of(context: &Context<'_, '_>) -> Option<Diagnostic> {
    if context.word(2) != "of" {
        return None;
    }
    let ours = ours(PARTS, context.word(1))?;
    let span = context.span(1, 2);
    let text = format!(
        "`{}` is not a part of a layer that can be shared separately",
        context.word(1)
    );
    Some(match ours {
        "" => {
            let rest = context.tokens.get(3)?.at as u32;
            let span = Span { end: rest, ..span };
            error(span, "kernel and bias are shared by default")
                .help(format!("leave out `{} of`", context.word(1)))
                .fix(span, "")
        }
        ours => error(context.span(1, 1), text)
            .help(format!("write `share {ours} ...`"))
            .fix(span, ours),
    })
}

/// `share(s1.conv, s2.conv)`.
fn parentheses(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let close = matches!(context.word(1), "(" | "[" | "{").then(|| context.partner(1))??;
    let span = context.span(1, close);
    let inner = (close > 2).then(|| context.source(2, close - 1))?;
    Some(
        error(span, "the paths of a `share` clause have no brackets")
            .help(format!("write `share {inner}`"))
            .fix(span, format!(" {inner}")),
    )
}

/// `share: s1.conv`, `share isomorphic conv, in s1`.
fn surplus_sign(context: &Context<'_, '_>) -> Option<Diagnostic> {
    const PARTS: &[&str] = &["in", "except", "every", "into", "at", "with", "as", "when"];
    let comma = context.word(context.here) == "," && PARTS.contains(&context.word(context.here + 1));
    let sign = match context.word(1) {
        ":" => 1,
        _ if comma => context.here,
        _ => return None,
    };
    let span = context.span(sign, sign);
    let text = format!("`{}` is not part of a `share` clause", context.word(sign));
    Some(error(span, text).help("remove it").fix(span, ""))
}

/// `into 3`.
fn groups(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let into = (0..context.here).rev().find(|number| context.word(*number) == "into")?;
    let number = context.tokens.get(into + 1)?.is_number() && into + 2 == context.here;
    number.then(|| {
        let span = context.span(into + 1, into + 1);
        let text = format!("{} groups", context.word(into + 1));
        error(span, "`into` takes a number of groups").write(span, text)
    })
}

/// `share isomorphic conv, linear in s`.
fn several_kinds(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let is_kind = |word: &str| ops::kinds().any(|kind| kind == word);
    let next = if context.word(3) == "," { 4 } else { 3 };
    let kinds = context.word(1) == "isomorphic" && is_kind(context.word(2)) && is_kind(context.word(next));
    kinds.then(|| {
        let kinds = [context.word(2), context.word(next)];
        let [one, other] = kinds;
        let help = match kinds.iter().find(|kind| matches!(**kind, "depthwise" | "pointwise")) {
            Some(special) if kinds.contains(&"conv") => {
                format!("write `share isomorphic conv ...`, which selects {special} convolutions, too")
            }
            _ => format!("write a clause for each, `share isomorphic {one} ...` and `share isomorphic {other} ...`"),
        };
        let text = "a `share` clause takes one kind of layer, or all kinds";
        error(context.span(next, next), text).help(help)
    })
}

/// `share a, transposed b`, `share a, b transposed`.
fn transposed(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let is_path = |number: usize| context.tokens.get(number).is_some_and(|token| token.is_word());
    let at = (2..context.tokens.len()).find(|number| context.word(*number) == "transposed")?;
    let (before, after) = (context.word(at - 1), is_path(at + 1));
    let text = "`transposed` stands after `with`";
    match before {
        "," if after => {
            let diagnostic = error(context.span(at, at), text);
            Some(
                diagnostic
                    .help("write `with transposed`")
                    .fix(context.span(at - 1, at), " with transposed"),
            )
        }
        "with" | "," => None,
        _ => is_path(at - 1)
            .then(|| error(context.span(at, at), text).help("write `share encoder with transposed decoder`")),
    }
}

/// `with bias`, `with batch_norm`, `a with b`.
fn with(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let mut withs = (1..context.tokens.len()).filter(|number| context.word(*number) == "with");
    let with = withs.find(|with| !matches!(context.word(with + 1), "private" | "norms" | "transposed"))?;
    let word = context.word(with + 1);
    let span = context.span(with, with + 1);
    let here = context.span(with + 1, with + 1);
    let is_part = |word: &str| find(PRIVATE_PARTS, word).is_some();
    if matches!(word, "own" | "separate" | "individual" | "their") && is_part(context.word(with + 2)) {
        let diagnostic = error(here, format!("`{word}` is not a keyword of a `share` clause"));
        return Some(diagnostic.write(here, "private"));
    }
    if is_part(word) {
        return Some(error(here, format!("`{word}` is a private part")).write(span, format!("with private {word}")));
    }
    if matches!(
        word,
        "norm" | "batch_norm" | "layer_norm" | "bn" | "batch_norms" | "layer_norms"
    ) {
        return Some(error(here, "norms are shared with `with norms`").write(span, "with norms"));
    }
    let path = context.tokens.get(with + 1)?.is_word();
    path.then(|| {
        error(context.span(with, with), "paths are separated by `,`")
            .help(format!("write `, {word}`"))
            .fix(context.span(with, with), ",")
    })
}

/// `with private bias scale`, `at front 2`.
fn unjoined(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let (word, before) = (context.word(context.here), context.before());
    let here = context.span(context.here, context.here);
    let private = (0..context.here).any(|number| context.word(number) == "private");
    if private && find(PRIVATE_PARTS, word).is_some() {
        let end = context.span(context.here - 1, context.here - 1).range().end;
        let diagnostic = error(here, "private parts are separated by `,`");
        return Some(
            diagnostic
                .help(format!("write `, {word}`"))
                .fix(Span::new(end, end), ","),
        );
    }
    let number = context.tokens.get(context.here)?.is_number();
    let named =
        find(MAPPINGS, before).is_some() || find(PLACES, before).is_some() || find(PRIVATE_PARTS, before).is_some();
    (number && named).then(|| {
        let span = context.span(context.here - 1, context.here);
        error(here, "arguments must be in parentheses").write(span, format!("{before}({word})"))
    })
}

/// `share isomorphic conv in s1 cycle(2)`, `... front(3)`.
fn mapping(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let word = context.word(context.here);
    let before = match (find(MAPPINGS, word).is_some(), find(PLACES, word).is_some()) {
        (true, _) if context.before() != "into" => "into",
        (_, true) if context.before() != "at" => "at",
        _ => return None,
    };
    let span = context.span(context.here, context.here);
    Some(error(span, format!("`{word}` comes after `{before}`")).write(span, format!("{before} {word}")))
}

/// A word in the place of another, at the error or before it, where neither a path goes on nor a name stands.
fn word(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let stands_alone = |at: &usize| {
        let names = matches!(
            context.word(at - 1),
            "," | "."
                | "in"
                | "except"
                | "every"
                | "each"
                | "as"
                | "into"
                | "at"
                | "share"
                | "["
                | "when"
                | "and"
                | "or"
                | "not"
                | "="
                | "private"
        );
        let goes_on = matches!(context.word(at + 1), "," | "." | "[" | "");
        let part = *at == 2 && matches!(context.word(1), "kernel" | "bias");
        !names && !goes_on && !part && context.opener(*at).is_none()
    };
    let mut candidates = (2..=context.here).filter(stands_alone);
    let at = candidates.find(|at| ours(WORDS, context.word(*at)).is_some())?;
    let (word, ours) = (context.word(at), ours(WORDS, context.word(at))?);
    let span = context.span(at, at);
    let text = format!("`{word}` is not a keyword of a `share` clause");
    Some(match ours {
        "," => error(span, "paths are separated by `,`").write(span, ","),
        ours => error(span, text).write(span, ours),
    })
}
