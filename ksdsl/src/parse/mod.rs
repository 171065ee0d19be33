//! Text to syntax tree. The only place that knows pest.

mod expr;
mod items;
mod scan;
mod share;
mod steps;
mod syntax_error;

use crate::ast::File;
use crate::diag::Diagnostics;
use crate::source::{Name, Source, Span, Spanned};
use pest::Parser as _;
use pest::iterators::{Pair, Pairs};

pub(crate) use grammar::{Grammar, Rule};

/// What pest derives from the grammar.
#[allow(missing_docs)]
mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "../../grammars/ksn.pest"]
    pub(crate) struct Grammar;
}

type Node<'t> = Pair<'t, Rule>;

/// Parses a source. Items with syntax errors are reported and left out of the tree.
pub fn parse(source: &Source, diagnostics: &mut Diagnostics) -> File {
    let items = match scan::items(source.text()) {
        Ok(items) => items,
        Err(diagnostic) => {
            diagnostics.push(*diagnostic);
            return File::default();
        }
    };
    let mut file = File::default();
    for range in items {
        let base = range.start;
        match Grammar::parse(Rule::item, &source.text()[range]) {
            Ok(pairs) => TreeBuilder {
                source,
                base,
                diagnostics,
            }
            .item(pairs, &mut file),
            Err(error) => diagnostics.push(syntax_error::diagnose(source, base, &error)),
        }
    }
    file
}

/// The names of the networks a source seems to define, found even where it does not parse: what
/// stub types are made for.
pub fn net_names(text: &str) -> Vec<String> {
    scan::net_names(text)
}

/// Turns pest's pairs into the tree; every `fn` handles one rule of the grammar.
struct TreeBuilder<'s, 'd> {
    source: &'s Source,
    /// Offset of the item in the source.
    base: usize,
    diagnostics: &'d mut Diagnostics,
}

impl TreeBuilder<'_, '_> {
    fn span(&self, pair: &Node<'_>) -> Span {
        let span = pair.as_span();
        Span::new(self.base + span.start(), self.base + span.end())
    }

    fn name(&self, pair: &Node<'_>) -> Name {
        Spanned::new(pair.as_str().to_owned(), self.span(pair))
    }
}

/// The pairs inside `pair` that carry content: all but keywords and signs.
fn content<'t>(pair: Node<'t>) -> impl Iterator<Item = Node<'t>> {
    only_content(pair.into_inner())
}

fn only_content<'t>(pairs: Pairs<'t, Rule>) -> impl Iterator<Item = Node<'t>> {
    pairs.filter(|pair| syntax_error::keyword(pair.as_rule()).is_none() && pair.as_rule() != Rule::EOI)
}
