#![doc = include_str!("../README.md")]
//!
//! # Errors
//!
//! Errors do not name the file: callers add the path.
#![forbid(unsafe_code)]

#[doc(hidden)]
pub mod keys;
mod lock;
#[doc(hidden)]
pub mod random;
mod write;

pub use lock::lock;
pub use write::{remove_partial, sync, write};

use std::fs::{File, FileType};
use std::io::{self, Read};
use std::path::Path;

/// The default size limit in bytes of text files: settings, recipes, descriptions.
pub const TEXT_BYTES: u64 = 1 << 24;

/// Opens a file for reading: a regular file (also through a link), or an open file of the process, such as
/// `/dev/stdin` or `/dev/fd/3`.
///
/// # Errors
/// If the file does not exist or cannot be opened, or is a directory, a named pipe, a device or a socket.
pub fn open(path: &Path) -> io::Result<File> {
    let kind = std::fs::metadata(path)?.file_type();
    match kind.is_file() || is_open_already(path) && !kind.is_dir() {
        true => File::open(path),
        false => Err(refused(kind)),
    }
}

/// Reads a file of at most `limit` bytes; see [`open`]. A longer regular file is not read at all.
///
/// # Errors
/// As [`open`]; also if the file has more bytes ([`io::ErrorKind::FileTooLarge`]), or they do not fit into memory.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let size = size(&file)?.unwrap_or(0);
    let mut bytes = Vec::new();
    if size <= limit {
        // An error, where the memory is not there, instead of an end of the program.
        bytes.try_reserve_exact(usize::try_from(size).unwrap_or(usize::MAX))?;
        // Pipes have no size of their own, and a file can grow.
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    }
    match size.max(bytes.len() as u64) > limit {
        true => Err(too_large(limit)),
        false => Ok(bytes),
    }
}

/// The size of a regular file in bytes; `None` for files without a size.
///
/// # Errors
/// If the size cannot be determined.
pub fn size(file: &File) -> io::Result<Option<u64>> {
    let metadata = file.metadata()?;
    Ok(metadata.is_file().then_some(metadata.len()))
}

/// The error of a file with more than `limit` bytes.
pub fn too_large(limit: u64) -> io::Error {
    let reason = format!("it is larger than {limit} bytes, the limit for this kind of file");
    io::Error::new(io::ErrorKind::FileTooLarge, reason)
}

/// Whether a path names one of the process's own open files: opening that waits for nobody.
fn is_open_already(path: &Path) -> bool {
    path == Path::new("/dev/stdin")
        || ["/dev/fd", "/proc/self/fd"]
            .iter()
            .any(|folder| path.starts_with(folder))
}

fn refused(kind: FileType) -> io::Error {
    if kind.is_dir() {
        return io::Error::new(io::ErrorKind::IsADirectory, "it is a directory; expected a file");
    }
    let reason = format!("it is {}; expected a file", name(kind));
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

#[cfg(unix)]
fn name(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    match kind {
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    }
}

#[cfg(not(unix))]
fn name(_: FileType) -> &'static str {
    "not a regular file"
}
