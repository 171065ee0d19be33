//! File operations whose errors name the file.

use std::fs;
use std::io;
use std::path::Path;

/// Adds the failed action and the path to an error.
pub(super) fn named(action: &str, path: &Path, error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), format!("cannot {action} `{}`: {error}", path.display()))
}

/// Creates a folder and its parents.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder).map_err(|error| named("create", folder, error))
}

/// Replaces a file atomically.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    ksdsl_files::write(path, bytes).map_err(|error| named("write", path, error))
}
