//! The parts of a summary: shared kernels, mappings, layers.

use super::{LayerSummary, MappingSummary, SharedKernel};
use crate::analyse::Analysis;
#[cfg(feature = "memory")]
use crate::graph::memory;
use crate::ir::{Group, Layer, Network, Visit};

pub(super) fn groups(network: &Network) -> Vec<SharedKernel> {
    let mut kernels = Vec::new();
    for group in &network.groups {
        let tensors = group.tensors();
        let parameters = tensors
            .iter()
            .filter(|tensor| tensor.trainable)
            .map(|t| t.shape.iter().product::<u64>())
            .sum();
        let mut parts: Vec<&'static str> = group
            .parts
            .iter()
            .map(|part| match part {
                crate::ir::Part::Kernel => "kernel",
                crate::ir::Part::Bias => "bias",
                crate::ir::Part::Norm => "norm",
            })
            .collect();
        parts.dedup();
        let mut visits = vec![Vec::new(); group.kernels as usize];
        for (layer, kernel) in group.visits.iter().zip(&group.assignment) {
            visits[*kernel as usize].push(network.layers[*layer].path.to_string());
        }
        for (kernel, visits) in (0..group.kernels).zip(visits) {
            kernels.push(SharedKernel {
                name: group.kernel_name(kernel),
                parts: parts.clone(),
                shape: tensors.first().map(|tensor| tensor.shape.clone()).unwrap_or_default(),
                parameters,
                visits,
            });
        }
    }
    kernels
}

pub(super) fn mappings(network: &Network) -> Vec<MappingSummary> {
    let of = |group: &Group| {
        group.mapping.as_ref().map(|mapping| MappingSummary {
            group: group.name.clone(),
            mapping: mapping.words.clone(),
            kernels: mapping.kernels.clone(),
        })
    };
    network.groups.iter().filter_map(of).collect()
}

#[cfg_attr(not(feature = "memory"), allow(unused_variables))]
pub(super) fn layers(network: &Network, analysis: &Analysis, batch: u64) -> Vec<LayerSummary> {
    let name = |visit: Visit| network.groups[visit.group].kernel_name(visit.kernel);
    #[cfg(feature = "memory")]
    let fused = memory::fused(network, batch);
    network
        .layers
        .iter()
        .zip(&analysis.layers)
        .enumerate()
        .map(|(id, (layer, cost))| LayerSummary {
            path: layer.path.to_string(),
            op: layer.op.word(),
            details: details(layer),
            input: layer.input.sizes(),
            output: layer.output.sizes(),
            kernel: layer.op.kernel_shape(),
            group: layer.kernel.map(name),
            bias_group: layer.bias.filter(|bias| Some(*bias) != layer.kernel).map(name),
            stored: cost.stored,
            unshared: cost.used,
            macs: cost.macs,
            #[cfg(feature = "memory")]
            algorithm: memory::algorithm(network, layer, batch),
            #[cfg(feature = "memory")]
            fused: fused[id],
        })
        .collect()
}

fn details(layer: &Layer) -> String {
    let mut words = traits(layer);
    words.extend(layer.iterations.map(|most| format!("up to {most} times")));
    words.join(", ")
}

/// What distinguishes a layer from others of its kind, wherever it stands.
pub(crate) fn traits(layer: &Layer) -> Vec<String> {
    let mut words = layer.op.details();
    words.extend(layer.combined.map(|kernels| format!("combines {kernels} kernels")));
    words.extend(layer.view.transposed.then(|| "transposed kernel".to_owned()));
    words.extend(layer.view.slice.then(|| "slice of the kernel".to_owned()));
    words.extend(layer.rank.map(|rank| format!("private low_rank({rank})")));
    words.extend(layer.scaled.then(|| "private scale".to_owned()));
    words
}
