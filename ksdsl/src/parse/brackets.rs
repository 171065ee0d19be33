//! Brackets: each has its partner, and what to say where one has not.

use super::scan::too_deep;
use crate::diag::{Code, Diagnostic};
use crate::limits;
use crate::source::Span;

/// The brackets that are open.
pub(super) struct Brackets<'t> {
    text: &'t str,
    /// With the blanks at the start of their lines.
    open: Vec<(char, Span, usize)>,
    /// Where the line at hand begins, and how far that was looked for.
    line: usize,
    looked: usize,
    /// The first bracket whose partner stands further left than the line it was opened in, and that
    /// partner: where a bracket is missing, most probably this one's.
    odd: Option<(char, Span, Span)>,
}

impl<'t> Brackets<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Brackets {
            text,
            open: Vec::new(),
            line: 0,
            looked: 0,
            odd: None,
        }
    }

    pub(super) fn are_closed(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn open(&mut self, bracket: char, at: usize) -> Result<(), Box<Diagnostic>> {
        let indentation = self.indentation(at);
        self.open.push((bracket, Span::new(at, at + 1), indentation));
        if self.open.len() > limits::BRACKET_DEPTH {
            return Err(Box::new(too_deep(at)));
        }
        Ok(())
    }

    pub(super) fn close(&mut self, bracket: char, at: usize) -> Result<(), Box<Diagnostic>> {
        let here = Span::new(at, at + 1);
        match self.open.pop() {
            Some((opened, place, indentation)) if partner(opened) == bracket => {
                if self.odd.is_none() && self.indentation(at) < indentation {
                    self.odd = Some((opened, place, here));
                }
                Ok(())
            }
            Some((opened, place, _)) => {
                Err(Box::new(self.commented_out(opened, place).unwrap_or_else(|| {
                    never_closed(opened, place).and(here, format!("before this `{bracket}`"))
                })))
            }
            None => Err(Box::new(
                Diagnostic::error(Code::Syntax, here, format!("no open bracket matches this `{bracket}`"))
                    .help("remove it, or open the bracket it belongs to"),
            )),
        }
    }

    /// Nothing may be open at the end or before another network.
    pub(super) fn end(&self, network: Option<Span>) -> Result<(), Box<Diagnostic>> {
        let Some(&(bracket, place, _)) = self.open.last() else {
            return Ok(());
        };
        if let Some(diagnostic) = self.commented_out(bracket, place) {
            return Err(Box::new(diagnostic));
        }
        let never = never_closed;
        Err(Box::new(match (self.odd, network) {
            (Some((bracket, place, partner)), _) if bracket == '{' => {
                never(bracket, place).and(partner, "this seems to close an outer bracket")
            }
            (_, Some(network)) => never(bracket, place).and(network, "it is still open where this network starts"),
            _ => never(bracket, place),
        }))
    }

    /// `conv(64 // 4, kernel = 3)`: the partner of a bracket stands in a comment that was meant as a division.
    fn commented_out(&self, bracket: char, place: Span) -> Option<Diagnostic> {
        let line = &self.text[place.range().end..];
        let line = &line[..line.find('\n').unwrap_or(line.len())];
        let slashes = line.find("//").filter(|at| line[*at..].contains(partner(bracket)))?;
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let before = line[..slashes].trim_end();
        let left = &before[before.trim_end_matches(word).len()..];
        let after = line[slashes + 2..].trim_start();
        let right = &after[..after.len() - after.trim_start_matches(word).len()];
        if left.is_empty() || right.is_empty() {
            return None;
        }
        let base = place.range().end;
        let start = base + before.len() - left.len();
        let end = base + line.len() - after.len() + right.len();
        let slashes = Span::new(base + slashes, base + slashes + 2);
        Some(
            Diagnostic::error(
                Code::Syntax,
                slashes,
                "`//` starts a comment; it is not integer division",
            )
            .and(place, format!("this leaves an unclosed `{bracket}`"))
            .write(Span::new(start, end), format!("floor_div({left}, {right})")),
        )
    }

    /// Blanks at the start of the line around `at`.
    fn indentation(&mut self, at: usize) -> usize {
        if let Some(end) = self.text[self.looked..at].rfind('\n') {
            self.line = self.looked + end + 1;
        }
        self.looked = at;
        let line = self.text[self.line..at].bytes();
        line.take_while(|b| matches!(b, b' ' | b'\t')).count()
    }
}

fn never_closed(bracket: char, place: Span) -> Diagnostic {
    Diagnostic::error(Code::Syntax, place, format!("unclosed `{bracket}`"))
        .help(format!("add the missing `{}`", partner(bracket)))
}

fn partner(bracket: char) -> char {
    match bracket {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}
