//! The words and signs of a piece of source, and the statements they make: what messages about a syntax
//! error look at, since there is no tree.

use super::scan::{Piece, Pieces};
use std::ops::Range;

/// A word, a number or a sign.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    /// Its notation.
    pub(super) text: &'t str,
    /// Offset in the source.
    pub(super) at: usize,
    /// Whether it is the first of its line.
    pub(super) starts_line: bool,
}

impl Token<'_> {
    pub(super) fn end(&self) -> usize {
        self.at + self.text.len()
    }

    pub(super) fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    }

    pub(super) fn is_number(&self) -> bool {
        self.text.starts_with(|c: char| c.is_ascii_digit())
    }
}

/// The tokens of a part of a text; comments and whitespace are left out.
pub(super) fn tokens(text: &str, range: Range<usize>) -> Vec<Token<'_>> {
    let mut before = range.start;
    let pieces = Pieces::from(&text[..range.end], range.start);
    let token = |(at, piece): (usize, Piece<'_>)| {
        let length = match piece {
            Piece::Word(word) | Piece::Path(word) => word.len(),
            _ => text[at..].chars().next().map_or(0, char::len_utf8),
        };
        let starts_line = text[before..at].contains('\n');
        before = at + length;
        Token {
            text: &text[at..before],
            at,
            starts_line,
        }
    };
    pieces.map(token).collect()
}

/// Tokens that continue the statement of the previous line.
const CONTINUES: &[&str] = &[
    "else", "shortcut", "and", "or", "{", "(", "[", ")", "]", ",", ".", "=", "+", "-", "*", "/", "%", "<", ">", ":",
    "|",
];

/// Keywords that continue a `share` clause.
const CLAUSE_CONTINUES: &[&str] = &["in", "except", "every", "into", "at", "with", "as", "of"];

/// Words and signs that a statement cannot end with.
const DANGLES: &[&str] = &[
    "in", "except", "every", "into", "at", "with", "as", "of", "and", "or", "not", "share", "let", "input", "stage",
    "block", "net", "repeat", "when", "private", "output", "keep", "set", "exit", "from", ",", ".", "=", "+", "-", "*",
    "/", "%", "<", ">", ":",
];

/// Statements of a body, as ranges of tokens, from its first token to the one that closes it or the last.
pub(super) fn statements(tokens: &[Token<'_>], from: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let (mut start, mut depth, mut at) = (from, 0usize, from);
    while let Some(token) = tokens.get(at) {
        if depth == 0 && at > start && begins(tokens, start, at) {
            found.push(start..at);
            start = at;
        }
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => break,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    if at > start {
        found.push(start..at);
    }
    found
}

/// Whether the token `at` begins a statement after that which began at `start`.
fn begins(tokens: &[Token<'_>], start: usize, at: usize) -> bool {
    let (last, token) = (tokens[at - 1].text, &tokens[at]);
    match (last, token.text) {
        (_, ";") | (";", "{") => false,
        (";", _) => true,
        (_, "when") if tokens[start].text == "share" => opens_a_brace(&tokens[at + 1..]),
        (_, text) if CONTINUES.contains(&text) => false,
        (_, text) if tokens[start].text == "share" && CLAUSE_CONTINUES.contains(&text) => false,
        ("}", _) => true,
        (last, _) => token.starts_line && !DANGLES.contains(&last),
    }
}

/// Whether a brace opens in the rest of the line.
fn opens_a_brace(rest: &[Token<'_>]) -> bool {
    let mut line = rest.iter().take_while(|token| !token.starts_line && token.text != ";");
    line.any(|token| token.text == "{")
}

/// The body around a place: the number of its first token; `None` outside all braces.
pub(super) fn body_around(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    let mut open = Vec::new();
    for (number, token) in tokens.iter().enumerate().take_while(|(_, token)| token.at < at) {
        match token.text {
            "(" | "[" | "{" => open.push(number),
            ")" | "]" | "}" => drop(open.pop()),
            _ => {}
        }
    }
    let braces = open.into_iter().rev().find(|number| tokens[*number].text == "{");
    braces.map(|number| number + 1)
}

#[cfg(test)]
mod tests {
    use super::{body_around, statements, tokens};

    /// The statements of the innermost body around `at`.
    fn split<'t>(text: &'t str, at: &str) -> Vec<&'t str> {
        let tokens = tokens(text, 0..text.len());
        let body = body_around(&tokens, text.find(at).expect("the place")).expect("a body");
        let text = |range: std::ops::Range<usize>| &text[tokens[range.start].at..tokens[range.end - 1].end()];
        statements(&tokens, body).into_iter().map(text).collect()
    }

    #[test]
    fn statements_end_with_their_line_a_semicolon_or_a_brace() {
        let text = "net a {\n input 3 x 8 x 8 // x\n relu; gelu;\n stage s { relu } relu\n}";
        assert_eq!(
            split(text, "input"),
            ["input 3 x 8 x 8", "relu;", "gelu;", "stage s { relu }", "relu"]
        );
        assert_eq!(split(text, "relu }"), ["relu"]);
    }

    #[test]
    fn what_goes_on_belongs_to_the_statement() {
        let text = "net a {\n share s.conv,\n  t.conv\n  into 2 groups\n  when c\n when c { relu }\n else { gelu }\n}";
        assert_eq!(
            split(text, "share"),
            [
                "share s.conv,\n  t.conv\n  into 2 groups\n  when c",
                "when c { relu }\n else { gelu }"
            ]
        );
        let text =
            "net a {\n share s.conv\n let w = 2 *\n 3\n conv(w,\n 3)\n residual { relu }\n shortcut { gelu }\n relu\n}";
        assert_eq!(
            split(text, "share"),
            [
                "share s.conv",
                "let w = 2 *\n 3",
                "conv(w,\n 3)",
                "residual { relu }\n shortcut { gelu }",
                "relu"
            ]
        );
    }
}
