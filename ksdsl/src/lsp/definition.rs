//! Definition and references: of names, of the labels that paths name, and between a shared kernel and its visits.

use super::analysis::Analysis;
use super::symbols::{Kind, Occurrence, touches};
use super::workspace::{Document, Workspace};
use crate::ir::{Layer, Network};
use crate::source::Span;
use lsp_types::Location;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Where what is at a byte is defined: a name; of a layer, the clause that shares its kernel; of a clause, its visits; of
/// an import, the file.
pub(super) fn definition(workspace: &Workspace, document: &Document, offset: usize) -> Vec<Location> {
    let analysis = workspace.analysis(document);
    if let Some(location) = imported(&analysis, offset, workspace) {
        return vec![location];
    }
    let found = analysis.symbols().at(offset);
    let elsewhere: BTreeSet<Span> = found
        .iter()
        .filter(|found| found.of != found.span)
        .map(|found| found.of)
        .collect();
    let spans = if elsewhere.is_empty() {
        shared(&analysis, offset)
    } else {
        elsewhere
    };
    let spans = match spans.is_empty() {
        true => found.iter().map(|found| found.of).collect(),
        false => spans,
    };
    located(&analysis, &spans, document, workspace)
}

/// The places that use what is at a byte: a name in all open texts; of a layer, the other visits of its shared kernels; of
/// a clause, its visits.
pub(super) fn references(
    workspace: &Workspace,
    document: &Document,
    offset: usize,
    with_definition: bool,
) -> Vec<Location> {
    let analysis = workspace.analysis(document);
    let found = analysis.symbols().at(offset);
    let mut all: Vec<Location> = Vec::new();
    for (of, kind) in definitions(&found) {
        if kind == Kind::Kernel {
            continue;
        }
        for (document, analysis, spans) in everywhere(workspace, document, &analysis, of) {
            let spans: BTreeSet<Span> = spans
                .into_iter()
                .filter(|(_, is_use)| *is_use || with_definition)
                .map(|(occurrence, _)| occurrence.span)
                .collect();
            all.extend(located(&analysis, &spans, document, workspace));
        }
    }
    let visits = visits(&analysis, offset);
    all.extend(located(&analysis, &visits, document, workspace));
    let key = |location: &Location| {
        let (start, end) = (location.range.start, location.range.end);
        (location.uri.as_str().to_owned(), start, end)
    };
    all.sort_by_key(key);
    all.dedup();
    all
}

/// What the names at a place stand for, each once.
pub(super) fn definitions(found: &[&Occurrence]) -> BTreeSet<(Span, Kind)> {
    found.iter().map(|found| (found.of, found.kind)).collect()
}

/// An open text with the occurrences of a name in it, and whether each is a use.
pub(super) type InText<'w> = (&'w Document, Rc<Analysis>, Vec<(Occurrence, bool)>);

/// The occurrences of a name in the text that defines it and in all open texts that import that.
pub(super) fn everywhere<'w>(
    workspace: &'w Workspace,
    document: &'w Document,
    analysis: &Rc<Analysis>,
    of: Span,
) -> Vec<InText<'w>> {
    let home = analysis.location(of, document, workspace);
    let mut all = Vec::new();
    for other in workspace.documents() {
        let known = workspace.analysis(other);
        let same = match std::ptr::eq(other, document) {
            true => Some(of),
            false => home
                .as_ref()
                .and_then(|home| same_place(&known, other, workspace, home, analysis, of)),
        };
        let Some(of) = same else { continue };
        let occurrences = known.symbols().occurrences.iter().filter(|found| found.of == of);
        let occurrences = occurrences.map(|found| (found.clone(), found.span != of));
        all.push((other, Rc::clone(&known), occurrences.collect()));
    }
    all
}

/// The place in another text, or in one that it imports, that has a location.
fn same_place(
    known: &Analysis,
    document: &Document,
    workspace: &Workspace,
    home: &Location,
    analysis: &Analysis,
    of: Span,
) -> Option<Span> {
    let within = of.start as usize - analysis.source.parts()[analysis.part_of(of)].range.start;
    let parts = known.source.parts().iter().enumerate();
    for (number, part) in parts {
        let start = part.range.start + within;
        let span = Span::new(start, start + of.range().len());
        let uri = match number {
            0 => Some(document.uri.clone()),
            _ => part.path.as_deref().and_then(|path| workspace.uri_of(path)),
        };
        if uri.as_ref() == Some(&home.uri) && part.range.end >= span.range().end {
            return Some(span);
        }
    }
    None
}

/// The file whose import is at a byte.
fn imported(analysis: &Analysis, offset: usize, workspace: &Workspace) -> Option<Location> {
    let text = analysis.source.own_text();
    let import = crate::parse::imports(text)
        .into_iter()
        .find(|import| import.start <= offset && offset <= import.end)?;
    let written = text.get(import.start + 1..import.end - 1)?;
    let own = analysis.source.parts().first()?.path.as_deref()?;
    let path = own.parent()?.join(written);
    let location = Location::new(workspace.uri_of(&path)?, lsp_types::Range::default());
    (!written.starts_with("std/") && (path.is_file() || analysis.source.imported().any(|known| known == path)))
        .then_some(location)
}

/// The clauses that share the kernel of the layer at a byte, or the visits of the clause there.
fn shared(analysis: &Analysis, offset: usize) -> BTreeSet<Span> {
    match analysis.symbols().call_at(offset) {
        Some(call) => of_layers(analysis, call.span, clauses),
        None => visits(analysis, offset),
    }
}

/// The other visits of the kernels of the layer at a byte, or all visits of the clause there.
fn visits(analysis: &Analysis, offset: usize) -> BTreeSet<Span> {
    let symbols = analysis.symbols();
    if let Some(call) = symbols.call_at(offset) {
        return of_layers(analysis, call.span, |network, layer| {
            let groups = layer.kernel.iter().chain(&layer.bias);
            let visits = groups.flat_map(|visit| &network.groups[visit.group].visits);
            visits.map(|visit| network.layers[*visit].span).collect()
        });
    }
    let Some(clause) = symbols.clause_at(offset) else {
        return BTreeSet::new();
    };
    let names_a_path = symbols
        .at(offset)
        .iter()
        .any(|found| found.kind != Kind::Kernel && touches(found.span, offset));
    let groups = analysis
        .networks()
        .iter()
        .flat_map(|network| network.groups.iter().map(move |group| (network, group)));
    let of_clause = groups.filter(|(_, group)| group.span == clause.span && !names_a_path);
    of_clause
        .flat_map(|(network, group)| group.visits.iter().map(|visit| network.layers[*visit].span))
        .collect()
}

fn clauses(network: &Network, layer: &Layer) -> Vec<Span> {
    let groups = layer.kernel.iter().chain(&layer.bias);
    groups.map(|visit| network.groups[visit.group].span).collect()
}

fn of_layers(analysis: &Analysis, call: Span, find: impl Fn(&Network, &Layer) -> Vec<Span>) -> BTreeSet<Span> {
    let places = analysis.layers_of(call).iter();
    places
        .flat_map(|place| find(&analysis.networks()[place.network], analysis.layer(*place)))
        .collect()
}

fn located(analysis: &Analysis, spans: &BTreeSet<Span>, document: &Document, workspace: &Workspace) -> Vec<Location> {
    spans
        .iter()
        .filter_map(|span| analysis.location(*span, document, workspace))
        .collect()
}
