//! Files that tell other programs that somebody works here.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

/// Locks a file, which is made if it is not there, as long as what is returned lives: the system unlocks it whatever
/// becomes of the program. `None` if somebody else holds it. What the file contains, as it may by a link, stays.
///
/// # Errors
/// If the file cannot be opened, or is no regular one. Where the file system has no locks there is no error.
pub fn lock(path: &Path) -> io::Result<Option<File>> {
    // Opening a pipe would wait for a reader.
    if fs::metadata(path).is_ok_and(|old| !old.is_file()) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no regular file; remove it",
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
