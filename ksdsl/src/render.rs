//! Rendering of diagnostics for terminals and logs.

use crate::diag::{Diagnostic, Label, Severity};
use crate::source::{Part, Source, Span};
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use std::ops::Range;

/// Renders diagnostics with the lines they point at, one after the other; in colour for a terminal.
pub fn render(source: &Source, diagnostics: &[Diagnostic], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&renderer.render(&[group(source, diagnostic)]));
        text.push_str("\n\n");
    }
    text.truncate(text.trim_end().len());
    text
}

fn group<'a>(source: &'a Source, diagnostic: &'a Diagnostic) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level
        .primary_title(diagnostic.message.as_str())
        .id(diagnostic.code.to_string());
    let mut group = Group::with_title(title);
    // The file of the primary place first.
    let start = |label: &Label| {
        source
            .part_at(label.span.range().start)
            .map_or(0, |part| part.range.start)
    };
    let first = start(&diagnostic.primary);
    let mut others: Vec<usize> = diagnostic.secondary.iter().map(start).collect();
    others.retain(|other| *other != first);
    others.sort_unstable();
    others.dedup();
    for file in std::iter::once(first).chain(others) {
        let labels: Vec<&Label> = diagnostic
            .secondary
            .iter()
            .filter(|label| start(label) == file)
            .collect();
        let primary = Some(&diagnostic.primary).filter(|_| file == first);
        if let Some(part) = source.part_at(file) {
            group = group.element(snippet(source, part, primary, &labels));
        }
    }
    match &diagnostic.help {
        Some(help) => group.element(Level::HELP.message(help.as_str())),
        None => group,
    }
}

/// The lines of a file that labels point at.
fn snippet<'a>(
    source: &'a Source,
    part: &'a Part,
    primary: Option<&'a Label>,
    labels: &[&'a Label],
) -> Snippet<'a, Annotation<'a>> {
    let text = &source.text()[part.range.clone()];
    let spans = labels.iter().copied().chain(primary).map(|label| {
        let place = |offset: u32| (offset as usize).saturating_sub(part.range.start).min(text.len());
        place(label.span.start)..place(label.span.end)
    });
    let window = window(text, spans);
    let within = |span: Span| {
        let place = |offset: u32| {
            let offset = (offset as usize).saturating_sub(part.range.start);
            offset.clamp(window.start, window.end) - window.start
        };
        place(span.start)..place(span.end)
    };
    let primary = primary.map(|label| {
        let annotation = AnnotationKind::Primary.span(within(label.span));
        match label.text.as_str() {
            "" => annotation,
            text => annotation.label(text),
        }
    });
    let secondary = labels.iter().map(|label| {
        AnnotationKind::Context
            .span(within(label.span))
            .label(label.text.as_str())
    });
    Snippet::source(&text[window.clone()])
        .line_start(source.line_column(part.range.start + window.start).0)
        .path(&*part.name)
        .annotations(primary)
        .annotations(secondary)
}

/// Bytes of a line after its last label that may be shown.
const SHOWN: usize = 400;

/// The lines from the first to the last label: the renderer looks at every line it is given.
fn window(text: &str, spans: impl Iterator<Item = Range<usize>> + Clone) -> Range<usize> {
    let first = spans.clone().map(|span| span.start).min().unwrap_or(0).min(text.len());
    let last = spans.map(|span| span.end).max().unwrap_or(0).min(text.len());
    let bytes = text.as_bytes();
    let start = bytes[..first]
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |end| end + 1);
    let end = bytes[last..]
        .iter()
        .position(|b| *b == b'\n')
        .map_or(text.len(), |end| last + end);
    // What follows the last label in a long line is not shown anyway.
    let end = text.floor_char_boundary(end.min(last + SHOWN));
    start..end.max(start)
}
