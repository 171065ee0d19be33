//! The tensors of a GGUF file (versions 2 and 3, little endian).

use super::content::{LONGEST_NAME, Listed, MOST_TENSORS, Place, add};
use super::reader::{Bytes, Failure};
use std::collections::BTreeMap;
use std::io::{Read, Seek};

/// The types of elements: number, name, elements of a block, its bytes, whether they are learned numbers.
const KINDS: &[(u32, &str, u64, u64, bool)] = &[
    (0, "F32", 1, 4, true),
    (1, "F16", 1, 2, true),
    (2, "Q4_0", 32, 18, true),
    (3, "Q4_1", 32, 20, true),
    (6, "Q5_0", 32, 22, true),
    (7, "Q5_1", 32, 24, true),
    (8, "Q8_0", 32, 34, true),
    (9, "Q8_1", 32, 36, true),
    (10, "Q2_K", 256, 84, true),
    (11, "Q3_K", 256, 110, true),
    (12, "Q4_K", 256, 144, true),
    (13, "Q5_K", 256, 176, true),
    (14, "Q6_K", 256, 210, true),
    (15, "Q8_K", 256, 292, true),
    (16, "IQ2_XXS", 256, 66, true),
    (17, "IQ2_XS", 256, 74, true),
    (18, "IQ3_XXS", 256, 98, true),
    (19, "IQ1_S", 256, 50, true),
    (20, "IQ4_NL", 32, 18, true),
    (21, "IQ3_S", 256, 110, true),
    (22, "IQ2_S", 256, 82, true),
    (23, "IQ4_XS", 256, 136, true),
    (24, "I8", 1, 1, false),
    (25, "I16", 1, 2, false),
    (26, "I32", 1, 4, false),
    (27, "I64", 1, 8, false),
    (28, "F64", 1, 8, true),
    (29, "IQ1_M", 256, 56, true),
    (30, "BF16", 1, 2, true),
    (34, "TQ1_0", 256, 54, true),
    (35, "TQ2_0", 256, 66, true),
    (39, "MXFP4", 32, 17, true),
];

/// The most axes of a tensor.
const MOST_AXES: u32 = 4;
/// Lists within lists that are read.
const DEPTH: usize = 4;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

pub(super) fn list<R: Read + Seek>(file: &mut Bytes<R>) -> Result<Listed, Failure> {
    file.skip(4)?;
    let version = file.u32()?;
    if !(2..=3).contains(&version) {
        return Err(format!("GGUF of version {version}; versions 2 and 3 are read"));
    }
    let (tensors, texts) = (file.u64()?, file.u64()?);
    if tensors > MOST_TENSORS as u64 {
        return Err(format!("more than {MOST_TENSORS} tensors"));
    }
    let (mut alignment, mut metadata) = (32, BTreeMap::new());
    // Each takes at least one byte, so that a false count ends with the file.
    for _ in 0..texts {
        let bytes = file.u64()?;
        let key = file.text(bytes, LONGEST_NAME)?;
        let kind = file.u32()?;
        match (key.as_str(), kind) {
            ("general.alignment", 4) => alignment = u64::from(file.u32()?),
            ("general.architecture", STRING) => {
                let bytes = file.u64()?;
                metadata.insert(key, file.text(bytes, LONGEST_NAME)?);
            }
            _ => skip(file, kind, DEPTH)?,
        }
    }
    if alignment == 0 {
        return Err("an alignment of 0".to_owned());
    }
    let (mut places, mut names) = (Vec::new(), 0);
    for _ in 0..tensors {
        let place = tensor(file)?;
        add(&mut places, &mut names, place)?;
    }
    let start = file.at.next_multiple_of(alignment);
    for place in &mut places {
        let at = |offset: u64| offset.checked_add(start).filter(|end| *end <= file.size);
        let (Some(from), Some(to)) = (at(place.range.start), at(place.range.end)) else {
            return Err(format!("`{}` lies beyond the end of the file", place.name));
        };
        place.range = from..to;
    }
    Ok((places, metadata))
}

/// A tensor, its place counted from where the data begin.
fn tensor<R: Read + Seek>(file: &mut Bytes<R>) -> Result<Place, Failure> {
    let bytes = file.u64()?;
    let name = file.text(bytes, LONGEST_NAME)?;
    let axes = file.u32()?;
    if axes > MOST_AXES {
        return Err(format!("`{name}` has {axes} axes; the format has {MOST_AXES} at most"));
    }
    let mut shape = Vec::new();
    for _ in 0..axes {
        shape.push(file.u64()?);
    }
    // GGUF begins with the fastest.
    shape.reverse();
    let (kind, offset) = (file.u32()?, file.u64()?);
    let Some((_, kind, block, unit, is_real)) = KINDS.iter().find(|(number, ..)| *number == kind) else {
        return Err(format!("`{name}` has elements of the unknown type {kind}"));
    };
    let elements = shape.iter().try_fold(1u64, |all, size| all.checked_mul(*size));
    let bytes = elements.and_then(|elements| elements.div_ceil(*block).checked_mul(*unit));
    let Some(end) = bytes.and_then(|bytes| bytes.checked_add(offset)) else {
        return Err(format!("`{name}` has more elements than a file holds"));
    };
    Ok(Place {
        name,
        kind: (*kind).to_owned(),
        is_real: *is_real,
        shape,
        range: offset..end,
        file: None,
        unit: *unit as usize,
        is_plain: *block == 1,
    })
}

/// Skips a value of a type.
fn skip<R: Read + Seek>(file: &mut Bytes<R>, kind: u32, depth: usize) -> Result<(), Failure> {
    match (kind, size_of(kind)) {
        (_, Some(bytes)) => file.skip(bytes),
        (STRING, _) => {
            let bytes = file.u64()?;
            file.skip(bytes)
        }
        (ARRAY, _) if depth > 0 => {
            let (kind, count) = (file.u32()?, file.u64()?);
            if let Some(bytes) = size_of(kind) {
                return file.skip(bytes.saturating_mul(count));
            }
            // Each has a length of its own, so that a false count ends with the file.
            (0..count).try_for_each(|_| skip(file, kind, depth - 1))
        }
        _ => Err(format!(
            "a value of the unknown type {kind}, or lists within too many others"
        )),
    }
}

/// Bytes of a value of a type, if all have as many.
fn size_of(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}
