//! Statements of other languages.

use super::{Context, error};
use crate::diag::Diagnostic;
use crate::foreign::{self, Ours};
use crate::ops;

/// `x: conv(8, kernel = 3)`: a word of the language as a name. A line before it may have taken the word up.
pub(super) fn reserved_label(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let colon = context.word(context.here) == ":" && context.here > 0;
    let word = context
        .here
        .checked_sub(1)
        .filter(|word| context.word(*word) != "share")?;
    let starts = word == 0 || context.tokens.get(word)?.starts_line;
    (colon && starts && is_reserved(context.word(word))).then(|| {
        let span = context.span(word, word);
        let text = format!("`{}` is a keyword and cannot be a name", context.word(word));
        error(span, text).help("choose another name")
    })
}

fn is_reserved(word: &str) -> bool {
    super::super::hints::RESERVED.contains(&word)
}

/// `for i in 0..3 { ... }`, `if c { ... }`, `def f(x): ...`: a statement that another language begins so.
pub(super) fn foreign(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let word = context.word(0);
    if context.here == 0 || matches!(context.word(1), ":" | "(" | "=") && !matches!(word, "if" | "for" | "while") {
        return None;
    }
    let help = foreign::statement_word(word)?;
    let span = context.span(0, 0);
    let diagnostic = error(span, format!("unknown statement `{word}`"));
    let fix = match word {
        "if" => Some((span, "when".to_owned())),
        "for" => repeat(context),
        _ => None,
    };
    Some(match fix {
        Some((span, text)) => diagnostic.write(span, text),
        None => diagnostic.help(help),
    })
}

/// `repeat 3 as i` for `for i in 0..3` and `for i in range(3)`, where the range begins at zero.
fn repeat(context: &Context<'_, '_>) -> Option<(crate::source::Span, String)> {
    let brace = (0..context.tokens.len()).find(|number| context.word(*number) == "{")?;
    let (index, last) = (context.word(1), brace - 1);
    let count = match (context.word(3), context.word(4), context.word(5)) {
        ("0", ".", ".") if last >= 6 => context.source(6, last),
        ("range", "(", _) if context.partner(4) == Some(last) && last > 5 => context.source(5, last - 1),
        _ => return None,
    };
    let head = if index == "_" {
        format!("repeat {count}")
    } else {
        format!("repeat {count} as {index}")
    };
    (context.word(2) == "in" && !count.contains(',')).then(|| (context.span(0, last), head))
}

/// `let w: int = 3`, `let mut w = 3`, `let w 3`.
pub(super) fn typed(context: &Context<'_, '_>) -> Option<Diagnostic> {
    if context.word(0) != "let" {
        return None;
    }
    let Some(equals) = (0..context.tokens.len()).find(|number| context.word(*number) == "=") else {
        let last = context.here.max(1).min(context.tokens.len() - 1);
        return Some(error(context.span(last, last), "a constant needs a value").help("write `let name = value`"));
    };
    if context.word(context.here) == "," && context.inside == Some('{') {
        let span = context.span(context.here, context.here);
        let fix = format!("; let {}", context.word(context.here + 1));
        let end = context.span(context.here, context.here + 1);
        return Some(
            error(span, "a `let` defines one constant")
                .help(format!("write `{fix} = ...`"))
                .fix(end, fix),
        );
    }
    match (context.word(1), context.word(2)) {
        ("mut", _) => {
            let span = context.span(1, 2);
            let name = context.word(2);
            let diagnostic = error(context.span(1, 1), "constants are immutable");
            Some(diagnostic.help(format!("write `let {name} = ...`")).fix(span, name))
        }
        (name, ":") => {
            let span = context.span(1, equals);
            let diagnostic = error(context.span(2, equals - 1), "constants have no type annotations");
            Some(
                diagnostic
                    .help(format!("write `let {name} = ...`"))
                    .fix(span, format!("{name} =")),
            )
        }
        // Signs are no rules, and so pest says that the whole statement is not expected.
        (_, sign) if context.here == 0 && sign != "=" => {
            Some(error(context.span(2, 2), "a constant needs a name and a value").help("write `let name = value`"))
        }
        _ => None,
    }
}

/// `w = 64`, `x = conv(x)`.
pub(super) fn assigned(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let (first, equals) = assignment(context)?;
    let layer = (equals + 1..context.tokens.len())
        .take_while(|number| context.tokens[*number].is_word() || context.word(*number) == ".")
        .find_map(|number| Some((number, layer_name(context.word(number))?)));
    let name = context.word(equals - 1);
    let diagnostic = error(context.span(equals, equals), "assignments are not supported");
    Some(match layer {
        Some(_) if is_reserved(name) => diagnostic.help("layers run in the order they are written: leave it out"),
        Some((at, layer)) => diagnostic.write(context.span(first, at), format!("{name}: {layer}")),
        None if is_reserved(name) => diagnostic.help("define a constant with `let name = value`"),
        None => {
            let last = (equals + 1..context.tokens.len())
                .take_while(|number| context.word(*number) != ";")
                .last();
            let value = last.map_or("...", |last| context.source(equals + 1, last));
            diagnostic
                .help(format!(
                    "write `let {name} = {}`",
                    value.lines().next().unwrap_or_default()
                ))
                .fix(context.span(first, equals), format!("let {name} ="))
        }
    })
}

/// Where an assignment begins and its `=`: of a name, also of one of the language's words, or of `self.name`.
fn assignment(context: &Context<'_, '_>) -> Option<(usize, usize)> {
    if context.word(0) == "let" || context.inside == Some('(') {
        return None;
    }
    let here = context.here;
    let (first, equals) = match context.word(here) {
        "=" => (here.checked_sub(1)?, here),
        "." if context.word(0) == "self" && here == 1 && context.word(3) == "=" => (0, 3),
        word if is_reserved(word) && context.word(here + 1) == "=" => (here, here + 1),
        _ => return None,
    };
    let starts = first == 0 || context.tokens[first].starts_line;
    (starts && context.tokens[equals - 1].is_word() && context.word(equals + 1) != "=").then_some((first, equals))
}

/// The layer a word stands for, if it stands for one.
fn layer_name(word: &str) -> Option<&'static str> {
    let here = ops::layers()
        .filter(|layer| layer.paths().is_none())
        .map(|layer| layer.name);
    let same = here.into_iter().find(|name| *name == word || foreign::same(name, word));
    same.or_else(|| match foreign::layer(word) {
        Some(Ours::Name(name)) => Some(name),
        _ => None,
    })
}

/// `nn.Conv2d(8, 3)`, `F.relu(x)`.
pub(super) fn dotted(context: &Context<'_, '_>) -> Option<Diagnostic> {
    if context.word(context.here) != "." || context.word(0) == "share" {
        return None;
    }
    let first = context
        .here
        .checked_sub(1)
        .filter(|first| context.tokens[*first].is_word())?;
    let pairs = (context.here..context.tokens.len()).step_by(2);
    let last = pairs
        .take_while(|dot| context.word(*dot) == "." && context.tokens.get(dot + 1).is_some_and(|next| next.is_word()))
        .last()?
        + 1;
    let span = context.span(first, last);
    let (diagnostic, name) = (
        error(span, "layers are called by their plain names"),
        context.word(last),
    );
    Some(match (layer_name(name), foreign::layer(name)) {
        (Some(name), _) => diagnostic.write(span, name),
        (None, Some(Ours::Otherwise(how))) => diagnostic.help(how),
        (None, Some(Ours::Nothing(how))) => diagnostic.help(format!("the language has no `{name}`; {how}")),
        _ => diagnostic.write(span, name),
    })
}

/// Words before braces.
const HEADS: &[&str] = &[
    "residual", "shortcut", "stage", "block", "repeat", "when", "else", "seq", "path",
];

/// What stands in braces: `residual(conv(3, 3))`, `stage s1: relu`, `repeat 3 relu`, `add(a, b)`.
pub(super) fn braces(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let head = (0..context.here)
        .rev()
        .find(|number| HEADS.contains(&context.word(*number)) || joins(context.word(*number)))?;
    let layers = context.word(head + 1) == "(" && layer_name(context.word(head + 2)).is_some();
    // What stands there says more.
    let found = context.word(context.here);
    let says_more = !found.is_ascii() || matches!(found, "&" | "|" | "!" | "=" | ";" | "when" | "if" | ",");
    if !layers && (!context.expects("`{`") || says_more) {
        return None;
    }
    let word = context.word(head);
    let end = context.tokens.len() - 1;
    let holds_body = layers || context.word(head) != "residual";
    let (span, bracket) = match context.word(head + 1) {
        "(" if holds_body => {
            let close = context.partner(head + 1).unwrap_or(end);
            (context.span(head + 1, close), Some((head + 1, close)))
        }
        _ if context.here > end => (context.span(head, end), None),
        _ => (context.span(context.here, context.here), None),
    };
    if let Some((span, text)) = repeat(context).filter(|_| word == "repeat") {
        return Some(error(span, "`repeat` takes a count and the name of an index").write(span, text));
    }
    let diagnostic = error(span, format!("the body of `{word}` must be in braces"));
    let takes_body = matches!(word, "residual" | "seq" | "path" | "shortcut");
    Some(match bracket {
        Some((open, close)) if takes_body && close > open + 1 => {
            let inner = context.source(open + 1, close - 1);
            let glue = if context.touches(head) { " " } else { "" };
            let text = format!("{{ {inner} }}");
            diagnostic
                .help(format!("write `{word} {text}`"))
                .fix(span, format!("{glue}{text}"))
        }
        Some(_) => diagnostic.help(format!("write `{}`", in_braces(word))),
        None if joins(word) => diagnostic.help(format!("write `{}`", in_braces(word))),
        None => {
            let before = context.source(head, context.here.min(end + 1) - 1);
            diagnostic.help(format!("write `{before} {{ ... }}`"))
        }
    })
}

/// Whether a word is an operation that joins paths.
fn joins(word: &str) -> bool {
    ops::joins().any(|layer| layer.name == word)
}

/// A construct with its braces.
fn in_braces(word: &str) -> String {
    if let Some(shape) = ops::find(word).and_then(ops::LayerDef::with_paths) {
        return shape;
    }
    match word {
        "stage" | "block" => format!("{word} name {{ ... }}"),
        "repeat" => "repeat count { ... }".to_owned(),
        "when" => "when condition { ... }".to_owned(),
        _ => format!("{word} {{ ... }}"),
    }
}

/// `conv 64, 3`, `conv[64]`, `conv<64>`.
pub(super) fn arguments(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let layer = context.here.checked_sub(1).map(|before| context.word(before))?;
    let starts = context.tokens.get(context.here)?;
    let outside = !matches!(context.inside, Some('(' | '['));
    let wrong = starts.is_number() && !starts.starts_line || matches!(starts.text, "[" | "<");
    (wrong && outside && layer_name(layer).is_some()).then(|| {
        let span = context.span(context.here, context.here);
        error(span, "arguments must be in parentheses").help(format!("write `{layer}(...)`"))
    })
}

/// `conv(8, 3) | relu`, `conv(8, 3) -> relu`, `conv(8, 3).relu()`: layers that are chained by a sign.
pub(super) fn chained(context: &Context<'_, '_>) -> Option<Diagnostic> {
    if matches!(context.inside, Some('(' | '[')) || context.here == 0 || context.word(0) == "share" {
        return None;
    }
    let sign = context.word(context.here);
    if !matches!(sign, "|" | "-" | ">" | "=" | "." | "+" | "&" | "," | "<") {
        return None;
    }
    let follows = matches!(context.before(), ")" | "}") || layer_name(context.before()).is_some();
    let signs = (context.here..context.tokens.len()).take_while(|number| {
        matches!(
            context.word(*number),
            "|" | "-" | ">" | "=" | "." | "+" | "&" | "," | "<"
        )
    });
    let last = signs.last()?;
    let span = context.span(context.here, last);
    follows.then(|| {
        let diagnostic = error(span, "layers are not connected by operators");
        match sign {
            "+" => diagnostic.help("write `add { path { ... } path { ... } }` for a sum"),
            _ => diagnostic
                .help("separate statements by a line break or `;`")
                .fix(context.span(context.here, last), ";"),
        }
    })
}
