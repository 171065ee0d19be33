//! The parameters of a network by their places in its checkpoints.

use crate::checkpoint;
use crate::ir::{Layer, LayerId, Network, Part, PrivateTensors};
use crate::ops::conv::Conv;
use std::collections::HashMap;

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
        let of_layer = |(layer, places): (&Layer, &Vec<usize>)| OfLayer {
            tensors: named(layer, places),
            is_weighted: layer.op.kernel_matrix().is_some() || layer.op.downcast::<Conv>().is_some(),
        };
        let layers = network.layers.iter().zip(&of_layers).map(of_layer).collect();
        Ok(Self {
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

    /// The places of a layer's private tensors.
    pub(super) fn private(&self, network: &Network, layer: LayerId) -> PrivateTensors<usize> {
        let mut next = self.layers[layer].tensors.len();
        network.layers[layer].private_tensors().map(|_| {
            next += 1;
            self.of_layers[layer][next - 1]
        })
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
