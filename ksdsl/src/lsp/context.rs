//! What may be written at a cursor, by the words before it: there need not be a tree.

use crate::parse;

/// What may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Context {
    /// Nothing: a comment, a number, the name of something new.
    Nothing,
    /// The path of an import, of which this is the beginning.
    Import(String),
    /// A network, a block or an import.
    Item,
    /// A statement; whether a clause may go on here, too.
    Statement { after_clause: bool },
    /// A parameter or a value in the arguments of a call.
    Argument { callee: String, given: Vec<String> },
    /// The value of an argument.
    Value { callee: String, param: String },
    /// An expression.
    Expression,
    /// What a clause selects.
    Selection,
    /// The kinds of layers, or the next part of a clause.
    Kind,
    /// A path in a clause, of which this is the beginning.
    Path(String),
    /// A mapping, behind `into`.
    Mapping,
    /// A place, behind `at`.
    Place,
    /// A private part.
    Private,
    /// What may follow `with`.
    With,
    /// The next part of a clause.
    ClausePart,
}

/// The context of a cursor.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) context: Context,
    /// Where the word begins that is being written.
    pub(super) start: usize,
    /// Where the clause begins that the cursor is in.
    pub(super) clause: Option<usize>,
}

type Word<'t> = (usize, &'t str, bool);

/// Words after which a clause, or an expression, is not complete.
const DANGLING: &[&str] = &[
    "share",
    "in",
    "each",
    "except",
    "every",
    "into",
    "at",
    "with",
    "as",
    "of",
    "private",
    "transposed",
    "when",
    ",",
    ".",
    "=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "<",
    ">",
    "and",
    "or",
    "not",
    "(",
    "[",
    ":",
];

/// The context of a byte of a text.
pub(super) fn cursor(text: &str, at: usize) -> Cursor {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let start = at
        - text.as_bytes()[..at]
            .iter()
            .rev()
            .take_while(|byte| is_word(byte))
            .count();
    let context = |context, clause| Cursor { context, start, clause };
    if let Some(path) = import(&text[..at]) {
        return Cursor {
            context: Context::Import(path.to_owned()),
            start: at - path.len(),
            clause: None,
        };
    }
    let words = parse::words(&text[..start]);
    let after = words.last().map_or(0, |(at, word, _)| at + word.len());
    if ends_in_comment(&text[after..at]) || text[start..at].starts_with(|first: char| first.is_ascii_digit()) {
        return context(Context::Nothing, None);
    }
    let starts_line = text[after..start].contains('\n');
    let last = words.last().map_or("", |word| word.1);
    match innermost(&words) {
        Some(open) if words[open].1 == "(" => context(argument(&words, open), clause(&words).map(|at| words[at].0)),
        Some(open) if words[open].1 == "[" => context(Context::Expression, None),
        open => {
            let clause = clause(&words).filter(|_| !starts_line || DANGLING.contains(&last));
            match clause {
                Some(at) => context(part(&words, at), Some(words[at].0)),
                None => context(statement(&words, open, last, starts_line), None),
            }
        }
    }
}

/// The path that is being written behind `use "`.
fn import(before: &str) -> Option<&str> {
    let line = before.rsplit('\n').next()?;
    let path = line.trim_start().strip_prefix("use")?.trim_start().strip_prefix('"')?;
    (!path.contains('"')).then_some(path)
}

/// Whether a text of blanks and comments ends inside a comment.
fn ends_in_comment(gap: &str) -> bool {
    let mut rest = gap;
    loop {
        rest = rest.trim_start();
        if rest.starts_with("//") {
            match rest.find('\n') {
                Some(end) => rest = &rest[end..],
                None => return true,
            }
        } else if rest.starts_with("/*") {
            let (mut depth, mut at) = (0usize, 0);
            let bytes = rest.as_bytes();
            while at + 1 < bytes.len() {
                match &bytes[at..at + 2] {
                    b"/*" => (depth, at) = (depth + 1, at + 2),
                    b"*/" => (depth, at) = (depth - 1, at + 2),
                    _ => at += 1,
                }
                if depth == 0 {
                    break;
                }
            }
            if depth > 0 {
                return true;
            }
            rest = &rest[at..];
        } else {
            return false;
        }
    }
}

/// The bracket that is open at the end.
fn innermost(words: &[Word<'_>]) -> Option<usize> {
    let mut open = Vec::new();
    for (number, (_, word, _)) in words.iter().enumerate() {
        match *word {
            "(" | "[" | "{" => open.push(number),
            ")" | "]" | "}" => drop(open.pop()),
            _ => {}
        }
    }
    open.pop()
}

/// The clause that the end is in.
fn clause(words: &[Word<'_>]) -> Option<usize> {
    let back = words.iter().enumerate().rev();
    let mut here = back.take_while(|(_, (_, word, _))| !matches!(*word, ";" | "{" | "}"));
    here.find(|(_, (_, word, _))| *word == "share").map(|(at, _)| at)
}

/// An argument of the call whose bracket is open.
fn argument(words: &[Word<'_>], open: usize) -> Context {
    let Some((_, callee, _)) = open.checked_sub(1).map(|before| words[before]) else {
        return Context::Expression;
    };
    let before = open.checked_sub(2).map_or("", |at| words[at].1);
    if !callee.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
        return Context::Expression;
    }
    if matches!(before, "net" | "block") {
        return if words.last().is_some_and(|last| last.1 == "=") {
            Context::Expression
        } else {
            Context::Nothing
        };
    }
    let (mut depth, mut given, mut from) = (0usize, Vec::new(), open + 1);
    for at in open + 1..words.len() {
        match words[at].1 {
            "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "," if depth == 0 => from = at + 1,
            "=" if depth == 0 && at == from + 1 => given.push(words[at - 1].1.to_owned()),
            _ => {}
        }
    }
    let callee = callee.to_owned();
    match &words[from..] {
        [] => Context::Argument { callee, given },
        [(_, param, _), (_, "=", _)] => Context::Value {
            callee,
            param: (*param).to_owned(),
        },
        _ => Context::Expression,
    }
}

/// The part of a clause at its end.
fn part(words: &[Word<'_>], clause: usize) -> Context {
    let inside = &words[clause + 1..];
    let Some((_, last, _)) = inside.last() else {
        return Context::Selection;
    };
    match *last {
        "isomorphic" => Context::Kind,
        "of" => Context::Selection,
        "into" => Context::Mapping,
        "at" => Context::Place,
        "private" => Context::Private,
        "with" => Context::With,
        "as" => Context::Nothing,
        "when" | "every" | "=" | "+" | "-" | "/" | "%" | "<" | ">" | "and" | "or" | "not" => Context::Expression,
        "in" | "each" | "except" | "blocks" | "transposed" => Context::Path(String::new()),
        "," if after_private(inside) => Context::Private,
        "," => Context::Path(String::new()),
        "." => Context::Path(path(inside)),
        "*" if !inside.iter().any(|word| matches!(word.1, "when" | "every")) => Context::Path(path(inside)),
        _ => Context::ClausePart,
    }
}

/// Whether a list of private parts is going on.
fn after_private(inside: &[Word<'_>]) -> bool {
    let begins = ["private", "in", "except", "transposed", "blocks", "share"];
    let found = inside.iter().rev().find(|word| begins.contains(&word.1));
    found.is_some_and(|word| word.1 == "private")
}

/// The path that words end with.
fn path(inside: &[Word<'_>]) -> String {
    let mut begin = inside.len();
    let mut depth = 0usize;
    while let Some((_, word, _)) = begin.checked_sub(1).map(|at| inside[at]) {
        let next = inside.get(begin).map_or("", |word| word.1);
        let is_name = word.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
        match word {
            "]" => depth += 1,
            "[" if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            "." | "*" => {}
            _ if is_name && matches!(next, "." | "[" | "*") => {}
            _ => break,
        }
        begin -= 1;
    }
    inside[begin..].iter().map(|word| word.1).collect()
}

/// A statement, an item or an expression.
fn statement(words: &[Word<'_>], open: Option<usize>, last: &str, starts_line: bool) -> Context {
    if open.is_none() {
        return match last {
            "=" => Context::Expression,
            "net" | "block" => Context::Nothing,
            _ => Context::Item,
        };
    }
    match last {
        "net" | "block" | "stage" | "let" | "keep" | "exit" | "as" => Context::Nothing,
        "=" | "+" | "-" | "*" | "/" | "%" | "<" | ">" | "," | "and" | "or" | "not" | "repeat" | "to" | "when"
        | "from" | "set" | "each" | "input" | "of" | "x" | "output" => Context::Expression,
        "{" | "}" | ";" | ":" => Context::Statement { after_clause: false },
        _ if starts_line => Context::Statement {
            after_clause: clause(words).is_some(),
        },
        _ => Context::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::{Context, cursor};

    /// The context at `|`.
    fn at(text: &str) -> Context {
        let offset = text.find('|').unwrap();
        cursor(&text.replacen('|', "", 1), offset).context
    }

    #[test]
    fn clauses_have_contexts_of_their_own() {
        let in_net = |clause: &str| at(&format!("net a {{ input 4; linear(4)\n {clause}\n}}"));
        let path = |path: &str| Context::Path(path.to_owned());
        assert_eq!(in_net("share |"), Context::Selection);
        assert_eq!(in_net("share kernel of iso|"), Context::Selection);
        assert_eq!(in_net("share isomorphic co|"), Context::Kind);
        assert_eq!(in_net("share isomorphic conv |"), Context::ClausePart);
        assert_eq!(in_net("share isomorphic conv in |"), path(""));
        assert_eq!(in_net("share isomorphic conv in s1, |"), path(""));
        assert_eq!(in_net("share s1[0..2].co|"), path("s1[0..2]."));
        assert_eq!(in_net("share s*.**.|"), path("s*.**."));
        assert_eq!(in_net("share s1.a, s2[i - 1].b.|"), path("s2[i-1].b."));
        assert_eq!(in_net("share blocks in body into |"), Context::Mapping);
        assert_eq!(in_net("share conv at |"), Context::Place);
        assert_eq!(in_net("share conv with |"), Context::With);
        assert_eq!(in_net("share conv with private bias, |"), Context::Private);
        assert_eq!(
            in_net("share isomorphic conv\n |"),
            Context::Statement { after_clause: true }
        );
        assert_eq!(in_net("share isomorphic conv in\n |"), path(""));
        let argument = Context::Argument {
            callee: "cycle".to_owned(),
            given: Vec::new(),
        };
        assert_eq!(in_net("share conv into cycle(|"), argument);
    }

    #[test]
    fn statements_and_arguments_are_told_apart() {
        assert_eq!(at("|"), Context::Item);
        assert_eq!(at("net |"), Context::Nothing);
        assert_eq!(at("net a { input 4; |"), Context::Statement { after_clause: false });
        assert_eq!(
            at("net a { input 4\n  con|"),
            Context::Statement { after_clause: false }
        );
        assert_eq!(at("net a { input 4; c: |"), Context::Statement { after_clause: false });
        assert_eq!(at("net a { let b = |"), Context::Expression);
        assert_eq!(at("net a { repeat |"), Context::Expression);
        let given = vec!["kernel".to_owned()];
        let argument = |given| Context::Argument {
            callee: "conv".to_owned(),
            given,
        };
        assert_eq!(at("net a { conv(|"), argument(Vec::new()));
        assert_eq!(at("net a { conv(min(1, 2), kernel = 3, |"), argument(given));
        let value = Context::Value {
            callee: "conv".to_owned(),
            param: "pad".to_owned(),
        };
        assert_eq!(at("net a { conv(4, pad = |"), value);
        assert_eq!(at("use \"std/|"), Context::Import("std/".to_owned()));
        assert_eq!(at("net a { // conv(|"), Context::Nothing);
        assert_eq!(at("net a { /* conv( /* a */ |"), Context::Nothing);
        assert_eq!(at("net a { input 1 x 2|8"), Context::Nothing);
    }
}
