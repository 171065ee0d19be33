//! Why data cannot be read.

use std::fmt;
use std::io;

/// Why data cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum DataError {
    /// The gzip container is damaged or ends too early.
    Unpack(io::Error),
    /// Unpacked, the data is larger than any file of digits.
    TooLarge {
        /// The most bytes that are read.
        limit: u64,
    },
    /// There is not a single line.
    Empty,
    /// A line has too few or too many fields.
    Columns {
        /// The line, from 1.
        line: usize,
        /// How many fields it has.
        found: usize,
        /// How many it should have.
        expected: usize,
    },
    /// A field is not a number, or a number out of its range.
    Field {
        /// The line, from 1.
        line: usize,
        /// The field within the line, from 1.
        column: usize,
        /// The beginning of its text.
        text: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpack(error) => write!(f, "cannot unpack the data: {error}"),
            Self::TooLarge { limit } => write!(f, "the data is larger than {limit} bytes when unpacked"),
            Self::Empty => f.write_str("there is no data: expected one image in each line"),
            Self::Columns { line, found, expected } => {
                write!(f, "line {line}: expected {expected} fields, found {found}")
            }
            Self::Field {
                line,
                column,
                text,
                expected,
            } => write!(f, "line {line}, field {column}: expected {expected}, found `{text}`"),
        }
    }
}

impl std::error::Error for DataError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unpack(error) => Some(error),
            _ => None,
        }
    }
}
