//! What files mean, in cases that tell right from wrong: several copies of which one differs, visits too many
//! and too few, elements of every size, weights of every kind. Messages name the tensor and what is wrong.

mod copies;
mod files;
mod folding;
mod format;

use ksdsl_checkpoint::fuse::{Method, fuse, unroll};
use ksdsl_checkpoint::{Expected, File, Kind, Private, Problem, Shared, Tensor, resolve, to_bytes, write_file};
use std::borrow::Cow;

fn tensor(key: &str, kind: Kind, shape: &[u64], data: Vec<u8>) -> Tensor<'static> {
    Tensor {
        key: key.to_owned(),
        kind,
        shape: shape.to_vec(),
        data: Cow::Owned(data),
    }
}

fn singles(key: &str, shape: &[u64], values: &[f32]) -> Tensor<'static> {
    let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(key, Kind::F32, shape, data)
}

fn doubles(key: &str, shape: &[u64], values: &[f64]) -> Tensor<'static> {
    let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(key, Kind::F64, shape, data)
}

fn file(tensors: &[Tensor<'_>], sharing: &[Shared]) -> File {
    File::parse(to_bytes(tensors, sharing)).unwrap()
}

fn expected(key: &str, shape: &[u64], kind: Option<Kind>) -> Expected {
    Expected {
        key: key.to_owned(),
        shape: shape.to_vec(),
        kind,
    }
}

fn shared(key: &str, visits: &[&str]) -> Shared {
    Shared {
        key: key.to_owned(),
        visits: visits.iter().map(|visit| (*visit).to_owned()).collect(),
        copies: true,
    }
}
