//! Syntax of other languages where this one has its own: each habit is recognised by the words of the statement
//! it stands in, and answered with what to write.

mod items;
mod sizes;
mod statements;
mod words;

use super::clauses;
use super::tokens::Token;
use crate::diag::{Code, Diagnostic};
use crate::source::Span;

/// The statement an error stands in.
pub(super) struct Context<'c, 't> {
    pub(super) text: &'t str,
    pub(super) tokens: &'c [Token<'t>],
    /// The token at the error; the number of tokens where the statement ends too early.
    pub(super) here: usize,
    pub(super) expected: &'c [String],
    /// The bracket around the error.
    pub(super) inside: Option<char>,
}

impl<'c, 't> Context<'c, 't> {
    pub(super) fn new(
        text: &'t str,
        tokens: &'c [Token<'t>],
        at: usize,
        expected: &'c [String],
        inside: Option<char>,
    ) -> Self {
        let here = tokens.iter().position(|token| token.end() > at);
        Context {
            text,
            tokens,
            here: here.unwrap_or(tokens.len()),
            expected,
            inside,
        }
    }

    pub(super) fn expects(&self, what: &str) -> bool {
        self.expected.iter().any(|name| name == what)
    }

    /// The text of a token; nothing where there is none.
    pub(super) fn word(&self, number: usize) -> &'t str {
        self.tokens.get(number).map_or("", |token| token.text)
    }

    pub(super) fn before(&self) -> &'t str {
        self.here.checked_sub(1).map_or("", |before| self.word(before))
    }

    /// The place from one token to another.
    pub(super) fn span(&self, first: usize, last: usize) -> Span {
        match (self.tokens.get(first), self.tokens.get(last)) {
            (Some(first), Some(last)) => Span::new(first.at, last.end()),
            _ => Span::default(),
        }
    }

    /// As it is written from one token to another.
    pub(super) fn source(&self, first: usize, last: usize) -> &'t str {
        &self.text[self.span(first, last).range()]
    }

    /// Whether nothing stands between a token and the next.
    pub(super) fn touches(&self, number: usize) -> bool {
        matches!(self.tokens.get(number..number + 2), Some([one, next]) if one.end() == next.at)
    }

    /// The bracket that closes the one at `open`.
    pub(super) fn partner(&self, open: usize) -> Option<usize> {
        let mut depth = 0usize;
        (open..self.tokens.len()).find(|number| {
            match self.word(*number) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        })
    }

    /// The innermost bracket that is open before a token.
    pub(super) fn opener(&self, number: usize) -> Option<usize> {
        let mut open = Vec::new();
        for before in 0..number.min(self.tokens.len()) {
            match self.word(before) {
                "(" | "[" | "{" => open.push(before),
                ")" | "]" | "}" => drop(open.pop()),
                _ => {}
            }
        }
        open.pop()
    }
}

/// An error in the text of a source.
pub(super) fn error(span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(Code::Syntax, span, message)
}

/// What is said of a habit, if one is recognised.
pub(super) fn habit(context: &Context<'_, '_>) -> Option<Diagnostic> {
    let habits: &[fn(&Context<'_, '_>) -> Option<Diagnostic>] = &[
        items::foreign_item,
        items::parameters,
        items::colon,
        words::string,
        words::comment,
        words::operator,
        sizes::input,
        sizes::tuple,
        sizes::capital,
        words::conditional,
        statements::reserved_label,
        statements::foreign,
        statements::typed,
        statements::assigned,
        clauses::advice,
        statements::dotted,
        statements::braces,
        statements::arguments,
        statements::chained,
        words::named_with_colon,
    ];
    habits.iter().find_map(|habit| habit(context))
}
