//! Files whose errors name them.

use std::fs;
use std::io;
use std::path::Path;

/// The error with what could not be done, and to which file.
pub(super) fn named(action: &str, path: &Path, error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), format!("cannot {action} `{}`: {error}", path.display()))
}

/// Makes a folder with those above it.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder).map_err(|error| named("make", folder, error))
}

/// Puts a file in the place of an older one; nobody finds half of it.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    ksdsl_files::write(path, bytes).map_err(|error| named("write", path, error))
}
