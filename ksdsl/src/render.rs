//! Rendering of diagnostics for terminals and logs.

use crate::diag::{Diagnostic, Severity};
use crate::source::{Source, Span};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
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
    let window = window(source.text(), diagnostic);
    let within = |span: Span| {
        let place = |offset: u32| (offset as usize).clamp(window.start, window.end) - window.start;
        place(span.start)..place(span.end)
    };
    let primary = AnnotationKind::Primary.span(within(diagnostic.primary.span));
    let secondary = diagnostic.secondary.iter().map(|label| {
        AnnotationKind::Context
            .span(within(label.span))
            .label(label.text.as_str())
    });
    let snippet = Snippet::source(&source.text()[window.clone()])
        .line_start(source.line_column(window.start).0)
        .path(source.name())
        .annotation(match diagnostic.primary.text.as_str() {
            "" => primary,
            text => primary.label(text),
        })
        .annotations(secondary);
    let title = level
        .primary_title(diagnostic.message.as_str())
        .id(diagnostic.code.to_string());
    let group = title.element(snippet);
    match &diagnostic.help {
        Some(help) => group.element(Level::HELP.message(help.as_str())),
        None => group,
    }
}

/// Bytes of a line after its last label that may be shown.
const SHOWN: usize = 400;

/// The lines from the first to the last label: the renderer looks at every line it is given.
fn window(text: &str, diagnostic: &Diagnostic) -> Range<usize> {
    let spans = || {
        diagnostic
            .secondary
            .iter()
            .chain([&diagnostic.primary])
            .map(|label| label.span)
    };
    let first = spans()
        .map(|span| span.range().start)
        .min()
        .unwrap_or(0)
        .min(text.len());
    let last = spans().map(|span| span.range().end).max().unwrap_or(0).min(text.len());
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
