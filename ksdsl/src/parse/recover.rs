//! Reading on after a syntax error: the statement it stands in is blanked out, and the item is read again.
//!
//! Afterwards every syntax error is reported once, and the tree has an invalid statement where each
//! was, so that nothing that only follows from it is reported.

use super::Rule;
use super::tokens::{Token, body_around, statements, tokens};
use super::{TreeBuilder, syntax_error};
use crate::ast::File;
use crate::diag::{Diagnostic, Diagnostics};
use crate::limits;
use crate::source::Source;
use ksdsl_grammar::Grammar;
use ksdsl_grammar::pest::Parser as _;
use ksdsl_grammar::pest::iterators::Pairs;
use std::ops::Range;

/// Reads items one by one.
pub(super) struct Reader<'s, 'd> {
    source: &'s Source,
    diagnostics: &'d mut Diagnostics,
    pub(super) file: File,
    /// Bytes that may still be read again.
    again: usize,
}

/// A statement with a syntax error.
struct Broken {
    /// Its location in the source.
    range: Range<usize>,
    /// Whether the error only follows from one before it.
    follows: bool,
}

impl<'s, 'd> Reader<'s, 'd> {
    pub(super) fn new(source: &'s Source, diagnostics: &'d mut Diagnostics) -> Self {
        Reader {
            source,
            diagnostics,
            file: File::default(),
            again: limits::READ_AGAIN,
        }
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    pub(super) fn item(&mut self, item: Range<usize>) {
        let mut text = self.source.text()[item.clone()].to_owned();
        let mut skipped: Vec<Range<usize>> = Vec::new();
        loop {
            let error = match Grammar::parse(Rule::item, &text) {
                Ok(pairs) => return self.build(item.start, pairs, &skipped),
                Err(error) => error,
            };
            let problem = syntax_error::Problem::new(&error, self.source, item.clone());
            let broken = broken(self.source.text(), &item, &problem, &skipped);
            if !broken.as_ref().is_some_and(|broken| broken.follows) {
                let range = broken.as_ref().map_or(item.clone(), |broken| broken.range.clone());
                self.diagnostics.push(problem.diagnostic(range));
            }
            let Some(Broken { range, .. }) = broken.filter(|_| self.may_go_on(text.len())) else {
                self.lose(item);
                return;
            };
            blank(&mut text, range.start - item.start..range.end - item.start);
            self.lose(range.clone());
            skipped.push(range);
        }
    }

    fn build(&mut self, base: usize, pairs: Pairs<'_, Rule>, skipped: &[Range<usize>]) {
        TreeBuilder {
            source: self.source,
            base,
            skipped,
            diagnostics: self.diagnostics,
        }
        .item(pairs, &mut self.file);
    }

    fn may_go_on(&mut self, bytes: usize) -> bool {
        let enough = self.again >= bytes && !self.diagnostics.is_full();
        self.again = self.again.saturating_sub(bytes);
        enough
    }

    /// Notes what a part that is left out may define.
    fn lose(&mut self, range: Range<usize>) {
        let tokens = tokens(self.source.text(), range);
        let names = tokens.windows(2).filter_map(defined);
        let input = tokens
            .iter()
            .find(|token| token.text == "input")
            .map(|token| token.text);
        self.file.lost.extend(names.chain(input).map(str::to_owned));
    }
}

/// The name that two tokens may define.
fn defined<'t>(pair: &[Token<'t>]) -> Option<&'t str> {
    match pair {
        [word, name] if DEFINES.contains(&word.text) => Some(name.text),
        [name, sign] if matches!(sign.text, "=" | ":") => Some(name.text),
        _ => None,
    }
}

/// Words before a name that is defined, in this language and in others.
const DEFINES: &[&str] = &[
    "let", "keep", "exit", "block", "net", "as", "for", "def", "fn", "class", "const", "var", "int", "mut",
];

/// The statement an error stands in. Where it is the first word of a statement that is not expected, the
/// one before it is not complete; and where only blanked statements stand between, that was their doing.
fn broken(
    text: &str,
    item: &Range<usize>,
    problem: &syntax_error::Problem<'_>,
    skipped: &[Range<usize>],
) -> Option<Broken> {
    let tokens = tokens(text, item.clone());
    let body = body_around(&tokens, problem.at())?;
    let all = statements(&tokens, body);
    let is_skipped = |range: &Range<usize>| skipped.iter().any(|skipped| skipped.start == tokens[range.start].at);
    let here = all.iter().position(|range| tokens[range.end - 1].end() > problem.at());
    let starts = here.is_none_or(|here| tokens[all[here].start].at >= problem.at());
    let before = here.unwrap_or(all.len());
    let incomplete = starts && !problem.expects_statement();
    let last = all[..before].iter().rposition(|range| !is_skipped(range));
    let found = match (here, last) {
        (_, Some(last)) if incomplete => last,
        (Some(here), _) if !is_skipped(&all[here]) => here,
        _ => return None,
    };
    let range = all[found].clone();
    // What is left in the line of a statement that was skipped belongs to it.
    let start = tokens[range.start].at;
    let same_line = |skipped: &Range<usize>| {
        let between = text.get(skipped.end..start).unwrap_or("\n");
        !text[skipped.clone()].ends_with(';') && between.trim_matches([' ', '\t']).is_empty()
    };
    Some(Broken {
        follows: skipped.iter().any(same_line) || incomplete && found + 1 < before,
        range: tokens[range.start].at..tokens[range.end - 1].end(),
    })
}

/// Puts blanks in the place of all but line ends.
fn blank(text: &mut String, range: Range<usize>) {
    let blanks: String = text[range.clone()]
        .bytes()
        .map(|byte| if byte == b'\n' { '\n' } else { ' ' })
        .collect();
    text.replace_range(range, &blanks);
}
