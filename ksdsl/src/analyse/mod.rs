//! Analyses of a network: parameters, multiply-adds, memory.

mod attention;
mod buffer;
mod depthwise;
mod joins;
mod kernel;
mod layers;
mod memory;
mod param;
mod pending;
mod weight;

pub use memory::{Peaks, peaks};

use crate::ir::{GroupId, Layer, Network, Tensor};
use crate::ops::conv::Conv;
use std::collections::HashSet;

/// The counts of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analysis {
    /// Trainable parameters; a shared parameter counts once.
    pub trainable: u64,
    /// Trainable parameters without sharing.
    pub unshared: u64,
    /// Values that training changes without gradients: the running statistics of batch norms.
    pub buffers: u64,
    /// Multiply-adds of convolutions, linear layers and attention per image; a shared kernel
    /// counts at each visit. With them those of additions of low rank to kernels, which a pass makes once.
    pub macs: u64,
    /// The counts of each layer, in forward order.
    pub layers: Vec<LayerCost>,
}

/// The counts of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerCost {
    /// Trainable parameters stored for it: those of a shared kernel at its first visit only.
    pub stored: u64,
    /// Trainable parameters it uses.
    pub used: u64,
    /// Multiply-adds per image.
    pub macs: u64,
}

/// The algorithm that the runtime's rule takes for a convolution of `batch` images on a CPU with
/// AVX-512, in `f32` and in the forward pass. `None` for other layers.
pub fn algorithm(layer: &Layer, batch: u64) -> Option<&'static str> {
    layer.op.downcast::<Conv>()?;
    kernel::Convolution::of(layer, wide(batch), None).map(|conv| conv.taken())
}

/// Analyses a network.
pub fn analyse(network: &Network) -> Analysis {
    let mut seen = HashSet::new();
    let mut buffers = 0;
    let layers: Vec<LayerCost> = network
        .layers
        .iter()
        .map(|layer| {
            let mut cost = LayerCost {
                // Fits, by `limits::MULTIPLY_ADDS`.
                macs: layer.macs() as u64,
                // Without sharing there would be none.
                stored: layer
                    .private_tensors()
                    .iter()
                    .map(|own| own.shape.iter().product::<u64>())
                    .sum(),
                ..LayerCost::default()
            };
            for tensor in layer.op.tensors() {
                let size = elements(&tensor);
                let first = shared(layer, &tensor).is_none_or(|key| seen.insert((key, tensor.name)));
                match (tensor.trainable, first) {
                    (true, first) => {
                        cost.used += size;
                        cost.stored += if first { size } else { 0 };
                    }
                    (false, true) => buffers += size,
                    (false, false) => {}
                }
            }
            cost
        })
        .collect();
    let total = |value: fn(&LayerCost) -> u64| layers.iter().map(value).sum();
    Analysis {
        trainable: total(|cost| cost.stored),
        unshared: total(|cost| cost.used),
        buffers,
        macs: total(|cost| cost.macs),
        layers,
    }
}

/// A size as memory is counted in: a product of batch, threads and sizes within the limits is below 2^128.
fn wide(size: u64) -> u128 {
    size.into()
}

fn elements(tensor: &Tensor) -> u64 {
    tensor.shape.iter().product()
}

/// The kernel of a group that holds this tensor of a layer.
fn shared(layer: &Layer, tensor: &Tensor) -> Option<(GroupId, u32)> {
    layer.visit(tensor.part).map(|visit| (visit.group, visit.kernel))
}
