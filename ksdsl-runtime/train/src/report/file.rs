//! Files whose errors name them.

use std::fs;
use std::io::{self, Write as _};
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
    let write = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        // Temporary files are for their owner alone; a record of a run is as any other file.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        }
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|error: io::Error| named("write", path, error))
}
