//! Counts of a network: parameters and multiply-adds.

use crate::ir::{GroupId, Layer, Network, Tensor};
use std::collections::HashSet;

/// The counts of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analysis {
    /// Trainable parameters; a shared parameter counts once.
    pub trainable: u64,
    /// Trainable parameters without sharing: as many for each iteration of loops that run as often as they can.
    pub unshared: u64,
    /// Values that training changes without gradients: the running statistics of batch norms.
    pub buffers: u64,
    /// Multiply-adds of convolutions, linear layers and attention per image; a shared kernel
    /// counts at each visit. With them those of additions of low rank to kernels and of combinations of
    /// kernels, which a pass makes once.
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
                    .into_list()
                    .map(|own| own.shape.iter().product::<u64>())
                    .sum(),
                ..LayerCost::default()
            };
            let iterations = layer.iterations.unwrap_or(1);
            for tensor in layer.op.tensors() {
                let size = elements(&tensor);
                let stored = match shared(layer, &tensor) {
                    Some(_) => elements(&network.stored(layer, tensor.clone())),
                    None => size,
                };
                let first = shared(layer, &tensor).is_none_or(|key| seen.insert((key, tensor.name)));
                match (tensor.trainable, first) {
                    (true, first) => {
                        cost.used += size.saturating_mul(iterations);
                        cost.stored += if first { stored } else { 0 };
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

fn elements(tensor: &Tensor) -> u64 {
    tensor.shape.iter().product()
}

/// The kernel of a group that holds this tensor of a layer.
fn shared(layer: &Layer, tensor: &Tensor) -> Option<(GroupId, u32)> {
    layer.visit(tensor.part).map(|visit| (visit.group, visit.kernel))
}
