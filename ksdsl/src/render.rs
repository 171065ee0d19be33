//! Diagnostics as text for a terminal or a log.

use crate::diag::{Diagnostic, Severity};
use crate::source::Source;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

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
    let clamp =
        |range: std::ops::Range<usize>| range.start.min(source.text().len())..range.end.min(source.text().len());
    let primary = AnnotationKind::Primary.span(clamp(diagnostic.primary.span.range()));
    let secondary = diagnostic.secondary.iter().map(|label| {
        AnnotationKind::Context
            .span(clamp(label.span.range()))
            .label(label.text.as_str())
    });
    let snippet = Snippet::source(source.text())
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
