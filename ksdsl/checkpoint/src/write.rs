//! Files as bytes: the same tensors always give the same.

use crate::kind::Kind;
use crate::resolve::Shared;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// A tensor to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor<'t> {
    /// Its key.
    pub key: String,
    /// The type of its elements.
    pub kind: Kind,
    /// Its sizes.
    pub shape: Vec<u64>,
    /// Its elements, little endian, row by row.
    pub data: Cow<'t, [u8]>,
}

/// The content of a file with these tensors; its metadata name, for each shared tensor, the tensors
/// of layers that it stands for, separated by spaces.
pub fn to_bytes(tensors: &[Tensor<'_>], sharing: &[Shared]) -> Vec<u8> {
    // Wide elements first, so that all are aligned as the format asks.
    let mut order: Vec<&Tensor<'_>> = tensors.iter().collect();
    order.sort_by(|a, b| b.kind.bytes().cmp(&a.kind.bytes()).then(a.key.cmp(&b.key)));
    let mut entries = Vec::new();
    if !sharing.is_empty() {
        let visits: Map<String, Value> = sharing
            .iter()
            .map(|shared| (shared.key.clone(), shared.visits.join(" ").into()))
            .collect();
        entries.push(format!("\"__metadata__\":{}", Value::Object(visits)));
    }
    let mut at = 0;
    for tensor in &order {
        let end = at + tensor.data.len();
        let entry = json!({ "dtype": tensor.kind.name(), "shape": tensor.shape, "data_offsets": [at, end] });
        entries.push(format!("{}:{entry}", Value::from(tensor.key.as_str())));
        at = end;
    }
    let mut header = format!("{{{}}}", entries.join(","));
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    let mut bytes = Vec::with_capacity(8 + header.len() + at);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header.bytes());
    order.iter().for_each(|tensor| bytes.extend(tensor.data.iter()));
    bytes
}
