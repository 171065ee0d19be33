//! Which tensor of a shared network stands for which of the same network without sharing: from the
//! compiler's summary, whose groups list their visits as layer paths.

use crate::tensors::Values;
use ksdsl::spec::Spec;
use ksdsl::summary::{SharedKernel, Summary};
use std::collections::BTreeMap;
use std::path::Path;

/// The summary of a network of `tests/nets/{file}.ksn`.
pub(crate) fn summary(file: &str, network: &str) -> Summary {
    let nets = Path::new(env!("CARGO_MANIFEST_DIR")).join("nets");
    let spec = Spec::read(nets.join(file).with_extension("ksn")).unwrap();
    spec.network(network).summary().unwrap()
}

/// `s1.0.conv` of `s1[0].conv`.
pub(crate) fn key(path: &str) -> String {
    path.replace('[', ".")
        .replace(']', "")
        .trim_start_matches('.')
        .to_owned()
}

/// The key of the tensor that stands for `key` of the unshared network.
pub(crate) fn owner(summary: &Summary, key: &str) -> String {
    let (layer, tensor) = key.rsplit_once('.').unwrap();
    let serves = |group: &&SharedKernel| {
        let part = group.parts.iter().any(|part| match *part {
            "kernel" => tensor == "weight" || tensor == "gain",
            part => part == "norm" || part == tensor,
        });
        part && group.visits.iter().any(|path| self::key(path) == layer)
    };
    match summary.groups.iter().find(serves) {
        Some(group) => format!("shared.{}.{tensor}", group.name),
        None => key.to_owned(),
    }
}

/// For each tensor of the shared network the tensors it stands for.
pub(crate) fn visits<'k>(
    summary: &Summary,
    unshared: impl Iterator<Item = &'k String>,
) -> BTreeMap<String, Vec<String>> {
    let mut visits = BTreeMap::<String, Vec<String>>::new();
    for key in unshared {
        visits.entry(owner(summary, key)).or_default().push(key.clone());
    }
    visits
}

/// The values of the shared network as those of the unshared one.
pub(crate) fn unrolled<E: Clone>(summary: &Summary, shared: &Values<E>, unshared: &Values<E>) -> Values<E> {
    let keys = unshared.keys();
    keys.map(|key| (key.clone(), shared[&owner(summary, key)].clone()))
        .collect()
}
