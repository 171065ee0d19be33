//! The tensors of an ONNX model: initializers of its graph, and constants of its nodes.

use super::content::{LONGEST_NAME, Listed, MOST_NAMES, MOST_SIZES, Place, add};
use super::reader::{Bytes, Failure};
use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::ops::Range;

/// The types of elements: number, name, bytes, whether they are learned numbers.
const KINDS: &[(u64, &str, usize, bool)] = &[
    (1, "FLOAT", 4, true),
    (2, "UINT8", 1, false),
    (3, "INT8", 1, false),
    (4, "UINT16", 2, false),
    (5, "INT16", 2, false),
    (6, "INT32", 4, false),
    (7, "INT64", 8, false),
    (9, "BOOL", 1, false),
    (10, "FLOAT16", 2, true),
    (11, "DOUBLE", 8, true),
    (12, "UINT32", 4, false),
    (13, "UINT64", 8, false),
    (16, "BFLOAT16", 2, true),
];

/// A field of a message.
enum Field {
    Number(u64),
    Part(Range<u64>),
}

const NOT_ONNX: &str = "it is neither safetensors nor GGUF, and not the protobuf of an ONNX model";

impl<R: Read + Seek> Bytes<R> {
    fn varint(&mut self) -> Result<u64, Failure> {
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
    fn field(&mut self, end: u64) -> Result<Option<(u64, Field)>, Failure> {
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

    fn name(&mut self, part: &Range<u64>) -> Result<String, Failure> {
        self.go(part.start)?;
        self.text(part.end - part.start, LONGEST_NAME)
    }
}

/// The tensors found so far.
#[derive(Default)]
struct Found {
    places: Vec<Place>,
    names: usize,
    metadata: BTreeMap<String, String>,
}

pub(super) fn list<R: Read + Seek>(file: &mut Bytes<R>) -> Result<Listed, Failure> {
    let (mut found, mut graphs) = (Found::default(), 0);
    let end = file.size;
    while let Some((number, field)) = file.field(end)? {
        let Field::Part(part) = field else { continue };
        match number {
            7 => {
                graphs += 1;
                found.graph(file, &part)?;
            }
            14 => found.entry(file, &part)?,
            _ => {}
        }
        file.go(part.end)?;
    }
    match graphs {
        0 => Err(NOT_ONNX.to_owned()),
        _ => Ok((found.places, found.metadata)),
    }
}

impl Found {
    fn graph<R: Read + Seek>(&mut self, file: &mut Bytes<R>, of: &Range<u64>) -> Result<(), Failure> {
        while let Some((number, field)) = file.field(of.end)? {
            let Field::Part(part) = field else { continue };
            match number {
                1 => self.node(file, &part)?,
                5 => self.tensor(file, &part, None)?,
                _ => {}
            }
            file.go(part.end)?;
        }
        Ok(())
    }

    /// The tensor of a constant, which is called as the node's output.
    fn node<R: Read + Seek>(&mut self, file: &mut Bytes<R>, of: &Range<u64>) -> Result<(), Failure> {
        let (mut output, mut tensor) = (None, None);
        while let Some((number, field)) = file.field(of.end)? {
            let Field::Part(part) = field else { continue };
            match number {
                2 if output.is_none() => output = Some(part.clone()),
                5 => {
                    file.go(part.start)?;
                    tensor = attribute(file, &part)?.or(tensor);
                }
                _ => {}
            }
            file.go(part.end)?;
        }
        if let (Some(output), Some(tensor)) = (output, tensor) {
            let name = file.name(&output)?;
            self.tensor(file, &tensor, Some(name))?;
        }
        Ok(())
    }

    fn tensor<R: Read + Seek>(
        &mut self,
        file: &mut Bytes<R>,
        of: &Range<u64>,
        name: Option<String>,
    ) -> Result<(), Failure> {
        let (mut raw, mut kind) = (Raw::default(), 0);
        file.go(of.start)?;
        while let Some((number, field)) = file.field(of.end)? {
            match (number, field) {
                (1, Field::Number(size)) => raw.size(size)?,
                (1, Field::Part(part)) => {
                    while file.at < part.end {
                        raw.size(file.varint()?)?;
                    }
                }
                (2, Field::Number(number)) => kind = number,
                (8, Field::Part(part)) => raw.name = file.name(&part)?,
                // Elements as bytes or as packed numbers, those of small types as variable numbers of bytes.
                (4 | 5 | 7 | 9..=11, Field::Part(part)) => {
                    raw.is_variable = matches!(number, 5 | 7 | 11);
                    raw.data.push(part.clone());
                    file.go(part.end)?;
                }
                (4 | 5 | 7 | 10 | 11, Field::Number(_)) => return Err("elements that are not packed".to_owned()),
                (13, Field::Part(_)) => return Err(format!("`{}` has its elements in another file", raw.name)),
                (_, Field::Part(part)) => file.go(part.end)?,
                (_, Field::Number(_)) => {}
            }
        }
        if let Some(name) = name {
            raw.name = name;
        }
        let place = raw.place(kind)?;
        add(&mut self.places, &mut self.names, place)
    }

    fn entry<R: Read + Seek>(&mut self, file: &mut Bytes<R>, of: &Range<u64>) -> Result<(), Failure> {
        let [mut key, mut value] = [None, None];
        while let Some((number, field)) = file.field(of.end)? {
            let Field::Part(part) = field else { continue };
            match number {
                1 => key = Some(part.clone()),
                2 => value = Some(part.clone()),
                _ => {}
            }
            file.go(part.end)?;
        }
        if let (Some(key), Some(value)) = (key, value) {
            let key = file.name(&key)?;
            file.go(value.start)?;
            // Longer texts are not about tensors of ours, which are one network's paths.
            if value.end - value.start <= MOST_TEXT && self.metadata.len() < super::content::MOST_TENSORS {
                self.names += (value.end - value.start) as usize;
                if self.names > MOST_NAMES {
                    return Err(format!("more than {MOST_NAMES} bytes of texts"));
                }
                let value = file.text(value.end - value.start, MOST_TEXT)?;
                self.metadata.insert(key, value);
            }
        }
        Ok(())
    }
}

/// The most bytes of a text that is kept.
const MOST_TEXT: u64 = 1 << 20;

/// The tensor of an attribute, if it has one.
fn attribute<R: Read + Seek>(file: &mut Bytes<R>, of: &Range<u64>) -> Result<Option<Range<u64>>, Failure> {
    let mut tensor = None;
    while let Some((number, field)) = file.field(of.end)? {
        let Field::Part(part) = field else { continue };
        if number == 5 {
            tensor = Some(part.clone());
        }
        file.go(part.end)?;
    }
    Ok(tensor)
}

/// A tensor as it is read.
#[derive(Default)]
struct Raw {
    name: String,
    shape: Vec<u64>,
    data: Vec<Range<u64>>,
    is_variable: bool,
}

impl Raw {
    fn size(&mut self, size: u64) -> Result<(), Failure> {
        if self.shape.len() == MOST_SIZES {
            return Err(format!("a tensor has more than {MOST_SIZES} axes"));
        }
        self.shape.push(size);
        Ok(())
    }

    fn place(self, kind: u64) -> Result<Place, Failure> {
        let known = KINDS.iter().find(|(number, ..)| *number == kind);
        let (kind, unit, is_real) = match known {
            Some((_, kind, unit, is_real)) => ((*kind).to_owned(), *unit, *is_real),
            None => (format!("type {kind}"), 1, false),
        };
        let range = match self.data.as_slice() {
            [] => 0..0,
            [range] => range.clone(),
            _ => return Err(format!("`{}` has its elements in several parts", self.name)),
        };
        let elements = self
            .shape
            .iter()
            .try_fold(unit as u64, |all, size| all.checked_mul(*size));
        if !self.is_variable && known.is_some() && elements != Some(range.end - range.start) {
            let bytes = range.end - range.start;
            return Err(format!(
                "`{}` has {bytes} bytes, which its sizes {:?} do not fit",
                self.name, self.shape
            ));
        }
        Ok(Place {
            name: self.name,
            kind,
            is_real,
            shape: self.shape,
            range,
            unit: if self.is_variable { 1 } else { unit },
            is_plain: !self.is_variable,
        })
    }
}
