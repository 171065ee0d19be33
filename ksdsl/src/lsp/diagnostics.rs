//! Diagnostics as editors show them.

use super::analysis::Analysis;
use super::workspace::{Document, Workspace};
use crate::diag::{Code, Diagnostic, Severity};
use crate::source::Span;
use lsp_types::{DiagnosticRelatedInformation, DiagnosticSeverity, DiagnosticTag, NumberOrString};

/// The diagnostics of a text. Those of an imported file stand at the import that leads there.
pub(super) fn diagnostics(workspace: &Workspace, document: &Document) -> Vec<lsp_types::Diagnostic> {
    let analysis = workspace.analysis(document);
    let convert = |diagnostic| of(&analysis, diagnostic, document, workspace);
    analysis.diagnostics().iter().map(convert).collect()
}

/// A diagnostic.
pub(super) fn of(
    analysis: &Analysis,
    diagnostic: &Diagnostic,
    document: &Document,
    workspace: &Workspace,
) -> lsp_types::Diagnostic {
    let own = analysis.is_own(diagnostic.primary.span);
    let place = if own {
        diagnostic.primary.span
    } else {
        site(analysis, diagnostic.primary.span)
    };
    let mut message = diagnostic.message.clone();
    if !own {
        let at = diagnostic.primary.span.start as usize;
        let (line, column) = analysis.source.line_column(at);
        message = format!("{}:{line}:{column}: {message}", analysis.source.name_at(at));
    }
    let label = diagnostic.primary.text.as_str();
    if !label.is_empty() {
        message.push_str(&format!("\n{label}"));
    }
    if let Some(help) = &diagnostic.help {
        message.push_str(&format!("\nhelp: {help}"));
    }
    let elsewhere = (!own).then_some((diagnostic.primary.span, "the error is here"));
    let others = diagnostic
        .secondary
        .iter()
        .map(|label| (label.span, label.text.as_str()));
    let related = others.chain(elsewhere).filter_map(|(span, text)| {
        Some(DiagnosticRelatedInformation {
            location: analysis.location(span, document, workspace)?,
            message: text.to_owned(),
        })
    });
    let related: Vec<_> = related.collect();
    lsp_types::Diagnostic {
        range: analysis.own_range(place),
        severity: Some(match diagnostic.severity {
            Severity::Error => DiagnosticSeverity::ERROR,
            Severity::Warning => DiagnosticSeverity::WARNING,
        }),
        code: Some(NumberOrString::String(diagnostic.code.to_string())),
        source: Some("ksn".to_owned()),
        message,
        related_information: (!related.is_empty()).then_some(related),
        tags: (diagnostic.code == Code::Unused).then(|| vec![DiagnosticTag::UNNECESSARY]),
        ..lsp_types::Diagnostic::default()
    }
}

/// The import of the text itself that leads to a place.
fn site(analysis: &Analysis, span: Span) -> Span {
    let part = &analysis.source.parts()[analysis.part_of(span)];
    part.site.unwrap_or_default()
}
