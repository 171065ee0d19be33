//! Rename: a name with all its uses, and a label with the paths that name it.

use super::actions::edits;
use super::analysis::Analysis;
use super::definition::{definitions, everywhere};
use super::symbols::{Kind, Occurrence};
use super::workspace::{Document, Workspace};
use crate::compile::{Options, compile};
use crate::diag::Severity;
use crate::ir::Network;
use crate::parse;
use crate::source::{Part, Source, Span};
use lsp_types::{TextEdit, Uri, WorkspaceEdit};
use std::collections::{BTreeMap, BTreeSet};

/// The place and the text of the name at a byte, if it can be renamed.
pub(super) fn prepare(analysis: &Analysis, offset: usize) -> Option<(Span, String)> {
    let found = renamed(analysis, offset)?;
    Some((found.span, analysis.source.text()[found.span.range()].to_owned()))
}

fn renamed(analysis: &Analysis, offset: usize) -> Option<Occurrence> {
    let found = analysis.symbols().at(offset).into_iter();
    found
        .filter(|found| found.exact && found.kind != Kind::Layer)
        .min_by_key(|found| found.of)
        .cloned()
}

/// The changes of a file by line and column, so that each is there once.
type ByPlace = BTreeMap<(u32, u32), TextEdit>;

/// The changes that give the name at a byte another name.
///
/// # Errors
/// Why it cannot have it.
pub(super) fn rename(
    workspace: &Workspace,
    document: &Document,
    offset: usize,
    name: &str,
) -> Result<WorkspaceEdit, String> {
    let analysis = workspace.analysis(document);
    if renamed(&analysis, offset).is_none() {
        return Err("there is no name here that can be changed".to_owned());
    }
    if !parse::is_name(name) {
        return Err(format!(
            "`{name}` is no name: letters, digits and `_`, not first a digit, and no keyword"
        ));
    }
    let found = analysis.symbols().at(offset);
    let mut changes: BTreeMap<String, (Uri, ByPlace)> = BTreeMap::new();
    // A path may name labels of several blocks, which then change together.
    for (of, _) in definitions(&found) {
        for (other, known, occurrences) in everywhere(workspace, document, &analysis, of) {
            let spans = occurrences
                .into_iter()
                .filter(|(found, _)| found.exact)
                .map(|(found, _)| found.span);
            let spans: BTreeSet<Span> = spans.collect();
            check(&known, &spans, name)?;
            for span in spans {
                let Some(location) = known.location(span, other, workspace) else {
                    return Err("the library that comes with the compiler cannot be changed".to_owned());
                };
                let start = location.range.start;
                let (_, of_file) = changes
                    .entry(location.uri.as_str().to_owned())
                    .or_insert_with(|| (location.uri.clone(), ByPlace::new()));
                of_file.insert(
                    (start.line, start.character),
                    TextEdit::new(location.range, name.to_owned()),
                );
            }
        }
    }
    let changes = changes
        .into_values()
        .map(|(uri, edits)| (uri, edits.into_values().collect()));
    Ok(edits(changes))
}

/// Whether the networks stay what they are: no new errors, and the same layers share.
fn check(analysis: &Analysis, spans: &BTreeSet<Span>, name: &str) -> Result<(), String> {
    let before = analysis.compiled();
    let after = compile(&changed(&analysis.source, spans, name), &Options::default());
    if !before.has_errors() && after.has_errors() {
        let errors = after.diagnostics.iter();
        let first = errors.into_iter().find(|found| found.severity == Severity::Error);
        let why = first.map_or(String::new(), |found| format!(": {}", found.message));
        return Err(format!("with the name `{name}` the text has errors{why}"));
    }
    let same = before.networks.len() == after.networks.len()
        && before
            .networks
            .iter()
            .zip(&after.networks)
            .all(|(old, new)| sharing(old) == sharing(new));
    match same || before.has_errors() {
        true => Ok(()),
        false => Err(format!(
            "with the name `{name}` other layers would share, because of a path with `*`"
        )),
    }
}

/// The layers of each group, by their numbers.
fn sharing(network: &Network) -> Vec<(&[usize], &[u32])> {
    let groups = network.groups.iter();
    groups
        .map(|group| (group.visits.as_slice(), group.assignment.as_slice()))
        .collect()
}

/// A source with another name at some places.
fn changed(source: &Source, spans: &BTreeSet<Span>, name: &str) -> Source {
    let (mut text, mut parts) = (String::new(), Vec::new());
    let mut spans = spans.iter().peekable();
    let mut at = 0;
    for part in source.parts() {
        text.push_str(&source.text()[at..part.range.start]);
        let start = text.len();
        at = part.range.start;
        while let Some(span) = spans.next_if(|span| span.range().end <= part.range.end) {
            text.push_str(&source.text()[at..span.range().start]);
            text.push_str(name);
            at = span.range().end;
        }
        text.push_str(&source.text()[at..part.range.end]);
        at = part.range.end;
        parts.push(Part {
            range: start..text.len(),
            ..part.clone()
        });
    }
    Source::of_parts(text, parts, source.bad_imports().to_vec())
}
