//! Models as files.

use super::proto::{self, FLOAT, INT64, Size};
use super::{Function, Model, OPSET, Value};
use crate::ir::Shape;
use crate::ops::{Attribute, Constant, Node};
use prost::Message;
use std::fmt;

/// The version of the format: the oldest with functions.
const IR_VERSION: i64 = 8;
/// Whose operators functions are.
const DOMAIN: &str = "ksdsl";
/// What a file of protobuf's can hold.
const MOST_BYTES: usize = 0x7fff_ffff;

/// A model is too large for a file of protobuf's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// Its bytes.
    pub bytes: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the model has {} bytes, but a file of this format holds at most {MOST_BYTES}",
            self.bytes
        )
    }
}

impl std::error::Error for TooLarge {}

/// The content of a file with the model. `weights` are the elements of its tensors in their order, as floating-point
/// numbers of 32 bits, little endian.
///
/// # Errors
/// If it is too large.
pub fn encode(model: &Model, weights: Vec<Vec<u8>>) -> Result<Vec<u8>, TooLarge> {
    let tensors = model.tensors.iter().zip(weights).map(|(entry, data)| proto::Tensor {
        dims: longs(&entry.shape),
        data_type: FLOAT,
        name: entry.key.clone(),
        raw_data: Some(data),
    });
    let file = proto::Model {
        ir_version: IR_VERSION,
        producer_name: "ksdsl".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(proto::Graph {
            node: model.nodes.iter().map(node).collect(),
            name: model.name.clone(),
            initializer: tensors.collect(),
            input: model.inputs.iter().map(value).collect(),
            output: model.outputs.iter().map(value).collect(),
        }),
        opset_import: opsets(!model.functions.is_empty()),
        metadata_props: metadata(model),
        functions: model.functions.iter().map(function).collect(),
    };
    match file.encoded_len() {
        bytes if bytes > MOST_BYTES => Err(TooLarge { bytes }),
        _ => Ok(file.encode_to_vec()),
    }
}

/// The layers that use each shared tensor, as the metadata of checkpoints say it.
fn metadata(model: &Model) -> Vec<proto::Entry> {
    let shared = model.tensors.iter().filter(|entry| !entry.visits.is_empty());
    let entry = |key: &str, value: &str| proto::Entry {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    let network = entry("network", &model.name);
    std::iter::once(network)
        .chain(shared.map(|shared| entry(&shared.key, &shared.visits.join(" "))))
        .collect()
}

fn opsets(functions: bool) -> Vec<proto::Opset> {
    let opset = |domain: &str, version| proto::Opset {
        domain: domain.to_owned(),
        version,
    };
    let own = functions.then(|| opset(DOMAIN, 1));
    std::iter::once(opset("", OPSET)).chain(own).collect()
}

fn function(of: &Function) -> proto::Function {
    proto::Function {
        name: of.name.clone(),
        input: of.inputs.clone(),
        output: of.outputs.clone(),
        node: of.nodes.iter().map(node).collect(),
        opset_import: opsets(true),
        domain: DOMAIN.to_owned(),
    }
}

fn node(of: &Node) -> proto::Node {
    proto::Node {
        input: of.inputs.clone(),
        output: of.outputs.clone(),
        name: of.outputs.first().cloned().unwrap_or_default(),
        op_type: of.op.clone(),
        attribute: of.attributes.iter().map(attribute).collect(),
        domain: if of.is_call { DOMAIN.to_owned() } else { String::new() },
    }
}

fn attribute((name, value): &(&'static str, Attribute)) -> proto::Attribute {
    let mut of = proto::Attribute {
        name: (*name).to_owned(),
        ..proto::Attribute::default()
    };
    match value {
        Attribute::Real(value) => (of.r#type, of.f) = (1, Some(value.0 as f32)),
        Attribute::Int(value) => (of.r#type, of.i) = (2, Some(*value)),
        Attribute::Text(value) => (of.r#type, of.s) = (3, Some(value.as_bytes().to_vec())),
        Attribute::Tensor(value) => (of.r#type, of.t) = (4, Some(constant(value))),
        Attribute::Ints(values) => (of.r#type, of.ints) = (7, values.clone()),
    }
    of
}

fn constant(of: &Constant) -> proto::Tensor {
    proto::Tensor {
        dims: longs(&of.dims),
        data_type: if of.is_int { INT64 } else { FLOAT },
        name: String::new(),
        raw_data: Some(of.bytes.clone()),
    }
}

/// An input or an output: any number of items of its shape.
fn value(of: &Value) -> proto::ValueInfo {
    let size = |value| proto::Dimension { value: Some(value) };
    let sizes = longs(&of.shape.sizes())
        .into_iter()
        .map(|value| size(Size::Value(value)));
    let batch = size(Size::Param("batch".to_owned()));
    let is_ids = matches!(of.shape, Shape::Ids { .. });
    let tensor = proto::TensorType {
        elem_type: if is_ids { INT64 } else { FLOAT },
        shape: Some(proto::Shape {
            dim: std::iter::once(batch).chain(sizes).collect(),
        }),
    };
    proto::ValueInfo {
        name: of.name.clone(),
        r#type: Some(proto::Type {
            tensor_type: Some(tensor),
        }),
    }
}

fn longs(sizes: &[u64]) -> Vec<i64> {
    sizes
        .iter()
        .map(|size| i64::try_from(*size).unwrap_or(i64::MAX))
        .collect()
}
