//! Values as checkpoints hold them.

use ksdsl_checkpoint::{Kind, Tensor as Stored};
use ksdsl_engine::update::Slot;
use std::borrow::Cow;

/// The values of a tensor, or a state of its shape, under a key.
pub fn stored(key: String, slot: &Slot, values: &[f32]) -> Stored<'static> {
    Stored {
        key,
        kind: Kind::F32,
        shape: slot.shape.iter().map(|&size| size as u64).collect(),
        data: Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
    }
}

/// The values that bytes hold.
pub fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|value| f32::from_le_bytes(*value))
        .collect()
}
