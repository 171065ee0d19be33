//! The graph executor against generated models: the same bits, in inference, prepared inference, inference in slices and
//! training.
//!
//! The networks are those of the examples and of `nets/`, the latter made to hold every operation and every way of
//! sharing. `every_operation_is_among_them` reads from the compiler that they do.

mod compiled;
mod language;
mod lengths;
mod nets;
mod ports;
mod tokens;

use compiled::{Compiled, images, weights};
use ksdsl::compile::{Options, compile};
use ksdsl::graph::{Error, Graph};
use ksdsl::ir;
use ksdsl::ops::{LayerDef, Resolve, layers};
use ksdsl::source::Source;
use ksdsl_cpu::{CpuExec, CpuReal, with_unit_bytes};
use ksdsl_engine::Exec;
use ksdsl_runtime::Scalar;
use ksdsl_tests::tensors::Values;

/// The network of a specification.
fn network(name: &str, specification: &str) -> ir::Network {
    let options = Options {
        net: Some(name.to_owned()),
        ..Options::default()
    };
    let mut compilation = compile(&Source::new("net.ksn", specification), &options);
    assert!(!compilation.has_errors(), "{:?}", compilation.diagnostics);
    compilation.networks.pop().unwrap()
}

/// A graph with these values.
fn graph<E: CpuReal>(name: &str, specification: &str, values: &Values<E>) -> Graph<E, CpuExec>
where
    CpuExec: Exec<E>,
{
    let network = network(name, specification);
    Graph::new(network, CpuExec, |parameter| values.get(&parameter.key).cloned())
        .unwrap_or_else(|_| panic!("{name}: the model's tensors are the graph's"))
}

/// The bits of values.
fn bits<E: Scalar>(values: &[E]) -> Vec<u64> {
    values.iter().map(|value| value.wide().to_bits()).collect()
}

fn same_bits<E: Scalar>(what: &str, ours: &[E], theirs: &[E]) {
    assert!(!theirs.is_empty(), "{what}: nothing to compare");
    assert!(bits(ours) == bits(theirs), "{what} differs");
}

fn agrees<E: Scalar + CpuReal, M: Compiled<E>>()
where
    CpuExec: Exec<E>,
{
    let mut model = M::build();
    let mut graph = graph(M::name(), M::specification(), &model.values());
    assert_eq!(graph.parameters().len(), model.values().len(), "{}", M::name());
    let x = images::<E>(3 * M::IMAGE);
    let output = model.infer(&x);
    same_bits(M::name(), &graph.infer(&x).unwrap(), &output);
    let prepared = graph.prepare();
    for call in 0..2 {
        same_bits(
            &format!("{}, call {call}", M::name()),
            &prepared.infer(&x).unwrap(),
            &output,
        );
    }
    // Units of one image.
    with_unit_bytes(1, || {
        let ours = graph.infer(&x).unwrap();
        same_bits(&format!("{} in slices", M::name()), &ours, &model.infer(&x));
        same_bits(
            &format!("{}, prepared in slices", M::name()),
            &graph.prepare().infer(&x).unwrap(),
            &ours,
        );
    });
    // The second step starts from other running statistics.
    for step in 0..2 {
        train(&mut graph, &mut model, &x, &format!("{}, step {step}", M::name()));
    }
}

fn train<E: Scalar + CpuReal, M: Compiled<E>>(graph: &mut Graph<E, CpuExec>, model: &mut M, x: &[E], what: &str)
where
    CpuExec: Exec<E>,
{
    let theirs = model.train(x);
    let loss = |outputs: &[Vec<E>]| vec![weights(outputs[0].len())];
    let ours = graph.train_step(&[x], M::seeds(), loss).unwrap();
    same_bits(&format!("{what}: output"), &ours.outputs[0], &theirs.output);
    same_bits(
        &format!("{what}: gradient of the input"),
        &ours.inputs[0],
        &theirs.input,
    );
    let keys = |values: &Values<E>| values.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&ours.gradients), keys(&theirs.gradients), "{what}");
    for (key, gradient) in &theirs.gradients {
        same_bits(&format!("{what}: gradient of {key}"), &ours.gradients[key], gradient);
    }
    for (key, values) in model.values() {
        same_bits(
            &format!("{what}: {key}"),
            &graph.values(&key).unwrap().unwrap(),
            &values,
        );
    }
}

/// The names of the operations of a network that join branches.
fn joins(nodes: &[ir::Node]) -> Vec<String> {
    let of_node = |node: &ir::Node| match node {
        ir::Node::Layer(_) | ir::Node::Keep(_) | ir::Node::Set(_) | ir::Node::From(_) => Vec::new(),
        ir::Node::Scope(scope) | ir::Node::Loop(ir::Loop { scope, .. }) => joins(&scope.nodes),
        ir::Node::Join(join) => {
            let arms = join.arms.iter().flat_map(|arm| joins(&arm.nodes));
            arms.chain([join.op.call().name.to_owned()]).collect()
        }
    };
    nodes.iter().flat_map(of_node).collect()
}

/// The words of the operations of a network and how its layers share.
fn words(network: &ir::Network) -> Vec<String> {
    let layers = network.layers.iter();
    let ops = layers.clone().map(|layer| layer.op.word().to_owned());
    let private = layers.flat_map(|layer| layer.private_tensors().into_list().map(|tensor| tensor.name.to_owned()));
    let views = network.layers.iter().flat_map(|layer| {
        let ir::View { transposed, slice } = layer.view;
        [(transposed, "transposed kernel"), (slice, "sliced kernel")]
    });
    let views = views.filter(|(is_there, _)| *is_there).map(|(_, word)| word.to_owned());
    let groups = network.groups.iter();
    let shared = groups
        .clone()
        .flat_map(|group| group.parts.iter().map(|part| format!("shared {part:?}")));
    let banks = groups.filter(|group| group.kernels > 1);
    let banks = banks.flat_map(|group| group.parts.iter().map(|part| format!("several {part:?}")));
    let joins = joins(&network.nodes).into_iter();
    ops.chain(private)
        .chain(views)
        .chain(shared)
        .chain(banks)
        .chain(joins)
        .collect()
}

/// What the language has: an operation that is added there must be added to a network here.
#[test]
fn every_operation_is_among_them() {
    let all: Vec<String> = nets::networks().iter().flat_map(words).collect();
    // Blocks are made of others, the identity is nothing, token ids and places are in `tokens.rs` and `lengths.rs`, and the others are operations
    // that have names of their own as well.
    let elsewhere = [
        "identity",
        "embedding",
        "gather",
        "patch_embedding",
        "instance_norm",
        "subsample",
    ];
    let is_operation =
        |layer: &&LayerDef| !matches!(layer.resolve, Resolve::Block(_)) && !elsewhere.contains(&layer.name);
    let operations = layers().filter(is_operation).map(|layer| layer.name);
    let others = [
        "attend",
        "low_rank_a",
        "scale",
        "coefficients",
        "transposed kernel",
        "sliced kernel",
        "shared Kernel",
        "shared Bias",
        "shared Norm",
    ];
    let several = ["several Kernel", "several Bias", "several Norm"];
    let missing: Vec<&str> = operations
        .chain(others)
        .chain(several)
        .filter(|word| !all.iter().any(|found| found == word))
        .collect();
    assert!(missing.is_empty(), "no network has {missing:?}");
}

#[test]
fn what_does_not_fit_is_said() {
    let text = "net n { input 4; linear(3) }";
    let graph = |len: usize| {
        let values =
            |parameter: &ksdsl::graph::Parameter| (parameter.key == "linear.weight").then(|| vec![0.5_f32; len]);
        Graph::new(network("n", text), CpuExec, values)
    };
    assert_eq!(
        graph(11).unwrap_err().to_string(),
        "`linear.weight` has 11 values instead of 12"
    );
    assert_eq!(
        graph(12).unwrap_err().to_string(),
        "no values for the parameter `linear.bias`"
    );
    let mut graph = Graph::new(network("n", text), CpuExec, |parameter| {
        Some(vec![0.5_f32; parameter.len])
    })
    .unwrap();
    let error = graph.infer(&[0.0; 6]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "an input of 6 values, which is no whole number of images of 4"
    );
    // Two images of (1 + 1 + 1 + 1) / 2 + 1 / 2.
    assert_eq!(graph.infer(&[1.0; 8]).unwrap(), [2.5; 6]);
    assert!(graph.infer(&[]).unwrap().is_empty());
    let error = graph.train_step(&[&[1.0; 4]], || 0, |_| vec![vec![1.0]]).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Length {
                expected: 3,
                found: 1,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(graph.values("linear.wait").unwrap(), None);
}
