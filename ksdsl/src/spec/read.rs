//! Reading source files: nothing is read that is too large to be compiled.

use crate::diag::Diagnostic;
use crate::imports;
use crate::limits;
use crate::parse;
use crate::source::Source;
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Reads a source file, or what a command writes (`/dev/stdin`, a shell's `<(command)`). A file that is too large
/// is refused by its size, before it is read; a byte order mark is left out.
///
/// Files that it imports are read as well; those that cannot be are errors of the source when it is compiled.
pub fn read_source(path: impl AsRef<Path>) -> Result<Source, ReadError> {
    let path = path.as_ref();
    read_source_as(path, &path.display().to_string())
}

/// As [`read_source`]; messages refer to the file by this name.
pub fn read_source_as(path: impl AsRef<Path>, name: &str) -> Result<Source, ReadError> {
    let path = path.as_ref();
    Ok(imports::linked_file(name, read_text(path)?, path))
}

/// The text of a source file.
pub(crate) fn read_text(path: &Path) -> Result<String, ReadError> {
    let failed = |error| ReadError::Io {
        path: path.to_owned(),
        error,
    };
    let file = ksdsl_files::open(path).map_err(failed)?;
    let size = ksdsl_files::size(&file).map_err(failed)?.unwrap_or(0);
    let limit = limits::SOURCE_BYTES as u64;
    let mut bytes = Vec::new();
    if size <= limit {
        // Pipes have no size of their own, and a file can grow.
        file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    }
    let size = size.max(bytes.len() as u64);
    if size > limit {
        return Err(ReadError::TooLarge {
            path: path.to_owned(),
            bytes: size,
        });
    }
    let text = String::from_utf8(bytes).map_err(|error| not_utf8(path, &error))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

fn not_utf8(path: &Path, error: &std::string::FromUtf8Error) -> ReadError {
    let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    let before = Source::new("", String::from_utf8_lossy(good));
    let (line, column) = before.line_column(good.len());
    ReadError::NotUtf8 {
        path: path.to_owned(),
        line,
        column,
    }
}

/// Why a source file could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// The operating system says no.
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The file is larger than any source that can be compiled.
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The file is not text in UTF-8.
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line of the first byte that is not text, from 1.
        line: usize,
        /// Its column, from 1.
        column: usize,
    },
}

impl ReadError {
    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            ReadError::Io { path, .. } | ReadError::TooLarge { path, .. } | ReadError::NotUtf8 { path, .. } => path,
        }
    }

    /// The error as a diagnostic with a source to render it with, where it is one of the language.
    pub fn diagnostic(&self) -> Option<(Source, Diagnostic)> {
        match self {
            ReadError::TooLarge { path, bytes } => {
                Some((Source::new(path.display().to_string(), ""), parse::too_large(*bytes)))
            }
            _ => None,
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path().display();
        match self {
            ReadError::Io { error, .. } => write!(f, "cannot read {path}: {error}"),
            ReadError::TooLarge { .. } => match self.diagnostic() {
                Some((source, diagnostic)) => f.write_str(&crate::render::render(
                    &source,
                    std::slice::from_ref(&diagnostic),
                    false,
                )),
                None => Ok(()),
            },
            ReadError::NotUtf8 { line, column, .. } => {
                write!(f, "{path} is not valid UTF-8: line {line}, column {column}")
            }
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ReadError::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
