//! Reading files. Whatever is in a file, the outcome is its tensors or an error that says what is
//! wrong with it.

use crate::kind::Kind;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The longest header that the format allows.
const LONGEST_HEADER: u64 = 100_000_000;
/// Bytes that give the length of the header.
const LENGTH: usize = 8;

/// The tensors of a file.
#[derive(Clone, Debug, Default)]
pub struct File {
    data: Vec<u8>,
    tensors: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
}

/// Where a tensor is in the data.
#[derive(Clone, Debug)]
struct Entry {
    kind: Kind,
    shape: Vec<u64>,
    range: Range<usize>,
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
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let bytes = std::fs::read(path).map_err(|error| FileError::Io {
            path: path.to_owned(),
            error,
        })?;
        Self::parse(bytes)
    }

    /// The tensors of a file's content.
    pub fn parse(mut bytes: Vec<u8>) -> Result<Self, FileError> {
        let header = header(&bytes)?;
        let text = std::str::from_utf8(&bytes[header.clone()]).map_err(|_| malformed("the header is not text"))?;
        let json: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| malformed(&format!("the header is not a JSON object: {error}")))?;
        let data = bytes.split_off(header.end);
        let mut file = File {
            data,
            ..File::default()
        };
        // Sizes are taken as the header has them, also where the file ends too early.
        let mut ranges = Vec::new();
        for (key, value) in json {
            if key == "__metadata__" {
                file.metadata = metadata(value)?;
                continue;
            }
            let (kind, shape, [start, end]) = entry(&key, &value)?;
            ranges.push((start, end, key, kind, shape));
        }
        file.place(ranges)?;
        Ok(file)
    }

    /// Takes the tensors in the order of the data: each begins where the one before it ends, and the
    /// last ends with the file.
    fn place(&mut self, mut ranges: Vec<(u64, u64, String, Kind, Vec<u64>)>) -> Result<(), FileError> {
        ranges.sort();
        let (mut at, length) = (0, self.data.len() as u64);
        let mut cut = Vec::new();
        for (start, end, key, kind, shape) in ranges {
            if start != at {
                return Err(malformed(&format!(
                    "`{key}` begins at byte {start} of the data, but the tensor before it ends at {at}"
                )));
            }
            at = end;
            if end > length {
                cut.push(key);
                continue;
            }
            // Both are at most the length of the data.
            let range = start as usize..end as usize;
            self.tensors.insert(key, Entry { kind, shape, range });
        }
        if !cut.is_empty() {
            return Err(FileError::Truncated {
                missing: at - length,
                tensors: cut,
            });
        }
        match length - at {
            0 => Ok(()),
            more => Err(malformed(&format!("{more} bytes follow the last tensor"))),
        }
    }

    /// The tensor of this key.
    pub fn get(&self, key: &str) -> Option<View<'_>> {
        let entry = self.tensors.get(key)?;
        Some(View {
            kind: entry.kind,
            shape: &entry.shape,
            data: &self.data[entry.range.clone()],
        })
    }

    /// The keys of all tensors, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// What the file says beside its tensors.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }
}

/// Where the header is.
fn header(bytes: &[u8]) -> Result<Range<usize>, FileError> {
    let (length, rest) = bytes
        .split_first_chunk::<LENGTH>()
        .ok_or_else(|| malformed("it is shorter than the length of a header"))?;
    let length = u64::from_le_bytes(*length);
    if length > LONGEST_HEADER {
        return Err(malformed(&format!(
            "a header of {length} bytes is more than the format allows"
        )));
    }
    // Fits: it is at most the constant above.
    let length = length as usize;
    if length > rest.len() {
        return Err(malformed(&format!(
            "the header has {length} bytes, but only {} follow",
            rest.len()
        )));
    }
    Ok(LENGTH..LENGTH + length)
}

fn metadata(value: Value) -> Result<BTreeMap<String, String>, FileError> {
    serde_json::from_value(value).map_err(|_| malformed("`__metadata__` is not a map from text to text"))
}

/// Type, sizes and place of a tensor, which fit each other.
fn entry(key: &str, value: &Value) -> Result<(Kind, Vec<u64>, [u64; 2]), FileError> {
    let wrong = |what: &str| malformed(&format!("`{key}` {what}"));
    let sizes = |name: &str| -> Option<Vec<u64>> { value.get(name)?.as_array()?.iter().map(Value::as_u64).collect() };
    let name = value
        .get("dtype")
        .and_then(Value::as_str)
        .ok_or_else(|| wrong("has no `dtype`"))?;
    let kind = Kind::parse(name).ok_or_else(|| wrong(&format!("has elements of the unknown type `{name}`")))?;
    let shape = sizes("shape").ok_or_else(|| wrong("has no `shape` of whole numbers"))?;
    let offsets = sizes("data_offsets").ok_or_else(|| wrong("has no `data_offsets`"))?;
    let [start, end] = offsets[..] else {
        return Err(wrong("has not two `data_offsets`"));
    };
    let elements = shape.iter().try_fold(kind.bytes(), |all, size| all.checked_mul(*size));
    match (elements, end.checked_sub(start)) {
        (Some(bytes), Some(room)) if bytes == room => Ok((kind, shape, [start, end])),
        _ => Err(wrong(&format!(
            "of shape {shape:?} and type {kind} does not fit its place, bytes {start} to {end}"
        ))),
    }
}

fn malformed(what: &str) -> FileError {
    FileError::Malformed(what.to_owned())
}

/// Why there are no tensors to be had from a file.
#[derive(Debug)]
pub enum FileError {
    /// The operating system says no.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is not a safetensors file, or a damaged one.
    Malformed(String),
    /// It ends before its last tensors do.
    Truncated {
        /// How many bytes are missing.
        missing: u64,
        /// The tensors that are not whole.
        tensors: Vec<String>,
    },
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::Io { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            FileError::Malformed(what) => write!(f, "not a safetensors file: {what}"),
            FileError::Truncated { missing, tensors } => write!(
                f,
                "the file is cut off: its last {missing} bytes are missing, and with them parts or all of {}",
                tensors.join(", ")
            ),
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FileError::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
