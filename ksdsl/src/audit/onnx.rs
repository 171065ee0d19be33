//! The tensors of an ONNX model: initializers of its graphs, and constants of their nodes and of its functions.

use super::content::{LONGEST_NAME, Listed, MOST_NAMES, MOST_SIZES, Place, add};
use super::external::External;
use super::protobuf::{Field, NOT_ONNX, parts, texts};
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
                found.graph(file, &part, &Inside::default())?;
            }
            14 => found.entry(file, &part)?,
            25 => found.function(file, &part)?,
            _ => {}
        }
        file.go(part.end)?;
    }
    match graphs {
        0 => Err(NOT_ONNX.to_owned()),
        _ => Ok((found.places, found.metadata)),
    }
}

/// Graphs in graphs that are read, at most.
const DEEPEST: usize = 32;

/// What a graph is inside of.
#[derive(Clone, Default)]
struct Inside {
    /// What its names are preceded by: nothing in the main graph, `cond/then_branch/` in a branch of the node `cond`.
    names: String,
    depth: usize,
}

impl Inside {
    /// A graph in this one.
    fn of(&self, node: &str, attribute: &str) -> Result<Self, Failure> {
        let (names, depth) = (format!("{}{node}/{attribute}/", self.names), self.depth + 1);
        if depth > DEEPEST || names.len() as u64 > LONGEST_NAME {
            return Err(format!(
                "graphs inside of more than {DEEPEST} others, or names of more than {LONGEST_NAME} bytes"
            ));
        }
        Ok(Inside { names, depth })
    }
}

/// Fields of `GraphProto`, `NodeProto`, `AttributeProto`, `FunctionProto` and `SparseTensorProto` that are messages or texts.
mod fields {
    pub(super) const GRAPH_NODE: u64 = 1;
    pub(super) const GRAPH_INITIALIZER: u64 = 5;
    pub(super) const GRAPH_SPARSE: u64 = 15;
    pub(super) const NODE_OUTPUT: u64 = 2;
    pub(super) const NODE_NAME: u64 = 3;
    pub(super) const NODE_ATTRIBUTE: u64 = 5;
    pub(super) const ATTRIBUTE_NAME: u64 = 1;
    pub(super) const ATTRIBUTE_TENSOR: u64 = 5;
    pub(super) const ATTRIBUTE_GRAPH: u64 = 6;
    pub(super) const ATTRIBUTE_TENSORS: u64 = 10;
    pub(super) const ATTRIBUTE_GRAPHS: u64 = 11;
    pub(super) const ATTRIBUTE_SPARSE: u64 = 22;
    pub(super) const FUNCTION_NAME: u64 = 1;
    pub(super) const FUNCTION_NODE: u64 = 7;
    pub(super) const SPARSE_VALUES: u64 = 1;
}
use fields::*;

impl Found {
    fn graph<R: Read + Seek>(&mut self, file: &mut Bytes<R>, of: &Range<u64>, inside: &Inside) -> Result<(), Failure> {
        parts(file, of, |file, number, part| match number {
            GRAPH_NODE => self.node(file, part, inside),
            GRAPH_INITIALIZER => self.tensor(file, part, |name| format!("{}{name}", inside.names)),
            GRAPH_SPARSE => self.sparse(file, part, |name| format!("{}{name}", inside.names)),
            _ => Ok(()),
        })
    }

    /// A function of the model: its nodes.
    fn function<R: Read + Seek>(&mut self, file: &mut Bytes<R>, of: &Range<u64>) -> Result<(), Failure> {
        let [name] = texts(file, of, [FUNCTION_NAME])?;
        let inside = Inside {
            names: format!("{name}/"),
            depth: 1,
        };
        parts(file, of, |file, number, part| match number {
            FUNCTION_NODE => self.node(file, part, &inside),
            _ => Ok(()),
        })
    }

    /// The tensors and graphs of a node's attributes. The tensor `value` of a constant is called as its output.
    fn node<R: Read + Seek>(&mut self, file: &mut Bytes<R>, of: &Range<u64>, inside: &Inside) -> Result<(), Failure> {
        let [output, name] = texts(file, of, [NODE_OUTPUT, NODE_NAME])?;
        let name = if name.is_empty() { &output } else { &name };
        parts(file, of, |file, number, part| match number {
            NODE_ATTRIBUTE => self.attribute(file, part, (&output, name), inside),
            _ => Ok(()),
        })
    }

    fn attribute<R: Read + Seek>(
        &mut self,
        file: &mut Bytes<R>,
        of: &Range<u64>,
        (output, node): (&str, &str),
        inside: &Inside,
    ) -> Result<(), Failure> {
        let [attribute] = texts(file, of, [ATTRIBUTE_NAME])?;
        let mut count = 0;
        let mut numbered = |name: &str| {
            count += 1;
            match count {
                1 => name.to_owned(),
                count => format!("{name}[{}]", count - 1),
            }
        };
        parts(file, of, |file, number, part| match number {
            ATTRIBUTE_TENSOR | ATTRIBUTE_SPARSE | ATTRIBUTE_TENSORS => {
                let name = match attribute.as_str() {
                    "value" | "sparse_value" => format!("{}{output}", inside.names),
                    attribute => format!("{}{node}/{}", inside.names, numbered(attribute)),
                };
                match number {
                    ATTRIBUTE_SPARSE => self.sparse(file, part, |_| name),
                    _ => self.tensor(file, part, |_| name),
                }
            }
            ATTRIBUTE_GRAPH | ATTRIBUTE_GRAPHS => {
                let inner = inside.of(node, &numbered(&attribute))?;
                self.graph(file, part, &inner)
            }
            _ => Ok(()),
        })
    }

    /// The values of a sparse tensor that are not zero.
    fn sparse<R: Read + Seek>(
        &mut self,
        file: &mut Bytes<R>,
        of: &Range<u64>,
        name: impl FnOnce(&str) -> String,
    ) -> Result<(), Failure> {
        let mut name = Some(name);
        parts(file, of, |file, number, part| match (number, name.take()) {
            (SPARSE_VALUES, Some(name)) => self.tensor(file, part, name),
            (_, rest) => {
                name = rest;
                Ok(())
            }
        })
    }

    fn tensor<R: Read + Seek>(
        &mut self,
        file: &mut Bytes<R>,
        of: &Range<u64>,
        name: impl FnOnce(&str) -> String,
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
                (13, Field::Part(part)) => {
                    let [key, value] = texts(file, &part, [1, 2])?;
                    raw.external.add(key, value)?;
                    file.go(part.end)?;
                }
                (14, Field::Number(location)) => raw.is_external = location == 1,
                (_, Field::Part(part)) => file.go(part.end)?,
                (_, Field::Number(_)) => {}
            }
        }
        raw.name = name(&raw.name);
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

/// A tensor as it is read.
#[derive(Default)]
struct Raw {
    name: String,
    shape: Vec<u64>,
    data: Vec<Range<u64>>,
    is_variable: bool,
    /// What it says of elements in another file.
    external: External,
    is_external: bool,
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
        let mut sizes = self.shape.iter();
        let elements = sizes.try_fold(unit as u64, |all, size| all.checked_mul(*size));
        let of = |what| format!("`{}`: {what}", self.name);
        let (range, file) = match self.data.as_slice() {
            [] if self.is_external => {
                let (range, location) = self.external.place(elements.filter(|_| known.is_some())).map_err(of)?;
                (range, Some(location))
            }
            _ if self.is_external => return Err(of("it has elements here and in another file".to_owned())),
            [] => (0..0, None),
            [range] => (range.clone(), None),
            _ => return Err(format!("`{}` has its elements in several parts", self.name)),
        };
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
            file,
            unit: if self.is_variable { 1 } else { unit },
            is_plain: !self.is_variable,
        })
    }
}
