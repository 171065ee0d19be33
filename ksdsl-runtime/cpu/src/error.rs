//! Why an operation failed.

use ksdsl_engine::ids::WrongId;
use std::fmt;

/// Why an operation on the CPU failed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Error {
    /// Buffers that should be of one length are not.
    WrongLength,
    /// An id names no row of a table.
    WrongId(WrongId),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongLength => f.write_str("buffers of different lengths"),
            Self::WrongId(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<WrongId> for Error {
    fn from(error: WrongId) -> Self {
        Self::WrongId(error)
    }
}
