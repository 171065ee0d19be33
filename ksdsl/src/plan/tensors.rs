//! The tensors of a model in the order of its fields: that in which generated code makes, updates and saves them.

use super::{Body, Field, Plan, TypeId, plan};
use crate::ir::{Init, Layer, Network, Tensor, View};
use crate::paths::keys_of_ranges;
use std::collections::HashMap;

/// A tensor of a model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    /// Its key in checkpoints.
    pub(crate) key: String,
    /// Its sizes.
    pub(crate) shape: Vec<u64>,
    /// Its initial value.
    pub(crate) init: Init,
    /// Whether it is trained; running statistics are not.
    pub(crate) trained: bool,
    /// Of a shared tensor, the keys that it would have in each layer, and whether these would be copies of it.
    pub(crate) shared: Option<(Vec<String>, bool)>,
}

impl Stored {
    fn new(key: String, tensor: Tensor) -> Self {
        Stored {
            key,
            shape: tensor.shape,
            init: tensor.init,
            trained: tensor.trainable,
            shared: None,
        }
    }
}

/// The tensors of a model: the shared ones, then those of its fields.
pub(crate) fn tensors(network: &Network) -> Vec<Stored> {
    let mut all = shared(network);
    let plan = plan(network);
    let layers = network.layers.iter().map(|layer| (layer.path.key(), layer));
    let fields = Fields {
        plan: &plan,
        layers: layers.collect(),
    };
    fields.of_body(&plan.root, "", &mut all);
    all
}

/// The tensors of all groups, kernel by kernel.
fn shared(network: &Network) -> Vec<Stored> {
    let mut all = Vec::new();
    for group in &network.groups {
        let mut layers = group.visits.iter().map(|layer| &network.layers[*layer]);
        let copies = group.bank.is_none() && layers.all(|layer| layer.view == View::default());
        for kernel in 0..group.kernels {
            let visits = group.visits.iter().zip(&group.assignment);
            let visits = visits.filter(|(_, of)| **of == kernel);
            let layers = keys_of_ranges(visits.map(|(layer, _)| &network.layers[*layer].path));
            let name = group.kernel_name(kernel);
            all.extend(group.tensors().into_iter().map(|tensor| {
                let visits = layers.iter().map(|layer| format!("{layer}.{}", tensor.name));
                Stored {
                    shared: Some((visits.collect(), copies)),
                    ..Stored::new(format!("shared.{name}.{}", tensor.name), tensor)
                }
            }));
        }
    }
    all
}

struct Fields<'p> {
    plan: &'p Plan<'p>,
    layers: HashMap<String, &'p Layer>,
}

impl Fields<'_> {
    fn of_body(&self, body: &Body, prefix: &str, all: &mut Vec<Stored>) {
        for field in &body.fields {
            match field {
                Field::Tensor { key, shape, init, .. } => all.push(Stored {
                    key: below(prefix, key),
                    shape: shape.clone(),
                    init: *init,
                    trained: true,
                    shared: None,
                }),
                Field::Norm { key, .. } => {
                    let key = below(prefix, key);
                    let tensors = self.layers.get(&key).map(|layer| layer.op.tensors());
                    let tensors = tensors.into_iter().flatten();
                    all.extend(tensors.map(|tensor| Stored::new(format!("{key}.{}", tensor.name), tensor)));
                }
                Field::Module { key, of } => self.of_type(*of, &below(prefix, key), all),
                Field::Repeat {
                    prefix: name,
                    first,
                    count,
                    of,
                } => {
                    for index in (u64::from(*first)..).take(*count) {
                        self.of_type(*of, &below(prefix, &format!("{name}{index}")), all);
                    }
                }
            }
        }
    }

    fn of_type(&self, of: TypeId, prefix: &str, all: &mut Vec<Stored>) {
        self.of_body(&self.plan.types[of].body, prefix, all);
    }
}

/// A key below another.
fn below(prefix: &str, key: &str) -> String {
    match prefix.is_empty() {
        true => key.to_owned(),
        false => format!("{prefix}.{key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::tensors;
    use crate::checkpoint::entries;
    use crate::compile::{Options, compile};
    use crate::spec::read_source;
    use std::path::Path;

    /// Every tensor of a checkpoint once, with its shape.
    #[test]
    fn they_are_those_of_checkpoints() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let folders = ["examples/nets", "tests/nets"].map(|folder| root.join(folder).read_dir().unwrap());
        let (mut networks, mut shared) = (0, 0);
        for file in folders.into_iter().flatten().map(|entry| entry.unwrap().path()) {
            if file.extension().is_none_or(|extension| extension != "ksn") {
                continue;
            }
            for network in compile(&read_source(&file).unwrap(), &Options::default()).networks {
                let planned = tensors(&network);
                shared += planned.iter().filter(|tensor| tensor.shared.is_some()).count();
                let mut ours: Vec<_> = planned.into_iter().map(|tensor| (tensor.key, tensor.shape)).collect();
                let stored = entries(&network).into_iter();
                let mut theirs: Vec<_> = stored.map(|entry| (entry.key, entry.shape)).collect();
                ours.sort();
                theirs.sort();
                assert_eq!(ours, theirs, "{} in {}", network.name, file.display());
                networks += 1;
            }
        }
        assert!(
            networks > 50 && shared > 50,
            "{networks} networks, {shared} shared tensors"
        );
    }
}
