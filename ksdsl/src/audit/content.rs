//! The tensors of a file of any of the formats.

use super::digest::{Digest, digest};
use super::reader::{Bytes, Failure};
use super::{external, gguf, onnx, safetensors};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek};
use std::ops::Range;
use std::path::Path;

/// The most tensors that are read.
pub(super) const MOST_TENSORS: usize = 500_000;
/// The most bytes of a name, and of all together.
pub(super) const LONGEST_NAME: u64 = 4096;
pub(super) const MOST_NAMES: usize = 1 << 26;
/// The most sizes of a tensor.
pub(super) const MOST_SIZES: usize = 16;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Safetensors.
    Safetensors,
    /// ONNX.
    Onnx,
    /// GGUF.
    Gguf,
}

impl Format {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Format::Safetensors => "safetensors",
            Format::Onnx => "ONNX",
            Format::Gguf => "GGUF",
        }
    }
}

/// A tensor of a file.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// The type of its elements, as the format calls it.
    pub kind: String,
    /// Whether its elements are numbers that are learned: floating-point numbers, or such packed in blocks.
    pub is_real: bool,
    /// Its sizes, slowest first.
    pub shape: Vec<u64>,
    /// Its bytes.
    pub bytes: u64,
    /// What is kept of its elements.
    pub digest: Digest,
    /// Where they are if another file has them: its path from the folder of this one, and the bytes.
    pub external: Option<(String, Range<u64>)>,
}

/// What a file has.
#[derive(Clone, Debug)]
pub struct Content {
    /// Its format.
    pub format: Format,
    /// Its tensors, in the order of their names.
    pub tensors: Vec<Tensor>,
    /// Texts beside them.
    pub metadata: BTreeMap<String, String>,
}

/// A tensor whose elements are not read yet.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) is_real: bool,
    pub(super) shape: Vec<u64>,
    /// The bytes of its elements.
    pub(super) range: Range<u64>,
    /// The file that has them, if it is another one.
    pub(super) file: Option<String>,
    /// Bytes of an element, or of a block of them.
    pub(super) unit: usize,
    /// Whether a unit is one element.
    pub(super) is_plain: bool,
}

/// The tensors of a file, and the texts beside them.
pub(super) type Listed = (Vec<Place>, BTreeMap<String, String>);

/// Adds a tensor, if there are not too many.
pub(super) fn add(list: &mut Vec<Place>, names: &mut usize, place: Place) -> Result<(), Failure> {
    *names += place.name.len() + place.file.as_ref().map_or(0, String::len);
    if list.len() == MOST_TENSORS || *names > MOST_NAMES {
        return Err(format!(
            "more than {MOST_TENSORS} tensors, or {MOST_NAMES} bytes of names"
        ));
    }
    list.push(place);
    Ok(())
}

/// Reads a file of any of the formats, a piece at a time.
///
/// # Errors
/// If it is of none of them or damaged, or if it is a model of ONNX with elements in other files, in words.
pub fn read(reader: impl Read + Seek) -> Result<Content, String> {
    read_with(reader, &mut |location| {
        Err(format!("its elements are in another file, `{location}`"))
    })
}

/// As [`read`], with the elements of an ONNX model that are in other files (external data), which must be in `folder`, where
/// the model is.
///
/// # Errors
/// If the file is of none of the formats or damaged; if another file is outside of the folder, cannot be read, or is too short.
pub fn read_in(folder: &Path, reader: impl Read + Seek) -> Result<Content, String> {
    read_with(reader, &mut |location| external::open(folder, location))
}

/// What is read of another file: its path, the bytes, those of an element, and sizes of a matrix.
type Part = (String, Range<u64>, usize, Option<[u64; 2]>);

/// Opens a file by its path from that of a model.
type Open<'o> = &'o mut dyn FnMut(&str) -> Result<File, Failure>;

fn read_with(reader: impl Read + Seek, open: Open<'_>) -> Result<Content, String> {
    let mut file = Bytes::new(reader)?;
    let mut start = [0; 9];
    let found = start.len().min(usize::try_from(file.size).unwrap_or(usize::MAX));
    file.fill(&mut start[..found])?;
    file.go(0)?;
    let (format, (places, metadata)) = match start {
        [b'G', b'G', b'U', b'F', ..] => (Format::Gguf, gguf::list(&mut file)?),
        [.., b'{'] => (Format::Safetensors, safetensors::list(&mut file)?),
        _ => (Format::Onnx, onnx::list(&mut file)?),
    };
    let mut tensors = Vec::new();
    // The last other file: writers put tensors into one, or into one each.
    let mut other: Option<(String, Bytes<File>)> = None;
    // Bytes that many tensors name are read once.
    let mut known: HashMap<Part, Digest> = HashMap::new();
    for place in places {
        let sizes = match place.shape[..] {
            [rows, columns] if place.is_plain => Some([rows, columns]),
            _ => None,
        };
        let bytes = place.range.end.saturating_sub(place.range.start);
        let range = place.range.clone();
        let found = match &place.file {
            None => digest(&mut file, range, place.unit, sizes),
            Some(location) => match known.entry((location.clone(), range.clone(), place.unit, sizes)) {
                Entry::Occupied(found) => Ok(*found.get()),
                Entry::Vacant(new) => opened(&mut other, location, open)
                    .and_then(|file| digest(file, range, place.unit, sizes))
                    .map(|found| *new.insert(found)),
            },
        };
        let digest = found.map_err(|error| format!("`{}`: {error}", place.name))?;
        tensors.push(Tensor {
            name: place.name,
            kind: place.kind,
            is_real: place.is_real,
            shape: place.shape,
            bytes,
            digest,
            external: place.file.map(|file| (file, place.range)),
        });
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Content {
        format,
        tensors,
        metadata,
    })
}

/// Another file, which stays open for the next tensor.
fn opened<'f>(
    last: &'f mut Option<(String, Bytes<File>)>,
    location: &str,
    open: Open<'_>,
) -> Result<&'f mut Bytes<File>, Failure> {
    let held = last.take().filter(|(name, _)| name == location);
    let now = match held {
        Some(now) => now,
        None => (location.to_owned(), Bytes::new(open(location)?)?),
    };
    Ok(&mut last.insert(now).1)
}
