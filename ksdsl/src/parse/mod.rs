//! Text to syntax tree. The only place that knows pest.

mod brackets;
mod clauses;
mod ends;
mod expr;
mod habits;
mod hints;
mod items;
pub(crate) mod marks;
mod recover;
mod scan;
mod share;
mod steps;
mod syntax_error;
mod tokens;

#[cfg(feature = "train")]
use crate::ast::Selector;
use crate::ast::{Expr, File};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::source::{Name, Source, Span, Spanned};
use ksdsl_grammar::Grammar;
use ksdsl_grammar::pest::Parser as _;
use ksdsl_grammar::pest::iterators::{Pair, Pairs};
use std::ops::Range;

pub(crate) use ksdsl_grammar::Rule;

type Node<'t> = Pair<'t, Rule>;

/// Parses a source. Statements with syntax errors are reported and stand in the tree as invalid; an item
/// whose head has one is left out of it.
pub fn parse(source: &Source, diagnostics: &mut Diagnostics) -> File {
    for bad in source.bad_imports() {
        diagnostics.push(Diagnostic::error(Code::Import, bad.span, bad.message.clone()).help(bad.help.clone()));
    }
    let mut reader = recover::Reader::new(source, diagnostics);
    let mut own = 0;
    for (number, part) in source.parts().iter().enumerate() {
        let start = part.range.start;
        match scan::items(&source.text()[part.range.clone()]) {
            Ok(items) => items
                .into_iter()
                .for_each(|item| reader.item(start + item.start..start + item.end)),
            // Nobody knows what the file would have defined.
            Err(diagnostic) => {
                reader.report(diagnostic.moved(start));
                return File::default();
            }
        }
        if number == 0 {
            own = reader.file.nets.len();
        }
    }
    reader.file.imported = reader.file.nets.split_off(own);
    reader.file
}

/// The places of the paths that a text imports, quotes included.
pub(crate) fn imports(text: &str) -> Vec<Range<usize>> {
    scan::imports(text)
}

/// The words, numbers and signs of a text with the bytes at which they begin, without comments, and whether they begin
/// their lines.
#[cfg(feature = "lsp")]
pub(crate) fn words(text: &str) -> Vec<(usize, &str, bool)> {
    let tokens = tokens::tokens(text, 0..text.len()).into_iter();
    tokens.map(|token| (token.at, token.text, token.starts_line)).collect()
}

/// Whether a text is a name.
#[cfg(feature = "lsp")]
pub(crate) fn is_name(text: &str) -> bool {
    let found = Grammar::parse(Rule::ident, text)
        .ok()
        .and_then(|mut pairs| pairs.next());
    found.is_some_and(|name| name.as_str() == text) && text.len() <= crate::limits::NAME_LENGTH
}

/// The expression that a text is, if it is one.
pub(crate) fn value(text: &str) -> Option<Expr> {
    part(text, Rule::value, |builder, pair| {
        content(pair).next().map(|expr| builder.expr(expr))
    })
}

/// The selector of a `share` clause that a text is, if it is one.
#[cfg(feature = "train")]
pub(crate) fn selector(text: &str) -> Option<Selector> {
    part(text, Rule::selector, |builder, pair| {
        (pair.as_str().len() == text.len()).then(|| builder.selector(pair))
    })
}

/// What `build` makes of a text that a rule matches, unless that has errors.
fn part<T>(
    text: &str,
    rule: Rule,
    build: impl FnOnce(&mut TreeBuilder<'_, '_>, Pair<'_, Rule>) -> Option<T>,
) -> Option<T> {
    scan::items(text).ok()?;
    let mut diagnostics = Diagnostics::default();
    let source = Source::new("", text);
    let mut builder = TreeBuilder {
        source: &source,
        base: 0,
        skipped: &[],
        diagnostics: &mut diagnostics,
    };
    let built = build(&mut builder, Grammar::parse(rule, text).ok()?.next()?);
    built.filter(|_| !diagnostics.has_errors())
}

/// The names of the networks a source seems to define, found even where it does not parse: what
/// stub types are made for.
pub fn net_names(text: &str) -> Vec<String> {
    scan::net_names(text)
}

/// The error for a source of that many bytes, for those who look at the size before they read.
pub(crate) fn too_large(bytes: u64) -> Diagnostic {
    scan::too_large(bytes)
}

/// Turns pest's pairs into the tree; every `fn` handles one rule of the grammar.
struct TreeBuilder<'s, 'd> {
    source: &'s Source,
    /// Offset of the item in the source.
    base: usize,
    /// The statements with syntax errors, which are blank in what was parsed.
    skipped: &'s [Range<usize>],
    diagnostics: &'d mut Diagnostics,
}

impl TreeBuilder<'_, '_> {
    fn span(&self, pair: &Node<'_>) -> Span {
        let span = pair.as_span();
        let end = span.start() + without_trailing_blanks(span.as_str()).len();
        Span::new(self.base + span.start(), self.base + end)
    }

    fn name(&self, pair: &Node<'_>) -> Name {
        Spanned::new(pair.as_str().to_owned(), self.span(pair))
    }
}

/// A rule that ends with an optional part takes the whitespace and comments before that part even where
/// the part is absent; they do not belong to what the rule stands for. The language has no strings,
/// so that `//` always begins a comment.
fn without_trailing_blanks(mut text: &str) -> &str {
    loop {
        let content = text.trim_ascii_end();
        let line = match text[content.len()..].contains('\n') {
            true => content.rfind('\n').map_or(0, |at| at + 1),
            false => content.len(),
        };
        text = match (content.strip_suffix("*/"), content[line..].find("//")) {
            (_, Some(comment)) => &content[..line + comment],
            (Some(comment), None) => &comment[..comment.rfind("/*").unwrap_or(comment.len())],
            (None, None) => return content,
        };
    }
}

/// The pairs inside `pair` that carry content: all but keywords and signs.
fn content<'t>(pair: Node<'t>) -> impl Iterator<Item = Node<'t>> {
    only_content(pair.into_inner())
}

fn only_content<'t>(pairs: Pairs<'t, Rule>) -> impl Iterator<Item = Node<'t>> {
    pairs.filter(|pair| syntax_error::keyword(pair.as_rule()).is_none() && pair.as_rule() != Rule::EOI)
}

#[cfg(test)]
mod tests {
    use super::without_trailing_blanks as trimmed;

    #[test]
    fn spans_end_with_their_content() {
        assert_eq!(trimmed("relu"), "relu");
        assert_eq!(trimmed("relu \n "), "relu");
        assert_eq!(trimmed("relu // a\n  // b\n"), "relu");
        assert_eq!(trimmed("relu /* a */ /* b */"), "relu");
        assert_eq!(trimmed("conv(a / b)\n"), "conv(a / b)");
        assert_eq!(trimmed("seq { // a\n relu }"), "seq { // a\n relu }");
    }
}
