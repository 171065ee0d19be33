//! Files of all formats with given tensors.

use ksdsl::export::onnx::proto;
use ksdsl_checkpoint::{Kind, Shared, Tensor, to_bytes};
use prost::Message;
use std::borrow::Cow;

/// A tensor: name, sizes, elements.
pub(crate) struct Named(pub(crate) String, pub(crate) Vec<u64>, pub(crate) Data);

/// Elements.
pub(crate) enum Data {
    F32(Vec<f32>),
    F16(Vec<u16>),
    I64(Vec<i64>),
}

impl Data {
    fn kind(&self) -> Kind {
        match self {
            Data::F32(_) => Kind::F32,
            Data::F16(_) => Kind::F16,
            Data::I64(_) => Kind::I64,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Data::F32(values) => values.iter().flat_map(|it| it.to_le_bytes()).collect(),
            Data::F16(values) => values.iter().flat_map(|it| it.to_le_bytes()).collect(),
            Data::I64(values) => values.iter().flat_map(|it| it.to_le_bytes()).collect(),
        }
    }
}

/// Random elements; equal for equal seeds.
pub(crate) fn values(seed: u64, sizes: &[u64]) -> Vec<f32> {
    let mut random = ksdsl_files::random::SplitMix64(seed);
    (0..sizes.iter().product())
        .map(|_| random.fraction() as f32 - 0.5)
        .collect()
}

/// A random tensor.
pub(crate) fn random(name: &str, sizes: &[u64], seed: u64) -> Named {
    Named(name.to_owned(), sizes.to_vec(), Data::F32(values(seed, sizes)))
}

/// A tensor of one value.
pub(crate) fn constant(name: &str, sizes: &[u64], value: f32) -> Named {
    let count = sizes.iter().product::<u64>() as usize;
    Named(name.to_owned(), sizes.to_vec(), Data::F32(vec![value; count]))
}

/// A matrix with the elements of `random(.., [columns, rows], ..)`, transposed.
pub(crate) fn transposed(name: &str, [rows, columns]: [u64; 2], seed: u64) -> Named {
    let from = values(seed, &[columns, rows]);
    let at = |row: u64, column: u64| from[(column * rows + row) as usize];
    let all = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    Named(
        name.to_owned(),
        vec![rows, columns],
        Data::F32(all.map(|(row, column)| at(row, column)).collect()),
    )
}

/// A safetensors file; `ties` are shared tensors with the layers that they serve.
pub(crate) fn safetensors(tensors: &[Named], ties: &[(&str, &str)]) -> Vec<u8> {
    let tensors: Vec<Tensor<'_>> = tensors
        .iter()
        .map(|Named(key, shape, data)| Tensor {
            key: key.clone(),
            kind: data.kind(),
            shape: shape.clone(),
            data: Cow::Owned(data.bytes()),
        })
        .collect();
    let ties: Vec<Shared> = ties
        .iter()
        .map(|(key, visits)| Shared {
            key: (*key).to_owned(),
            visits: visits.split(' ').map(str::to_owned).collect(),
            copies: true,
        })
        .collect();
    to_bytes(&tensors, &ties)
}

fn onnx_tensor(Named(name, sizes, data): &Named) -> proto::Tensor {
    proto::Tensor {
        dims: sizes.iter().map(|size| *size as i64).collect(),
        data_type: match data {
            Data::F32(_) => proto::FLOAT,
            Data::F16(_) => 10,
            Data::I64(_) => proto::INT64,
        },
        name: name.clone(),
        raw_data: Some(data.bytes()),
    }
}

/// An ONNX model with these initializers and constants of nodes.
pub(crate) fn onnx(initializers: &[Named], constants: &[Named]) -> Vec<u8> {
    let node = |of: &Named| proto::Node {
        output: vec![of.0.clone()],
        op_type: "Constant".to_owned(),
        attribute: vec![proto::Attribute {
            name: "value".to_owned(),
            r#type: 4,
            t: Some(proto::Tensor {
                name: String::new(),
                ..onnx_tensor(of)
            }),
            ..proto::Attribute::default()
        }],
        ..proto::Node::default()
    };
    let model = proto::Model {
        ir_version: 8,
        graph: Some(proto::Graph {
            node: constants.iter().map(node).collect(),
            initializer: initializers.iter().map(onnx_tensor).collect(),
            ..proto::Graph::default()
        }),
        ..proto::Model::default()
    };
    model.encode_to_vec()
}

/// A tensor of a GGUF file: name, sizes with the fastest first, type, bytes.
pub(crate) struct Packed<'n>(
    pub(crate) &'n str,
    pub(crate) Vec<u64>,
    pub(crate) u32,
    pub(crate) Vec<u8>,
);

/// Random bytes, as quantised tensors have them.
pub(crate) fn packed(name: &str, sizes: [u64; 2], kind: u32, bytes: usize, seed: u64) -> Packed<'_> {
    let mut random = ksdsl_files::random::SplitMix64(seed);
    Packed(
        name,
        sizes.to_vec(),
        kind,
        (0..bytes).map(|_| random.draw() as u8).collect(),
    )
}

/// A GGUF file of version 3 with a text, a list and an alignment beside its tensors.
pub(crate) fn gguf(tensors: &[Packed<'_>]) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let mut file = b"GGUF".to_vec();
    file.extend(3u32.to_le_bytes());
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend(3u64.to_le_bytes());
    file.extend([text("general.architecture"), 8u32.to_le_bytes().to_vec(), text("llama")].concat());
    file.extend(
        [
            text("general.alignment"),
            4u32.to_le_bytes().to_vec(),
            64u32.to_le_bytes().to_vec(),
        ]
        .concat(),
    );
    file.extend([text("tokens"), 9u32.to_le_bytes().to_vec(), 8u32.to_le_bytes().to_vec()].concat());
    file.extend(2u64.to_le_bytes());
    file.extend([text("a"), text("bc")].concat());
    let (mut data, mut infos) = (Vec::new(), Vec::new());
    for Packed(name, sizes, kind, bytes) in tensors {
        data.resize(usize::next_multiple_of(data.len(), 64), 0);
        infos.extend(text(name));
        infos.extend((sizes.len() as u32).to_le_bytes());
        infos.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
        infos.extend(kind.to_le_bytes());
        infos.extend((data.len() as u64).to_le_bytes());
        data.extend(bytes);
    }
    file.extend(infos);
    file.resize(usize::next_multiple_of(file.len(), 64), 0);
    file.extend(data);
    file
}
