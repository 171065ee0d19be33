//! A first look at the text: limits that keep the parser's stack and memory bounded, and where
//! the top-level items begin.

use crate::diag::{Code, Diagnostic};
use crate::limits;
use crate::source::Span;
use std::ops::Range;

/// A piece of text that matters to the scan.
enum Piece<'t> {
    Word(&'t str),
    Open(char),
    Close(char),
    Other,
}

/// Splits a source into its top-level items. Every byte after the first item's start belongs to
/// some item, so that stray text is met by the parser; text before it is an item of its own.
pub(super) fn items(text: &str) -> Result<Vec<Range<usize>>, Box<Diagnostic>> {
    if text.len() > limits::SOURCE_BYTES {
        return Err(Box::new(too_large(text.len())));
    }
    let mut open: Vec<(char, Span)> = Vec::new();
    let mut starts = Vec::new();
    let mut first_text = None;
    // The name after `net` or `block` is not the start of another item, whatever it is called.
    let mut after_item_word = false;
    for (at, piece) in Pieces::new(text)? {
        first_text.get_or_insert(at);
        let named_here = std::mem::take(&mut after_item_word);
        match piece {
            Piece::Word("net" | "block") if open.is_empty() && !named_here => {
                starts.push(at);
                after_item_word = true;
            }
            Piece::Open(bracket) => {
                open.push((bracket, Span::new(at, at + 1)));
                if open.len() > limits::BRACKET_DEPTH {
                    return Err(Box::new(too_deep(at)));
                }
            }
            Piece::Close(bracket) => close(&mut open, bracket, at)?,
            _ => {}
        }
    }
    if let Some((bracket, span)) = open.pop() {
        return Err(Box::new(
            Diagnostic::error(Code::Syntax, span, format!("this `{bracket}` is never closed"))
                .help(format!("add the missing `{}`", partner(bracket))),
        ));
    }
    let Some(first) = first_text else { return Ok(Vec::new()) };
    if starts.first() != Some(&first) {
        starts.insert(0, first);
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    Ok(starts
        .iter()
        .copied()
        .zip(ends)
        .map(|(start, end)| start..end)
        .collect())
}

/// The words that follow `net` outside all brackets.
pub(super) fn net_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut after_net) = (0usize, false);
    let Ok(pieces) = Pieces::new(text) else { return names };
    for (_, piece) in pieces {
        let named = std::mem::take(&mut after_net);
        match piece {
            Piece::Word(name) if named => names.push(name.to_owned()),
            Piece::Word("net") if depth == 0 => after_net = true,
            Piece::Open(_) => depth += 1,
            Piece::Close(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    names
}

fn close(open: &mut Vec<(char, Span)>, bracket: char, at: usize) -> Result<(), Box<Diagnostic>> {
    let here = Span::new(at, at + 1);
    match open.pop() {
        Some((opened, _)) if partner(opened) == bracket => Ok(()),
        Some((opened, place)) => Err(Box::new(
            Diagnostic::error(
                Code::Syntax,
                here,
                format!("this `{bracket}` does not close `{opened}`"),
            )
            .and(place, format!("this `{opened}` is still open"))
            .help(format!("write `{}`", partner(opened))),
        )),
        None => Err(Box::new(
            Diagnostic::error(
                Code::Syntax,
                here,
                format!("nothing is open for this `{bracket}` to close"),
            )
            .help("remove it, or open the bracket it belongs to"),
        )),
    }
}

fn partner(bracket: char) -> char {
    match bracket {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

fn too_large(bytes: usize) -> Diagnostic {
    Diagnostic::error(
        Code::SourceTooLarge,
        Span::new(0, 0),
        format!(
            "the source has {bytes} bytes; at most {} can be compiled",
            limits::SOURCE_BYTES
        ),
    )
    .help("use `repeat` and blocks instead of writing layers out, or split the networks into several files")
}

fn too_deep(at: usize) -> Diagnostic {
    Diagnostic::error(
        Code::NestingTooDeep,
        Span::new(at, at + 1),
        format!("brackets are nested more than {} deep", limits::BRACKET_DEPTH),
    )
    .help("move the inner part into a `block` of its own")
}

/// Runs over a text, comments and blanks left out.
struct Pieces<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Pieces<'t> {
    /// Checks that comments are well formed, so that iterating cannot fail.
    fn new(text: &'t str) -> Result<Self, Box<Diagnostic>> {
        Ok(Pieces {
            text: check_comments(text)?,
            at: 0,
        })
    }
}

impl<'t> Iterator for Pieces<'t> {
    type Item = (usize, Piece<'t>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = &self.text[self.at..];
            let first = rest.chars().next()?;
            let start = self.at;
            if first.is_ascii_whitespace() {
                self.at += 1;
            } else if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.at += comment_length(rest).unwrap_or(rest.len());
            } else {
                let word = rest
                    .bytes()
                    .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
                    .count();
                self.at += if word > 0 { word } else { first.len_utf8() };
                let piece = match first {
                    _ if word > 0 => Piece::Word(&rest[..word]),
                    '(' | '[' | '{' => Piece::Open(first),
                    ')' | ']' | '}' => Piece::Close(first),
                    _ => Piece::Other,
                };
                return Some((start, piece));
            }
        }
    }
}

/// Every block comment must end, and none may be nested too deeply for the parser.
fn check_comments(text: &str) -> Result<&str, Box<Diagnostic>> {
    let mut at = 0;
    while let Some(slash) = text[at..].find('/') {
        at += slash;
        let rest = &text[at..];
        at += if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment_length(rest).map_err(|problem| {
                let here = Span::new(at, at + 2);
                Box::new(match problem {
                    CommentProblem::Open => Diagnostic::error(Code::Syntax, here, "this comment is never closed")
                        .help("add the missing `*/`"),
                    CommentProblem::Deep => too_deep(at),
                })
            })?
        } else {
            1
        };
    }
    Ok(text)
}

enum CommentProblem {
    Open,
    Deep,
}

/// Bytes of the block comment `text` starts with; comments nest, as in Rust.
fn comment_length(text: &str) -> Result<usize, CommentProblem> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0);
    while at < bytes.len() {
        match &bytes[at..bytes.len().min(at + 2)] {
            b"/*" => {
                depth += 1;
                at += 2;
                if depth > limits::BRACKET_DEPTH {
                    return Err(CommentProblem::Deep);
                }
            }
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Ok(at);
                }
            }
            _ => at += 1,
        }
    }
    Err(CommentProblem::Open)
}
