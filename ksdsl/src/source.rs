//! Source text and locations in it.

use crate::imports;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A half-open range of bytes in a [`Source`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// The range `start..end`; sources are at most [`crate::limits::SOURCE_BYTES`] long, so the
    /// offsets always fit.
    pub fn new(start: usize, end: usize) -> Self {
        let clamp = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Span {
            start: clamp(start),
            end: clamp(end.max(start)),
        }
    }

    /// From the start of `self` to the end of `other`.
    pub fn to(self, other: Span) -> Self {
        Span {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }

    /// As a range of `usize`, for slicing.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// A value with its location.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its location.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Adds a location to a value.
    pub fn new(value: T, span: Span) -> Self {
        Spanned { value, span }
    }
}

/// A name with its location.
#[doc(hidden)]
pub type Name = Spanned<String>;

/// A source text and its name in messages, with the files that it imports.
#[derive(Clone, Debug)]
pub struct Source {
    text: Arc<str>,
    /// The files in the text; the first is the source itself.
    parts: Arc<[Part]>,
    bad: Arc<[BadImport]>,
}

/// One file of a source.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name in messages.
    pub name: Arc<str>,
    /// Its bytes in the text.
    pub range: Range<usize>,
    /// Where it was read from.
    pub path: Option<PathBuf>,
    /// Of an imported file, the import in the source itself that led to it.
    pub site: Option<Span>,
}

/// An import that cannot be followed.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct BadImport {
    /// The path in quotes.
    pub span: Span,
    /// What is wrong with it.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Source {
    /// Creates a source; messages refer to it as `name`, usually a path. It can import files of the library only.
    pub fn new(name: impl Into<Arc<str>>, text: impl AsRef<str>) -> Self {
        imports::linked(name.into(), text.as_ref(), None)
    }

    /// Creates a source whose imports are relative to a folder, which are read now.
    pub fn in_folder(name: impl Into<Arc<str>>, text: impl AsRef<str>, folder: impl AsRef<Path>) -> Self {
        imports::linked(name.into(), text.as_ref(), Some(folder.as_ref()))
    }

    pub(crate) fn of_parts(text: String, parts: Vec<Part>, bad: Vec<BadImport>) -> Self {
        Source {
            text: text.into(),
            parts: parts.into(),
            bad: bad.into(),
        }
    }

    /// The name for messages.
    pub fn name(&self) -> &str {
        self.parts.first().map_or("", |part| &part.name)
    }

    /// The text, followed by that of the imported files.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text without that of the imported files.
    pub fn own_text(&self) -> &str {
        self.parts.first().map_or("", |part| &self.text[part.range.clone()])
    }

    /// The imported files, as paths that can be read; files of the library have none.
    pub fn imported(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().skip(1).filter_map(|part| part.path.as_deref())
    }

    /// The files of the text.
    #[doc(hidden)]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The imports that cannot be followed.
    #[doc(hidden)]
    pub fn bad_imports(&self) -> &[BadImport] {
        &self.bad
    }

    /// The file of a byte offset.
    #[doc(hidden)]
    pub fn part_at(&self, offset: usize) -> Option<&Part> {
        let after = self.parts.partition_point(|part| part.range.start <= offset);
        self.parts.get(after.saturating_sub(1))
    }

    /// The name of the file of a byte offset.
    pub fn name_at(&self, offset: usize) -> &str {
        self.part_at(offset).map_or("", |part| &part.name)
    }

    /// Line and column in its file, both from 1, of a byte offset; columns count characters.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let start = self.part_at(end).map_or(0, |part| part.range.start);
        let before = &self.text[start..end];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }

    /// The `///` lines directly above `offset`, without the slashes.
    #[doc(hidden)]
    pub fn docs_above(&self, offset: usize) -> Vec<String> {
        let line_start = self.text[..offset.min(self.text.len())]
            .rfind('\n')
            .map_or(0, |at| at + 1);
        let mut docs: Vec<String> = self.text[..line_start]
            .lines()
            .rev()
            .map_while(|line| line.trim_start().strip_prefix("///"))
            .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned())
            .collect();
        docs.reverse();
        docs
    }
}
