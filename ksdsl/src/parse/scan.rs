//! A first look at the text: limits that keep the parser's stack and memory bounded, and where
//! the top-level items begin.

use super::brackets::Brackets;
use crate::diag::{Code, Diagnostic};
use crate::limits;
use crate::source::Span;
use std::ops::Range;

/// A piece of text that matters to the scan.
pub(super) enum Piece<'t> {
    Word(&'t str),
    Open(char),
    Close(char),
    /// The path of an import, in quotes.
    Path(&'t str),
    Other,
}

/// Splits a source into its top-level items. Every byte after the first item's start belongs to
/// some item, so that stray text is met by the parser; text before it is an item of its own.
pub(super) fn items(text: &str) -> Result<Vec<Range<usize>>, Box<Diagnostic>> {
    if text.len() > limits::SOURCE_BYTES {
        return Err(Box::new(too_large(text.len() as u64)));
    }
    let mut brackets = Brackets::new(text);
    let mut starts = Vec::new();
    let mut first_text = None;
    // The name after `net` or `block` is not the start of another item, whatever it is called.
    let mut after_item_word = false;
    for (count, (at, piece)) in Pieces::new(text)?.enumerate() {
        if count == limits::TOKENS {
            return Err(Box::new(too_many_tokens(at)));
        }
        first_text.get_or_insert(at);
        let named_here = std::mem::take(&mut after_item_word);
        match piece {
            Piece::Word(name)
                if name.len() > limits::NAME_LENGTH && !name.starts_with(|c: char| c.is_ascii_digit()) =>
            {
                return Err(Box::new(long_name(at, name.len())));
            }
            Piece::Word("use") if brackets.are_closed() && !named_here && begins_path(&text[at + 3..]) => {
                starts.push(at)
            }
            Piece::Word("net" | "block") if brackets.are_closed() && !named_here => {
                starts.push(at);
                after_item_word = true;
            }
            // A network stands in no brackets, so that those open here have lost their partner.
            Piece::Word("net") if follows_line_start(text, at) => brackets.end(Some(Span::new(at, at + 3)))?,
            Piece::Open(bracket) => brackets.open(bracket, at)?,
            Piece::Close(bracket) => brackets.close(bracket, at)?,
            _ => {}
        }
    }
    brackets.end(None)?;
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

/// The places of the paths that a text imports, quotes included.
pub(super) fn imports(text: &str) -> Vec<Range<usize>> {
    let (mut found, mut depth) = (Vec::new(), 0usize);
    if text.len() > limits::SOURCE_BYTES || !text.contains('"') {
        return found;
    }
    for (at, piece) in Pieces::from(text, 0) {
        match piece {
            Piece::Path(path) if depth == 0 => found.push(at..at + path.len()),
            Piece::Open(_) => depth += 1,
            Piece::Close(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    found
}

/// Whether a text begins with a quote.
fn begins_path(text: &str) -> bool {
    text.trim_start().starts_with('"')
}

/// The bytes of the path in quotes that a text begins with; paths end in their line.
fn path_length(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('"')?;
    let end = rest
        .find(['"', '\n'])
        .filter(|end| rest[*end..].starts_with('"') && *end > 0)?;
    Some(end + 2)
}

/// The words that follow `net` outside all brackets.
pub(super) fn net_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut after_net) = (0usize, false);
    if text.len() > limits::SOURCE_BYTES {
        return names;
    }
    for (_, piece) in Pieces::from(text, 0) {
        let named = std::mem::take(&mut after_net);
        match piece {
            Piece::Word(name) if named && name.len() <= limits::NAME_LENGTH => names.push(name.to_owned()),
            Piece::Word("net") if depth == 0 => after_net = true,
            Piece::Open(_) => depth += 1,
            Piece::Close(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    names
}

/// Whether only whitespace precedes `at` in its line.
fn follows_line_start(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end_matches([' ', '\t']);
    before.is_empty() || before.ends_with('\n')
}

fn long_name(at: usize, length: usize) -> Diagnostic {
    Diagnostic::error(
        Code::ReservedName,
        Span::new(at, at + limits::NAME_LENGTH.min(length).min(24)),
        format!("a name may have at most {} characters", limits::NAME_LENGTH),
    )
    .label(format!("this one has {length}"))
    .help("choose a shorter name")
}

fn too_many_tokens(at: usize) -> Diagnostic {
    let text = format!("the source has more than {} words, numbers and signs", limits::TOKENS);
    Diagnostic::error(Code::SourceTooLarge, Span::new(at, at), text).help(SMALLER)
}

/// How to mend a source that is too large.
const SMALLER: &str = "use `repeat` and blocks instead of writing layers out, or split the networks into several files";

/// A source of that many bytes cannot be compiled.
pub(super) fn too_large(bytes: u64) -> Diagnostic {
    Diagnostic::error(
        Code::SourceTooLarge,
        Span::new(0, 0),
        format!(
            "the source has {bytes} bytes; at most {} can be compiled",
            limits::SOURCE_BYTES
        ),
    )
    .help(SMALLER)
}

pub(super) fn too_deep(at: usize) -> Diagnostic {
    Diagnostic::error(
        Code::NestingTooDeep,
        Span::new(at, at + 1),
        format!("brackets are nested more than {} deep", limits::BRACKET_DEPTH),
    )
    .help("move the inner part into a `block` of its own")
}

/// Runs over a text, comments and whitespace left out.
pub(super) struct Pieces<'t> {
    text: &'t str,
    at: usize,
    /// Whether the piece before is the word `use`, which a path follows.
    after_use: bool,
}

impl<'t> Pieces<'t> {
    /// The pieces from `at` on; a comment that does not end goes to the end of the text.
    pub(super) fn from(text: &'t str, at: usize) -> Self {
        Pieces {
            text,
            at,
            after_use: false,
        }
    }

    /// Checks that comments are well formed, so that iterating cannot fail.
    fn new(text: &'t str) -> Result<Self, Box<Diagnostic>> {
        Ok(Pieces {
            text: check_comments(text)?,
            at: 0,
            after_use: false,
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
                let path = path_length(rest).filter(|_| self.after_use);
                if let Some(length) = path {
                    self.at += length;
                    self.after_use = false;
                    return Some((start, Piece::Path(&rest[..length])));
                }
                let word = rest
                    .bytes()
                    .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
                    .count();
                self.at += if word > 0 { word } else { first.len_utf8() };
                self.after_use = &rest[..word] == "use";
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
                    CommentProblem::Open => {
                        Diagnostic::error(Code::Syntax, here, "unclosed comment").help("add the missing `*/`")
                    }
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
