//! What the grammar makes of the places of a text: all that a formatter must know of the language.

use super::{Node, Rule, parse, scan, syntax_error};
use crate::diag::{Diagnostic, Diagnostics};
use crate::source::Source;
use ksdsl_grammar::Grammar;
use ksdsl_grammar::pest::Parser as _;
use std::collections::BTreeMap;

/// What begins at a byte of a text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    /// Where the word, number or path ends that begins here; 0 if none does.
    pub(crate) end: usize,
    /// An item, a statement or a branch.
    pub(crate) statement: bool,
    /// A bracket next to the name before it.
    pub(crate) tight: bool,
    /// A bracket around a list whose elements are separated by commas.
    pub(crate) list: bool,
    /// A part of a clause or an operator: something that a line may begin with.
    pub(crate) may_break: bool,
    /// A sign next to what follows it.
    pub(crate) unary: bool,
}

/// Marks by the bytes at which they stand.
pub(crate) type Marks = BTreeMap<usize, Mark>;

/// The marks of a source without the files that it imports.
///
/// # Errors
/// Everything that is wrong with the syntax.
pub(crate) fn marks(source: &Source) -> Result<Marks, Vec<Diagnostic>> {
    let mut diagnostics = Diagnostics::default();
    parse(source, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics.into_sorted());
    }
    let mut marks = Marks::new();
    let text = source.own_text();
    for item in scan::items(text).map_err(|diagnostic| vec![*diagnostic])? {
        // It has been parsed above.
        for pair in Grammar::parse(Rule::item, &text[item.clone()]).into_iter().flatten() {
            mark(pair, item.start, &mut marks);
        }
    }
    Ok(marks)
}

fn mark(pair: Node<'_>, base: usize, marks: &mut Marks) {
    let rule = pair.as_rule();
    let span = pair.as_span();
    let mark = marks.entry(base + span.start()).or_default();
    match rule {
        Rule::net | Rule::use_ | Rule::block | Rule::path => mark.statement = true,
        Rule::input | Rule::output | Rule::let_ | Rule::keep | Rule::set | Rule::exit => mark.statement = true,
        Rule::stage | Rule::step | Rule::share => mark.statement = true,
        Rule::args | Rule::params => (mark.list, mark.tight) = (true, true),
        Rule::list | Rule::visits => mark.list = true,
        Rule::index | Rule::item_of => mark.tight = true,
        Rule::in_scopes | Rule::except | Rule::every | Rule::into | Rule::at | Rule::with_norms => {
            mark.may_break = true;
        }
        Rule::with_private | Rule::with_transposed | Rule::share_name | Rule::share_when => mark.may_break = true,
        Rule::operator => mark.may_break = true,
        Rule::minus => mark.unary = true,
        _ => {}
    }
    if is_lexeme(rule) {
        mark.end = base + span.end();
    }
    for inner in pair.into_inner() {
        self::mark(inner, base, marks);
    }
}

/// Whether a rule stands for one word, number or sign.
fn is_lexeme(rule: Rule) -> bool {
    let words = [Rule::ident, Rule::int, Rule::float, Rule::segment, Rule::file];
    let signs = [Rule::eq, Rule::ne, Rule::le, Rule::ge, Rule::times, Rule::private_visit];
    words.contains(&rule) || signs.contains(&rule) || syntax_error::keyword(rule).is_some()
}
