//! One canonical style for specifications.
//!
//! Spaces, indentation, `;` and commas at the ends of lists are written anew, and lines that are too long are broken.
//! Comments stay where they are, and so do the line breaks between statements, which group layers, and single blank
//! lines. Formatting twice is formatting once, and nothing but blanks, `;` and last commas changes: that is compared
//! before a text is given out.

mod flat;
mod layout;
mod tokens;
mod tree;

use crate::diag::Diagnostic;
use crate::parse::marks::marks;
use crate::source::{Part, Source};
use tokens::Token;

/// Why a text cannot be formatted.
#[derive(Debug)]
pub enum FormatError {
    /// It has syntax errors.
    Syntax(Source, Vec<Diagnostic>),
    /// The formatter would have changed more than blanks, which is a fault of its own.
    Changed,
}

/// Formats the text of a file, which messages name so. The files that it imports are not read.
///
/// # Errors
/// If the text has syntax errors.
pub fn format(name: &str, text: &str) -> Result<String, FormatError> {
    let unix = text.replace("\r\n", "\n");
    let before = read(name, &unix)?;
    let (items, end) = tree::tree(before.clone());
    let formatted = layout::text(&items, &end);
    let after = read(name, &formatted).map_err(|_| FormatError::Changed)?;
    if words(&before) != words(&after) || in_order(&before) != in_order(&after) {
        return Err(FormatError::Changed);
    }
    let windows = text.find('\n').is_some_and(|at| text[..at].ends_with('\r'));
    Ok(if windows {
        formatted.replace('\n', "\r\n")
    } else {
        formatted
    })
}

fn read(name: &str, text: &str) -> Result<Vec<Token>, FormatError> {
    let source = alone(name, text);
    match marks(&source) {
        Ok(marks) => Ok(tokens::tokens(text, &marks)),
        Err(diagnostics) => Err(FormatError::Syntax(source, diagnostics)),
    }
}

/// A source without the files that it imports.
fn alone(name: &str, text: &str) -> Source {
    let part = Part {
        name: name.into(),
        range: 0..text.len(),
        path: None,
        site: None,
    };
    Source::of_parts(text.to_owned(), vec![part], Vec::new())
}

/// The tokens but for those that separate or end.
fn words(tokens: &[Token]) -> Vec<&str> {
    let ends = |next: Option<&Token>| next.is_some_and(|next| next.is(")") || next.is("]"));
    let kept = tokens.iter().enumerate().filter(|(at, token)| {
        let last_comma = token.is(",") && ends(tokens.get(at + 1));
        !token.is(";") && !last_comma
    });
    kept.map(|(_, token)| token.text.as_str()).collect()
}

/// The words and the comments between them.
fn in_order(tokens: &[Token]) -> Vec<&str> {
    let mut all = Vec::new();
    for token in tokens {
        all.extend(token.before.iter().map(|comment| comment.text.as_str()));
        all.extend((!token.is(";") && !token.is(",")).then_some(token.text.as_str()));
        all.extend(token.after.iter().map(|comment| comment.text.as_str()));
    }
    all
}
