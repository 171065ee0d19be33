//! Where a text comes from.

use super::TextError;
use super::whole::Whole;
use crate::data::gunzip::Gunzip;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

const SHAKESPEARE: &[u8] = include_bytes!("../../data/tinyshakespeare.txt.gz");

/// The largest text in bytes: its tokens take four times as much memory.
const MOST_BYTES: u64 = 1 << 30;

/// Where a text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Shakespeare's plays, which this crate carries: `data/README.md` says where they come from.
    Shakespeare,
    /// A file, gzip-compressed if its name ends in `.gz`, or a folder: the files in it and in its folders, ordered by their
    /// paths, one after the other, without hidden ones.
    Path(PathBuf),
    /// The same as documents of their own: each file of a folder, or each line of a file.
    Documents(PathBuf),
}

impl Origin {
    /// Reads the text.
    pub(super) fn read(&self) -> Result<Whole, TextError> {
        let mut whole = Whole::default();
        let failed = |file: &Path| {
            let file = file.to_owned();
            move |source| TextError::File { file, source }
        };
        let path = match self {
            Self::Shakespeare => {
                let name = Path::new("text:shakespeare");
                whole.add(name.to_owned(), &unpack(SHAKESPEARE, MOST_BYTES).map_err(failed(name))?);
                return Ok(whole);
            }
            Self::Path(path) | Self::Documents(path) => path,
        };
        let files = match path.is_dir() {
            true => files(path)?,
            false => vec![path.clone()],
        };
        for file in files {
            let left = MOST_BYTES - whole.bytes.len() as u64;
            let bytes = read(&file, left).map_err(failed(&file))?;
            whole.add(file, &bytes);
        }
        if whole.bytes.is_empty() {
            return Err(TextError::Empty(format!("`{}`", path.display())));
        }
        if let Self::Documents(path) = self {
            whole.split_into_documents(!path.is_dir());
            if whole.documents.len() < 2 {
                return Err(TextError::OneDocument(format!("`{}`", path.display())));
            }
        }
        Ok(whole)
    }
}

/// The files of a folder and of the folders in it, ordered by their paths. Links to folders are not followed.
fn files(folder: &Path) -> Result<Vec<PathBuf>, TextError> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let failed = |source| TextError::File {
            file: folder.clone(),
            source,
        };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            let (kind, path) = (entry.file_type().map_err(failed)?, entry.path());
            match kind.is_dir() {
                _ if is_hidden => {}
                true => folders.push(path),
                false if path.is_file() => files.push(path),
                false => {}
            }
        }
    }
    files.sort();
    Ok(files)
}

fn read(file: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let bytes = ksdsl_files::read(file, limit)?;
    match file.extension() == Some(OsStr::new("gz")) {
        true => unpack(&bytes, limit),
        false => Ok(bytes),
    }
}

fn unpack(gzip: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Gunzip::new(gzip).take(limit + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(ksdsl_files::too_large(limit)),
        false => Ok(bytes),
    }
}

/// As on the command line, after `text:` or `documents:`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shakespeare => f.write_str("shakespeare"),
            Self::Path(path) | Self::Documents(path) => write!(f, "{}", path.display()),
        }
    }
}
