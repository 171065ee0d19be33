//! Code actions: the changes that diagnostics propose.

use super::diagnostics;
use super::workspace::{Document, Workspace};
use crate::diag::Fix;
use lsp_types::{CodeAction, CodeActionKind, CodeActionOrCommand, Range, TextEdit, WorkspaceEdit};
use std::collections::HashMap;

/// The fixes of the diagnostics that touch a range.
pub(super) fn actions(workspace: &Workspace, document: &Document, range: Range) -> Vec<CodeActionOrCommand> {
    let analysis = workspace.analysis(document);
    let mut actions = Vec::new();
    for found in analysis.diagnostics() {
        let Some(fix) = found.fix.as_ref().filter(|fix| analysis.is_own(fix.span)) else {
            continue;
        };
        let shown = diagnostics::of(&analysis, found, document, workspace);
        if shown.range.end < range.start || range.end < shown.range.start {
            continue;
        }
        let edit = TextEdit::new(analysis.own_range(fix.span), fix.text.clone());
        actions.push(CodeActionOrCommand::CodeAction(CodeAction {
            title: title(&document.text[fix.span.range()], fix),
            kind: Some(CodeActionKind::QUICKFIX),
            diagnostics: Some(vec![shown]),
            edit: Some(edits([(document.uri.clone(), vec![edit])])),
            is_preferred: Some(true),
            ..CodeAction::default()
        }));
    }
    actions
}

/// Changes by files.
#[expect(clippy::mutable_key_type, reason = "the protocol's type; no URI is changed")]
pub(super) fn edits(of: impl IntoIterator<Item = (lsp_types::Uri, Vec<TextEdit>)>) -> WorkspaceEdit {
    let changes: HashMap<_, _> = of.into_iter().collect();
    WorkspaceEdit {
        changes: Some(changes),
        ..WorkspaceEdit::default()
    }
}

/// What a fix does.
fn title(before: &str, fix: &Fix) -> String {
    match (before.trim(), fix.text.trim()) {
        ("", new) => format!("insert `{}`", short(new)),
        (old, "") => format!("remove `{}`", short(old)),
        (old, new) => format!("replace `{}` by `{}`", short(old), short(new)),
    }
}

/// The beginning of a text, in one line.
fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let begin: String = line.chars().take(40).collect();
    if begin.len() < text.len() {
        format!("{begin}…")
    } else {
        begin
    }
}
