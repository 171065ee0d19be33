//! Advice for common slips: what the writer probably meant where the text leaves the grammar.

use crate::diag::nearest;
use crate::ops;
use std::ops::Range;

/// The keywords that open a construct: the ones a misspelt word is compared with.
const OPENERS: &[&str] = &[
    "net",
    "block",
    "stage",
    "input",
    "output",
    "let",
    "share",
    "residual",
    "shortcut",
    "path",
    "repeat",
    "when",
    "else",
    "seq",
    "keep",
    "set",
    "exit",
    "from",
    "isomorphic",
    "into",
    "groups",
];

/// Those, and the operations that paths in braces follow.
fn openers() -> impl Iterator<Item = &'static str> + Clone {
    OPENERS.iter().copied().chain(ops::joins().map(|layer| layer.name))
}

/// Words that cannot be names.
pub(super) const RESERVED: &[&str] = &[
    "net", "block", "stage", "input", "output", "let", "share", "residual", "shortcut", "path", "repeat", "when",
    "else", "seq", "keep", "set", "exit", "from", "true", "false", "and", "or", "not", "as", "in", "x",
];

/// Keywords that a name of the writer's choice follows.
const NAMING: &[&str] = &["net", "block", "stage", "let", "keep", "exit", "output", "as"];

/// Words that are right where they are.
const OTHERS: &[&str] = &[
    "kernel",
    "bias",
    "up",
    "to",
    "of",
    "in",
    "as",
    "at",
    "with",
    "norms",
    "private",
    "transposed",
    "blocks",
    "when",
    "and",
    "or",
    "not",
    "true",
    "false",
    "x",
];

/// Words before an error that are looked at.
const WORDS: usize = 6;

/// A misspelt keyword and the keyword: the first word of the statement that is none, or the word
/// at the error.
pub(super) fn misspelt(text: &str, base: usize, at: usize, here: Range<usize>) -> Option<(Range<usize>, &'static str)> {
    let start = text[base..at]
        .rfind(['\n', ';', '{', '}', '(', ')', ',', ':', '=', '[', ']', '.'])
        .map_or(base, |end| base + end + 1);
    let mut named = false;
    let statement = words(text, start..at).take(WORDS).chain([here]);
    for range in statement {
        let word = &text[range.clone()];
        let chosen = std::mem::replace(&mut named, NAMING.contains(&word));
        if openers().any(|opener| opener == word) || OTHERS.contains(&word) {
            continue;
        }
        if chosen || word.len() < 2 || !word.is_ascii() || ops::find(word).is_some() {
            continue;
        }
        if let Some(keyword) = nearest(&word.to_ascii_lowercase(), openers()) {
            let stem = word.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
            return (stem != keyword).then_some((range, keyword));
        }
    }
    None
}

fn words(text: &str, range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let start = text.as_ptr() as usize;
    let words = text[range].split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| !word.is_empty()).map(move |word| {
        let at = word.as_ptr() as usize - start;
        at..at + word.len()
    })
}

/// The bracket around a place in an item that was scanned before, so that its brackets match.
pub(super) fn bracket(text: &str) -> Option<char> {
    let mut closed = 0usize;
    text.chars().rev().find(|c| match c {
        ')' | ']' | '}' => {
            closed += 1;
            false
        }
        '(' | '[' | '{' if closed > 0 => {
            closed -= 1;
            false
        }
        '(' | '[' | '{' => true,
        _ => false,
    })
}

/// What is wrong about `found` where one of `expected` should stand, after `before`, in `inside`.
pub(super) fn advice(found: &str, before: &str, expected: &[String], inside: Option<char>) -> Option<String> {
    let expects = |what: &str| expected.iter().any(|name| name == what);
    let after = before.trim_end();
    let fixed = match found {
        "&" => "write `and`",
        "|" => "write `or`",
        "!" => "write `not`, or `!=` to compare",
        "=" if expects("an operator") => "write `==` to compare",
        ";" if inside == Some('(') => "arguments are separated by `,`",
        ";" if expects("`{`") => "remove the `;`",
        "=" if expects("`{`") => "remove the `=`",
        "in" if expects("an argument") => "leave it out: it is inferred from the previous layer",
        "/" if expects("a statement") => "the segments of a path are separated by `.`",
        "(" | "{" if expects("a name") && after.ends_with("stage") => "a stage has a name: `stage name { ... }`",
        ":" if inside == Some('[') => "write a range as `0..2`",
        "," if expects("a statement") => "separate statements by a line break or `;`",
        "when" if after.ends_with("else") => "write `else { when ... { ... } }`",
        "{" if expects("`path`") => "write `path { ... }` for each branch",
        _ if expects("`path`") && !expects("a statement") => "write `path { ... }` for each branch",
        "}" if expects("a layer path") => "write `share s1[*].conv1`, or `share isomorphic conv in s1`",
        "]" if expects("a range") || inside == Some('[') => "write an index, a range such as `0..2`, or `*`",
        _ if expects("an operator") && inside == Some('(') && starts_value(found) => "add a `,` before it",
        _ if !found.is_ascii() => "names, numbers and operators must be ASCII",
        _ => return None,
    };
    Some(fixed.to_owned())
}

fn starts_value(found: &str) -> bool {
    found.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

/// A keyword where a name should stand, with what follows it.
pub(super) fn reserved(found: &str, rest: &str, expected: &[String]) -> Option<String> {
    let wants_name = expected.iter().any(|name| name == "a name");
    let is_label = rest.trim_start().starts_with(':');
    let is_word = !found.is_empty() && found.bytes().all(|b| b.is_ascii_lowercase());
    (is_word && (wants_name || is_label)).then(|| format!("`{found}` is a keyword; choose another name"))
}
