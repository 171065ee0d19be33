//! Lock files.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

/// Locks a file, which is created if it does not exist, for the lifetime of the returned handle; the system releases
/// the lock when the process ends. `None` if another process holds it. The content of the file is not changed.
///
/// # Errors
/// If the file cannot be opened, or is not a regular one. Where the file system has no locks there is no error.
pub fn lock(path: &Path) -> io::Result<Option<File>> {
    // Opening a pipe would block until there is a reader.
    if fs::metadata(path).is_ok_and(|old| !old.is_file()) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file; remove it",
        ));
    }
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(Some(file)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
