//! Why text cannot be used.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why text or a vocabulary cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum TextError {
    /// A file or folder cannot be read.
    File {
        /// The file or folder.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A text or a file has no characters, or a folder no files.
    Empty(String),
    /// A file is not UTF-8.
    NotUtf8 {
        /// The file.
        file: PathBuf,
        /// The offset of the first wrong byte.
        offset: usize,
    },
    /// A character is not in the vocabulary.
    Unknown {
        /// The file, if the text is of one.
        file: Option<PathBuf>,
        /// The character.
        character: char,
        /// Its line, from 1.
        line: usize,
        /// Its column in characters, from 1.
        column: usize,
    },
    /// A text has too few tokens.
    Short {
        /// `training` or `validation`.
        part: &'static str,
        /// Its tokens.
        found: usize,
        /// The fewest that would do.
        expected: usize,
        /// The positions of a window.
        window: usize,
    },
    /// This has one document, which cannot be both to train on and to validate.
    OneDocument(String),
    /// No document of a part, `training` or `validation`, has two tokens.
    NoTargets(&'static str),
    /// A batch is too large.
    Batch {
        /// Its windows.
        windows: usize,
        /// The tokens of each.
        length: usize,
        /// The most tokens.
        most: usize,
    },
    /// A vocabulary cannot be read, or is not what it should be.
    Vocabulary {
        /// The file, or the option.
        place: String,
        /// What is wrong, and what to do.
        what: String,
    },
}

impl TextError {
    pub(super) fn reading(file: &Path, source: io::Error) -> Self {
        let file = file.to_owned();
        Self::File { file, source }
    }

    pub(super) fn vocabulary(place: impl fmt::Display, what: impl Into<String>) -> Self {
        Self::Vocabulary {
            place: place.to_string(),
            what: what.into(),
        }
    }

    /// A character that follows `before` in its file.
    pub(super) fn unknown(file: Option<PathBuf>, character: char, before: &str) -> Self {
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self::Unknown {
            file,
            character,
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, source } => write!(f, "cannot read `{}`: {source}", file.display()),
            Self::Empty(what) => write!(f, "{what} is empty: expected text"),
            Self::NotUtf8 { file, offset } => write!(
                f,
                "`{}` is not UTF-8 from byte {offset} on: convert it, or choose `--tokens bytes`, which takes any bytes",
                file.display()
            ),
            Self::Unknown {
                file,
                character,
                line,
                column,
            } => {
                if let Some(file) = file {
                    write!(f, "`{}`, ", file.display())?;
                }
                write!(
                    f,
                    "line {line}, column {column}: the vocabulary has no character {character:?}"
                )
            }
            Self::Short {
                part,
                found,
                expected,
                window,
            } => write!(
                f,
                "the {part} text has {found} tokens; the network's windows of {window} need at least {expected}: use more \
                 text or a shorter input"
            ),
            Self::OneDocument(place) => write!(
                f,
                "{place} has one document: expected at least two, to train on the first and validate on the last; each file of \
                 a folder, or each line of a file, is a document"
            ),
            Self::NoTargets(part) => write!(
                f,
                "no {part} document has a second token, which a first one could predict"
            ),
            Self::Batch { windows, length, most } => write!(
                f,
                "a batch of {windows} windows of {length} tokens has more than {most}: choose a smaller `batch`"
            ),
            Self::Vocabulary { place, what } => write!(f, "{place}: {what}"),
        }
    }
}

impl std::error::Error for TextError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            _ => None,
        }
    }
}
