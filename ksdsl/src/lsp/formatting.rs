//! Formatting, as `ksn fmt` does it.

use super::workspace::Document;
use crate::format::format;
use lsp_types::TextEdit;

/// The change that formats a text; none where it is formatted, or has syntax errors.
pub(super) fn formatting(document: &Document) -> Option<Vec<TextEdit>> {
    let formatted = format(document.uri.as_str(), &document.text).ok()?;
    if *formatted == *document.text {
        return Some(Vec::new());
    }
    let all = document.lines.range(&document.text, 0..document.text.len());
    Some(vec![TextEdit::new(all, formatted)])
}
