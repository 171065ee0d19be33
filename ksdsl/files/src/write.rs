//! Writing files: whole or not at all, with the mode that the umask asks for, and through what is no plain file.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// How the names of files begin that are not complete yet; some letters and digits follow.
const PARTIAL: &str = ".tmp";
/// How many letters and digits.
const RANDOM: usize = 6;
/// As many links in a row as Linux follows.
const MOST_LINKS: usize = 40;

/// Writes a file in one step: into a new one beside it, which is fsynced and then takes its place, so that whoever
/// looks, and whenever the machine stops, finds the old one or the new one.
///
/// A new file has the mode that the umask asks for, one that was there keeps its mode. What a link leads to is
/// replaced, not the link, and need not be there yet. What is no regular file (a device, a named pipe,
/// `/dev/stdout`) is written to as it is.
///
/// # Errors
/// As the system says, without the path; what was there is untouched then, unless it is no regular file.
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

/// Brings an open file, or the names in an open folder, to the disk, where there is one behind it.
///
/// # Errors
/// As the system says.
pub fn sync(file: &File) -> io::Result<()> {
    file.sync_all().or_else(|error| match error.kind() {
        // Of a device or a pipe, and of folders on some file systems.
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => Ok(()),
        _ => Err(error),
    })
}

/// Removes from a folder what a program that was killed left of files it wrote. Nobody else may write into the folder
/// meanwhile.
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

/// The path behind all links, of a regular file or of nothing; `None` where that is something else, or one of the
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
        "its links lead nowhere: too many in a row",
    ))
}
