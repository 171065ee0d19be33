//! Writing files: atomically, with the mode of the umask, and through links, pipes and devices.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// How the names of files begin that are not complete yet; some letters and digits follow.
const PARTIAL: &str = ".tmp";
/// The number of letters and digits.
const RANDOM: usize = 6;
/// As many links in a row as Linux follows.
const MOST_LINKS: usize = 40;

/// Writes a file atomically: to a temporary file next to it, which is fsynced and renamed, so that readers, and crashes
/// at any time, find the old or the new file.
///
/// A new file gets the mode of the umask, an existing one keeps its mode. The target of a link is replaced, not the
/// link; it need not exist. What is not a regular file (a device, a named pipe, `/dev/stdout`) is written to as it
/// is.
///
/// # Errors
/// The system's error, without the path; an existing regular file is then unchanged.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let Some(path) = replaceable(path)? else {
        // What is open already, as `/dev/stdout`, may have content, and is never cut.
        return OpenOptions::new().append(true).open(path)?.write_all(content);
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // As any new file, and with the system's own errors, which do not name the new one.
    let create = |path: &Path| OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = tempfile::Builder::new()
        .prefix(PARTIAL)
        .rand_bytes(RANDOM)
        .make_in(folder.unwrap_or(Path::new(".")), create)?;
    file.write_all(content)?;
    if let Ok(old) = fs::metadata(&path) {
        file.as_file().set_permissions(old.permissions())?;
    }
    sync(file.as_file())?;
    file.persist(&path).map_err(io::Error::from).map(|_| ())
}

/// Fsyncs an open file or folder, if it is on a disk.
///
/// # Errors
/// The system's error.
pub fn sync(file: &File) -> io::Result<()> {
    file.sync_all().or_else(|error| match error.kind() {
        // Of a device or a pipe, and of folders on some file systems.
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => Ok(()),
        _ => Err(error),
    })
}

/// Removes temporary files that a killed process left in a folder. No other process may write to the folder at the same
/// time.
pub fn remove_partial(folder: &Path) {
    let is_partial = |name: &OsStr| {
        let random = name.to_str().and_then(|name| name.strip_prefix(PARTIAL));
        random.is_some_and(|random| random.len() == RANDOM && random.chars().all(|c| c.is_ascii_alphanumeric()))
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| is_partial(&entry.file_name())) {
        // If it stays, it is only in the way.
        let _ = fs::remove_file(entry.path());
    }
}

/// The path after all links, of a regular file or of nothing; `None` where that is something else, or one of the
/// process's own open files.
fn replaceable(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        if ["/dev/fd", "/proc"].iter().any(|folder| path.starts_with(folder)) {
            return Ok(None);
        }
        match fs::read_link(&path) {
            Ok(next) => path = path.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => {
                let is_replaceable = fs::metadata(&path).map_or(true, |old| old.is_file());
                return Ok(is_replaceable.then_some(path));
            }
        }
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "too many levels of symbolic links",
    ))
}
