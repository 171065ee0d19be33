//! Loops: generated models against the graph executor, unrolled networks, finite differences and PyTorch.

mod exits;
mod gradients;
mod pytorch;
mod random;
mod run;
mod surface;

use ksdsl::compile::{Options, compile};
use ksdsl::graph::Graph;
use ksdsl::ir;
use ksdsl::source::Source;
use ksdsl_cpu::CpuExec;
use ksdsl_tests::tensors::Values;

#[allow(missing_docs)]
mod nets {
    ksdsl_runtime::include_generated!("loops");
}

/// The file of the networks.
const TEXT: &str = include_str!("../../nets/loops.ksn");

/// A network of the file.
fn network(name: &str) -> ir::Network {
    let options = Options {
        net: Some(name.to_owned()),
        ..Options::default()
    };
    let mut compilation = compile(&Source::new("loops.ksn", TEXT), &options);
    assert!(!compilation.has_errors(), "{:?}", compilation.diagnostics);
    compilation.networks.pop().unwrap()
}

/// A network on the graph executor, with these values.
fn graph(name: &str, values: impl Fn(&str) -> Option<Vec<f64>>) -> Graph<f64, CpuExec> {
    Graph::new(network(name), CpuExec, |parameter| values(&parameter.key)).unwrap()
}

/// The same with the values of a model.
fn graph_of(name: &str, of: &Values<f64>) -> Graph<f64, CpuExec> {
    graph(name, |key| of.get(key).cloned())
}

/// Values between -1 and 1.
fn noise(seed: f64, len: usize) -> Vec<f64> {
    (0..len)
        .map(|i| ((i as f64 + seed) * (i as f64 * 0.7 + seed)).sin())
        .collect()
}

/// The weights of an output in the loss, `torch.linspace(-1, 1, len)`.
fn line(len: usize) -> Vec<f64> {
    (0..len)
        .map(|at| 2.0 * at as f64 / (len.max(2) - 1) as f64 - 1.0)
        .collect()
}

/// The gradients of the outputs: the loss is their sum with these weights.
fn weights(outputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    outputs.iter().map(|output| line(output.len())).collect()
}

fn loss(outputs: &[Vec<f64>]) -> f64 {
    let pairs = outputs.iter().flatten().zip(weights(outputs).into_iter().flatten());
    pairs.map(|(value, weight)| value * weight).sum()
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn same_bits(what: &str, ours: &[f64], theirs: &[f64]) {
    assert!(!theirs.is_empty(), "{what}: nothing to compare");
    assert!(bits(ours) == bits(theirs), "{what}: {ours:?} {theirs:?}");
}

fn close(what: &str, ours: &[f64], theirs: &[f64], within: f64) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() <= within, "{what}: {ours} {theirs}");
    }
}
