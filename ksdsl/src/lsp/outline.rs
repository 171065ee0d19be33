//! Document symbols: networks, blocks, stages and labels.

use super::analysis::Analysis;
use crate::ast::{Block, Body, NetKind, Statement, Step, StepKind};
use crate::source::Span;
use lsp_types::{DocumentSymbol, SymbolKind};

/// The outline of the text, without what it imports.
pub(super) fn outline(analysis: &Analysis) -> Vec<DocumentSymbol> {
    let file = &analysis.file;
    let blocks = file.blocks.iter().filter(|block| analysis.is_own(block.span));
    let mut symbols: Vec<(Span, DocumentSymbol)> =
        blocks.map(|block| (block.span, of_block(analysis, block))).collect();
    for net in &file.nets {
        let children = match &net.kind {
            NetKind::Family { body, .. } => of_body(analysis, body),
            NetKind::Instance { .. } => Vec::new(),
        };
        let symbol = symbol(analysis, (net.span, net.name.span), SymbolKind::CLASS, children);
        symbols.push((net.span, symbol));
    }
    symbols.sort_by_key(|(span, _)| *span);
    symbols.into_iter().map(|(_, symbol)| symbol).collect()
}

fn of_block(analysis: &Analysis, block: &Block) -> DocumentSymbol {
    let children = of_body(analysis, &block.body);
    symbol(analysis, (block.span, block.name.span), SymbolKind::FUNCTION, children)
}

fn of_body(analysis: &Analysis, body: &Body) -> Vec<DocumentSymbol> {
    let statements = body.statements.iter();
    statements
        .flat_map(|statement| of_statement(analysis, statement))
        .collect()
}

fn of_statement(analysis: &Analysis, statement: &Statement) -> Vec<DocumentSymbol> {
    match statement {
        Statement::Block(block) => vec![of_block(analysis, block)],
        Statement::Stage(name, body) => {
            let spans = (name.span.to(body.span), name.span);
            vec![symbol(analysis, spans, SymbolKind::NAMESPACE, of_body(analysis, body))]
        }
        Statement::Step(step) => of_step(analysis, step),
        _ => Vec::new(),
    }
}

/// A step with a label, or what has labels inside one without.
fn of_step(analysis: &Analysis, step: &Step) -> Vec<DocumentSymbol> {
    let inside: Vec<&Body> = match &step.kind {
        StepKind::Call(call) => call.paths().iter().map(|path| &path.body).collect(),
        StepKind::Residual { body, shortcut, .. } => std::iter::once(body).chain(shortcut).collect(),
        StepKind::Repeat { body, .. } | StepKind::Each { body, .. } | StepKind::Sequence(body) => vec![body],
        StepKind::When { then, otherwise, .. } => std::iter::once(then).chain(otherwise).collect(),
        StepKind::From(_) => Vec::new(),
    };
    let children: Vec<DocumentSymbol> = inside.into_iter().flat_map(|body| of_body(analysis, body)).collect();
    match &step.label {
        Some(label) => vec![symbol(analysis, (step.span, label.span), SymbolKind::FIELD, children)],
        None => children,
    }
}

#[expect(deprecated, reason = "the protocol's type has a field that is")]
fn symbol(
    analysis: &Analysis,
    (span, name): (Span, Span),
    kind: SymbolKind,
    children: Vec<DocumentSymbol>,
) -> DocumentSymbol {
    DocumentSymbol {
        name: analysis.source.text()[name.range()].to_owned(),
        detail: None,
        kind,
        tags: None,
        deprecated: None,
        range: analysis.own_range(span),
        selection_range: analysis.own_range(name),
        children: (!children.is_empty()).then_some(children),
    }
}
