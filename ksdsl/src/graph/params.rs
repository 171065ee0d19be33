//! The parameters of a network by their places in its checkpoints.

use crate::checkpoint;
use crate::ir::{GroupId, Layer, Network, Part, PrivateTensors};
use crate::ops::conv::Conv;
use std::collections::{BTreeMap, HashMap};

/// A tensor of a network's checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its key: `s1.0.conv1.weight`, or `shared.s1_conv.weight`.
    pub key: String,
    /// Its sizes, as in PyTorch.
    pub shape: Vec<u64>,
    /// The product of the sizes.
    pub len: usize,
}

/// A tensor of a layer's operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    pub(super) name: &'static str,
    pub(super) part: Part,
    pub(super) place: usize,
}

/// What a pass asks of a layer again and again.
#[derive(Debug)]
pub(super) struct OfLayer {
    /// The tensors of its operation.
    pub(super) tensors: Vec<Named>,
    /// Whether it is a convolution or a linear layer.
    pub(super) is_weighted: bool,
    /// The places of its private tensors.
    pub(super) private: PrivateTensors<usize>,
}

/// A tensor of a kernel that layers share.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedTensor {
    pub(super) group: GroupId,
    pub(super) kernel: u32,
    pub(super) name: &'static str,
    pub(super) place: usize,
}

/// Parameters with what holds their values.
#[derive(Debug)]
pub(super) struct Params<B> {
    list: Vec<Parameter>,
    values: Vec<B>,
    by_key: HashMap<String, usize>,
    /// Of each layer, the places of its tensors: those of its operation, then its private ones.
    of_layers: Vec<Vec<usize>>,
    layers: Vec<OfLayer>,
    shared: Vec<SharedTensor>,
}

impl<B> Params<B> {
    /// The parameters of a network, each with what `values` makes for it.
    pub(super) fn new<R>(network: &Network, values: impl FnMut(&Parameter) -> Result<B, R>) -> Result<Self, R> {
        let (entries, of_layers) = checkpoint::entries_and_places(network);
        let list: Vec<Parameter> = entries
            .into_iter()
            .map(|entry| Parameter {
                len: entry.shape.iter().copied().map(super::walk::size).product(),
                key: entry.key,
                shape: entry.shape,
            })
            .collect();
        let values = list.iter().map(values).collect::<Result<_, R>>()?;
        let keys = list.iter().map(|parameter| parameter.key.clone());
        let of_layer = |(layer, places): (&Layer, &Vec<usize>)| {
            let tensors = named(layer, places);
            let mut next = tensors.len();
            let private = layer.private_tensors().map(|_| {
                next += 1;
                places[next - 1]
            });
            OfLayer {
                tensors,
                is_weighted: layer.op.kernel_matrix().is_some() || layer.op.downcast::<Conv>().is_some(),
                private,
            }
        };
        let layers: Vec<OfLayer> = network.layers.iter().zip(&of_layers).map(of_layer).collect();
        Ok(Self {
            shared: shared(network, &layers),
            by_key: keys.zip(0..).collect(),
            list,
            values,
            of_layers,
            layers,
        })
    }

    pub(super) fn list(&self) -> &[Parameter] {
        &self.list
    }

    pub(super) fn place(&self, key: &str) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    /// What is known of a layer.
    pub(super) fn layer(&self, layer: usize) -> &OfLayer {
        &self.layers[layer]
    }

    pub(super) fn of_layer(&self, layer: usize) -> &[usize] {
        &self.of_layers[layer]
    }

    /// The tensors of all shared kernels.
    pub(super) fn shared(&self) -> &[SharedTensor] {
        &self.shared
    }

    pub(super) fn get(&self, place: usize) -> &B {
        &self.values[place]
    }

    #[cfg(feature = "train")]
    pub(super) fn get_mut(&mut self, place: usize) -> &mut B {
        &mut self.values[place]
    }

    pub(super) fn set(&mut self, place: usize, values: B) {
        self.values[place] = values;
    }
}

fn named(layer: &Layer, places: &[usize]) -> Vec<Named> {
    let named = |(tensor, place): (crate::ir::Tensor, &usize)| Named {
        name: tensor.name,
        part: tensor.part,
        place: *place,
    };
    layer.op.tensors().into_iter().zip(places).map(named).collect()
}

/// The tensors of the shared kernels, at the places that their first visitors have them.
fn shared(network: &Network, layers: &[OfLayer]) -> Vec<SharedTensor> {
    let mut all = Vec::new();
    for (id, group) in network.groups.iter().enumerate() {
        if group.op.module().is_some() {
            continue;
        }
        let mut visitors = BTreeMap::new();
        for (layer, kernel) in group.visits.iter().zip(&group.assignment) {
            visitors.entry(*kernel).or_insert(*layer);
        }
        for tensor in group.tensors() {
            for (&kernel, &layer) in &visitors {
                let named = layers[layer].tensors.iter().find(|named| named.name == tensor.name);
                all.extend(named.map(|&Named { name, place, .. }| SharedTensor {
                    group: id,
                    kernel,
                    name,
                    place,
                }));
            }
        }
    }
    all
}
