//! Whether files store what is shared once: copies, ties that are lost, ties that a specification says otherwise.

mod content;
mod digest;
mod external;
mod gguf;
mod onnx;
mod protobuf;
mod reader;
mod safetensors;
mod ties;

pub use content::{Content, Format, Tensor, read, read_in};
pub use digest::Digest;

use crate::checkpoint::Entry;
use digest::MANY;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Equal tensors, which one could stand for.
    Copies,
    /// A matrix and its transpose.
    Transposed,
    /// Tensors that should be equal and are not.
    Untied,
    /// Tensors that should be equal, of which some have changed and others have not.
    HalfUpdated,
    /// The file says of a shared tensor that it serves other layers than in the specification.
    Ties,
    /// A tensor that the specification has and the file has not.
    Missing,
    /// A tensor of other sizes than in the specification.
    Shape,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Copies => "copies",
            Kind::Transposed => "transposed",
            Kind::Untied => "untied",
            Kind::HalfUpdated => "half_updated",
            Kind::Ties => "ties",
            Kind::Missing => "missing",
            Kind::Shape => "shape",
        }
    }
}

/// Something that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// The tensors, in the order of their names.
    pub tensors: Vec<String>,
    /// Bytes that a file without it would save.
    pub bytes: u64,
    /// It in words.
    pub message: String,
}

/// Fewer elements may be equal by chance or by their meaning.
const FEWEST: u64 = 16;
/// Words in the names of tables that are computed and not learned, which every layer may have.
const COMPUTED: &[&str] = &[
    "inv_freq",
    "rope_freqs",
    "position_ids",
    "relative_position_index",
    "attn_mask",
];

impl Tensor {
    fn elements(&self) -> u64 {
        self.shape.iter().fold(1, |all, size| all.saturating_mul(*size))
    }

    /// Whether equality with another says that both are one: not for constants, masks, tables and few numbers.
    fn is_telling(&self) -> bool {
        let computed = COMPUTED.iter().any(|word| self.name.contains(word));
        self.is_real && self.digest.distinct >= MANY && self.elements() >= FEWEST && !computed
    }

    /// Whether both have the same elements.
    fn equals(&self, other: &Tensor) -> bool {
        self.key() == other.key()
    }

    fn key(&self) -> (&str, &[u64], [u8; 32]) {
        (&self.kind, &self.shape, self.digest.sha)
    }
}

impl Content {
    fn get(&self, name: &str) -> Option<&Tensor> {
        let at = self.tensors.binary_search_by(|tensor| tensor.name.as_str().cmp(name));
        at.ok().map(|at| &self.tensors[at])
    }

    /// Groups of equal tensors, in the order of their first names.
    fn groups(&self) -> Vec<Vec<&Tensor>> {
        let mut groups: Vec<Vec<&Tensor>> = Vec::new();
        let mut known = HashMap::new();
        for tensor in self.tensors.iter().filter(|tensor| tensor.is_telling()) {
            let at = *known.entry(tensor.key()).or_insert(groups.len());
            match groups.get_mut(at) {
                Some(group) => group.push(tensor),
                None => groups.push(vec![tensor]),
            }
        }
        groups.retain(|group| group.len() > 1);
        groups
    }
}

/// What is wrong with a file, by itself and in comparison with a reference and with the tensors of a specification.
pub fn audit(content: &Content, reference: Option<&Content>, expected: Option<&[Entry]>) -> Vec<Finding> {
    let mut findings = copies(content);
    findings.extend(transposed(content));
    if let Some(reference) = reference {
        findings.extend(ties::of_reference(content, reference));
    }
    if let Some(expected) = expected {
        findings.extend(ties::of_specification(content, expected));
    }
    findings
}

fn copies(content: &Content) -> Vec<Finding> {
    let groups = content.groups();
    let finding = |group: &Vec<&Tensor>| {
        // Bytes of another file that several tensors name are there once.
        let others: HashSet<&(String, Range<u64>)> = group.iter().filter_map(|it| it.external.as_ref()).collect();
        let here = group.iter().filter(|it| it.external.is_none()).count();
        let stored = (here + others.len()) as u64;
        let bytes = group[0].bytes.saturating_mul(stored - 1);
        let finding = Finding {
            kind: Kind::Copies,
            tensors: group.iter().map(|tensor| tensor.name.clone()).collect(),
            bytes,
            message: format!(
                "{} are equal: stored once they would take {bytes} bytes less",
                list(group.iter().map(|it| it.name.as_str()))
            ),
        };
        (stored > 1).then_some(finding)
    };
    groups.iter().filter_map(finding).collect()
}

fn transposed(content: &Content) -> Vec<Finding> {
    let matrices = || {
        let telling = content.tensors.iter().filter(|tensor| tensor.is_telling());
        telling.filter_map(|tensor| match (&tensor.shape[..], tensor.digest.matrix) {
            ([rows, columns], Some(sums)) => Some((tensor, [*rows, *columns], sums)),
            _ => None,
        })
    };
    let mut known: BTreeMap<(&str, [u64; 2], [u128; 2]), &Tensor> = BTreeMap::new();
    let mut findings = Vec::new();
    for (tensor, [rows, columns], [sum, other]) in matrices() {
        let first = known.get(&(tensor.kind.as_str(), [columns, rows], [other, sum]));
        if let Some(first) = first.filter(|first| !first.equals(tensor)) {
            let message = format!(
                "`{}` is `{}` transposed: stored once they would take {} bytes less",
                tensor.name, first.name, tensor.bytes
            );
            findings.push(Finding {
                kind: Kind::Transposed,
                tensors: vec![first.name.clone(), tensor.name.clone()],
                bytes: tensor.bytes,
                message,
            });
        }
        known
            .entry((&tensor.kind, [rows, columns], [sum, other]))
            .or_insert(tensor);
    }
    findings
}

/// Names that a message lists.
const NAMED: usize = 4;

/// Names as a list, the first of them if there are many.
fn list<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let count = names.len();
    let words: Vec<String> = names.take(NAMED).map(|name| format!("`{name}`")).collect();
    match count.saturating_sub(NAMED) {
        0 => words.join(", "),
        more => format!("{} and {more} more", words.join(", ")),
    }
}
