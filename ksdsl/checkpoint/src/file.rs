//! Reading safetensors files. Any content gives tensors or an error.

use crate::header::{Header, length, malformed};
use crate::kind::Kind;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes that give the length of the header.
const LENGTH: usize = 8;
/// How many of the tensors that are not whole are named.
const NAMED: usize = 5;

/// The tensors of a file.
#[derive(Clone, Debug, Default)]
pub struct File {
    data: Vec<u8>,
    header: Header,
}

/// A tensor of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View<'f> {
    /// The type of its elements.
    pub kind: Kind,
    /// Its sizes.
    pub shape: &'f [u64],
    /// Its elements, little endian, row by row.
    pub data: &'f [u8],
}

impl File {
    /// Reads a file. Its data are read only if it has as many bytes as its header says.
    ///
    /// # Errors
    /// If it cannot be read, is not a regular file, is not a safetensors file, or is damaged.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let failed = |stop| FileError::new(path, stop);
        let open = || {
            let file = ksdsl_files::open(path)?;
            Ok((ksdsl_files::size(&file)?, file))
        };
        let (size, file) = open().map_err(|error| failed(Stop::Io(error)))?;
        Self::take(file, size).map_err(failed)
    }

    /// The tensors of a file's content.
    ///
    /// # Errors
    /// If it is not a safetensors file, or is damaged.
    pub fn parse(bytes: impl AsRef<[u8]>) -> Result<Self, Damage> {
        let bytes = bytes.as_ref();
        Self::take(bytes, Some(bytes.len() as u64)).map_err(|stop| match stop {
            Stop::Damage(damage) => damage,
            // Reading from memory does not fail; the memory for a second copy may be missing.
            Stop::Io(error) => malformed(error.to_string()),
        })
    }

    /// Takes a file of this many bytes, if that is known.
    fn take(mut reader: impl Read, size: Option<u64>) -> Result<Self, Stop> {
        let (header, length) = head(&mut reader, size)?;
        let expected = header.data()?;
        let rest = size.map(|size| size.saturating_sub(LENGTH as u64 + length));
        if let Some(found) = rest {
            whole(&header, expected, found)?;
        }
        let mut data = Vec::new();
        let room = usize::try_from(rest.unwrap_or(0)).unwrap_or(usize::MAX);
        data.try_reserve_exact(room).map_err(io::Error::from)?;
        reader.take(expected.saturating_add(1)).read_to_end(&mut data)?;
        // A pipe has no size before its end, and a file can change while it is read.
        whole(&header, expected, data.len() as u64)?;
        Ok(Self { data, header })
    }

    /// The tensor of this key.
    pub fn get(&self, key: &str) -> Option<View<'_>> {
        let entry = self.header.tensors.get(key)?;
        Some(View {
            kind: entry.kind,
            shape: &entry.shape,
            // Both are at most the length of the data.
            data: &self.data[entry.start as usize..entry.end as usize],
        })
    }

    /// The keys of all tensors, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.header.tensors.keys().map(String::as_str)
    }

    /// Leaves out the tensors of other keys, and what the file says of these keys.
    pub fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.header.tensors.retain(|key, _| is_kept(key));
        self.header.metadata.retain(|key, _| is_kept(key));
    }

    /// What the file says beside its tensors.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.header.metadata
    }
}

/// Reads the header of a file of this many bytes, if that is known; its length.
fn head(mut reader: impl Read, size: Option<u64>) -> Result<(Header, u64), Stop> {
    let mut start = Vec::new();
    reader.by_ref().take(LENGTH as u64).read_to_end(&mut start)?;
    let start = start
        .try_into()
        .map_err(|_| malformed("the file is shorter than a header's length field"))?;
    let length = length(start)?;
    let mut text = Vec::new();
    // Not more than there is, whatever the file says.
    text.try_reserve_exact(length.min(size.unwrap_or(0)) as usize)
        .map_err(io::Error::from)?;
    reader.by_ref().take(length).read_to_end(&mut text)?;
    if (text.len() as u64) < length {
        let found = text.len();
        return Err(malformed(format!("the header has {length} bytes, but only {found} bytes follow")).into());
    }
    Ok((Header::parse(&text)?, length))
}

/// Which tensors a file has, and where; their elements are not read. For `ksn audit`; no stable interface.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Listing {
    /// The tensors in the order of their keys: key, type, sizes, and the bytes of the file that are its elements.
    pub tensors: Vec<(String, Kind, Vec<u64>, std::ops::Range<u64>)>,
    /// What the file says beside its tensors.
    pub metadata: BTreeMap<String, String>,
}

impl Listing {
    /// Reads the header of a file of this many bytes.
    ///
    /// # Errors
    /// If it cannot be read, is not that of a safetensors file, or does not fit the file.
    pub fn read(reader: impl Read, size: u64) -> Result<Self, String> {
        let list = || {
            let (header, length) = head(reader, Some(size))?;
            let start = LENGTH as u64 + length;
            whole(&header, header.data()?, size.saturating_sub(start))?;
            Ok((header, start))
        };
        let (header, start) = list().map_err(|stop| match stop {
            Stop::Io(error) => error.to_string(),
            Stop::Damage(damage) => damage.to_string(),
        })?;
        let place = |(key, entry): (String, crate::header::TensorEntry)| {
            (key, entry.kind, entry.shape, start + entry.start..start + entry.end)
        };
        Ok(Listing {
            tensors: header.tensors.into_iter().map(place).collect(),
            metadata: header.metadata,
        })
    }
}

/// Whether there are as many bytes of data as there should be.
fn whole(header: &Header, expected: u64, found: u64) -> Result<(), Damage> {
    if found > expected {
        return Err(malformed(format!(
            "{} unexpected bytes after the last tensor",
            found - expected
        )));
    }
    if found == expected {
        return Ok(());
    }
    let mut cut: Vec<_> = header.tensors.iter().filter(|(_, entry)| entry.end > found).collect();
    cut.sort_by_key(|(_, entry)| entry.start);
    Err(Damage::Truncated {
        missing: expected - found,
        tensors: cut.into_iter().map(|(key, _)| key.clone()).collect(),
    })
}

/// Why reading stops.
enum Stop {
    Io(io::Error),
    Damage(Damage),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Io(error)
    }
}

impl From<Damage> for Stop {
    fn from(damage: Damage) -> Self {
        Stop::Damage(damage)
    }
}

/// An error when reading a checkpoint.
#[derive(Debug)]
pub enum FileError {
    /// An I/O error, or not a regular file.
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// It is not a safetensors file, or a damaged one.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
}

impl FileError {
    fn new(path: &Path, stop: Stop) -> Self {
        let path = path.to_owned();
        match stop {
            Stop::Io(error) => Self::Io { path, error },
            Stop::Damage(damage) => Self::Damaged { path, damage },
        }
    }
}

/// What is wrong with the content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It is not that of a safetensors file.
    Malformed(String),
    /// It ends before its last tensors do.
    Truncated {
        /// The number of missing bytes.
        missing: u64,
        /// The tensors that are not whole, in the order of the data.
        tensors: Vec<String>,
    },
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::Io { path, error } => write!(f, "cannot read `{}`: {error}", path.display()),
            FileError::Damaged { path, damage } => write!(f, "`{}` is {damage}", path.display()),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Malformed(what) => write!(f, "not a safetensors file: {what}"),
            Damage::Truncated { missing, tensors } => {
                let named = &tensors[..tensors.len().min(NAMED)];
                let more = tensors.len() - named.len();
                let named = named.join("`, `");
                write!(
                    f,
                    "truncated: its last {missing} bytes are missing, which makes these tensors incomplete: `{named}`"
                )?;
                match more {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
        }
    }
}

impl std::error::Error for Damage {}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FileError::Io { error, .. } => Some(error),
            FileError::Damaged { damage, .. } => Some(damage),
        }
    }
}
