//! What a network's checkpoints hold: the tensors by their keys, each shared one once.

use crate::ir::{Layer, Network, Part, Tensor, View};
use std::collections::HashMap;

/// A tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key: `s1.0.conv1.weight`, or `shared.s1_conv.weight`.
    pub key: String,
    /// Its sizes.
    pub shape: Vec<u64>,
    /// The keys that a shared tensor would have in each layer if that had its own; empty for one
    /// that a layer has for itself.
    pub visits: Vec<String>,
    /// Of a tensor that a layer has of its own for a shared kernel (`s1.0.conv1.scale`), the key that the
    /// kernel would have if the layer had it for itself: `s1.0.conv1.weight`.
    pub kernel: Option<String>,
    /// Of a shared tensor, the kernels that layers make of it.
    pub made: Vec<Made>,
}

/// A kernel that a layer makes of a shared tensor: of a bank its combination, of this the first rows and columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The key that it would have if the layer had it for itself.
    pub kernel: String,
    /// Its sizes.
    pub shape: Vec<u64>,
    /// The sizes of one stored kernel.
    pub stored: Vec<u64>,
    /// Whether its rows are columns of the stored kernel.
    pub transposed: bool,
}

/// The tensors of a network's checkpoints, in the order of the forward pass.
pub fn entries(network: &Network) -> Vec<Entry> {
    entries_and_places(network).0
}

/// The tensors of a network's checkpoints, and of each layer the places of its tensors among them: those of its
/// operation, then its private ones.
pub fn entries_and_places(network: &Network) -> (Vec<Entry>, Vec<Vec<usize>>) {
    let mut entries: Vec<Entry> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut of_layers = Vec::new();
    for layer in &network.layers {
        let mut places = Vec::new();
        for tensor in layer.op.tensors() {
            let own = format!("{}.{}", layer.path.key(), tensor.name);
            let Some(visit) = layer.visit(tensor.part) else {
                places.push(entries.len());
                entries.push(Entry {
                    key: own,
                    shape: tensor.shape,
                    visits: Vec::new(),
                    kernel: None,
                    made: Vec::new(),
                });
                continue;
            };
            let kernel = network.groups[visit.group].kernel_name(visit.kernel);
            let key = format!("shared.{kernel}.{}", tensor.name);
            let at = *known.entry(key.clone()).or_insert(entries.len());
            places.push(at);
            let made = made(network, layer, &tensor, &own);
            match entries.get_mut(at) {
                Some(entry) => {
                    entry.visits.push(own);
                    entry.made.extend(made);
                }
                None => entries.push(Entry {
                    key,
                    shape: network.stored(layer, tensor).shape,
                    visits: vec![own],
                    kernel: None,
                    made: made.into_iter().collect(),
                }),
            }
        }
        let first_private = entries.len();
        entries.extend(layer.private_tensors().into_list().map(|tensor| Entry {
            key: format!("{}.{}", layer.path.key(), tensor.name),
            shape: tensor.shape,
            visits: Vec::new(),
            kernel: Some(format!("{}.weight", layer.path.key())),
            made: Vec::new(),
        }));
        places.extend(first_private..entries.len());
        of_layers.push(places);
    }
    (entries, of_layers)
}

/// What a layer makes of a shared tensor; none if it uses it as it is.
fn made(network: &Network, layer: &Layer, tensor: &Tensor, key: &str) -> Option<Made> {
    let is_whole = layer.view == View::default() && layer.combined.is_none();
    let group = layer.kernel.filter(|_| tensor.part == Part::Kernel && !is_whole)?.group;
    Some(Made {
        kernel: key.to_owned(),
        shape: tensor.shape.clone(),
        stored: network.groups[group].op.kernel_shape()?,
        transposed: layer.view.transposed,
    })
}
