//! Messages of protobuf, as models of ONNX are.

use super::content::LONGEST_NAME;
use super::reader::{Bytes, Failure};
use std::io::{Read, Seek};
use std::ops::Range;

/// A field of a message.
pub(super) enum Field {
    Number(u64),
    Part(Range<u64>),
}

pub(super) const NOT_ONNX: &str = "it is neither safetensors nor GGUF, and not the protobuf of an ONNX model";

impl<R: Read + Seek> Bytes<R> {
    pub(super) fn varint(&mut self) -> Result<u64, Failure> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 127).checked_shl(shift).unwrap_or_default();
            if byte < 128 {
                return Ok(value);
            }
        }
        Err(NOT_ONNX.to_owned())
    }

    /// The next field of a message that ends at `end`.
    pub(super) fn field(&mut self, end: u64) -> Result<Option<(u64, Field)>, Failure> {
        if self.at >= end {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Number(self.varint()?),
            1 => Field::Number(self.u64()?),
            2 => {
                let bytes = self.varint()?;
                let to = self.at.checked_add(bytes).filter(|to| *to <= end);
                Field::Part(self.at..to.ok_or_else(|| NOT_ONNX.to_owned())?)
            }
            5 => Field::Number(self.u32()?.into()),
            _ => return Err(NOT_ONNX.to_owned()),
        };
        Ok(Some((tag >> 3, field)))
    }

    pub(super) fn name(&mut self, part: &Range<u64>) -> Result<String, Failure> {
        self.go(part.start)?;
        self.text(part.end - part.start, LONGEST_NAME)
    }
}

/// Calls `each` for every part of a message, and goes on behind it.
pub(super) fn parts<R: Read + Seek>(
    file: &mut Bytes<R>,
    of: &Range<u64>,
    mut each: impl FnMut(&mut Bytes<R>, u64, &Range<u64>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    file.go(of.start)?;
    while let Some((number, field)) = file.field(of.end)? {
        if let Field::Part(part) = field {
            each(file, number, &part)?;
            file.go(part.end)?;
        }
    }
    Ok(())
}

/// The first texts of these fields of a message; nothing for one that it lacks.
pub(super) fn texts<R: Read + Seek, const N: usize>(
    file: &mut Bytes<R>,
    of: &Range<u64>,
    numbers: [u64; N],
) -> Result<[String; N], Failure> {
    let mut found = [const { None }; N];
    parts(file, of, |_, number, part| {
        if let Some(at) = numbers.iter().position(|known| *known == number) {
            found[at].get_or_insert_with(|| part.clone());
        }
        Ok(())
    })?;
    let mut texts = [const { String::new() }; N];
    for (text, part) in texts.iter_mut().zip(found) {
        if let Some(part) = part {
            *text = file.name(&part)?;
        }
    }
    Ok(texts)
}
