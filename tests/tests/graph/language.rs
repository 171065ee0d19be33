//! The language models of the examples: generated code against the graph executor, bit for bit, in inference, where sequences
//! stop at their exits, and in training. `ksdsl/tests/known` compares the graph executor with PyTorch.

use crate::compiled::{SEED, trained, weights};
use crate::{graph, same_bits};
use ksdsl_runtime::dfdx::tensor::RandomU64;
use ksdsl_runtime::network::Network;
use ksdsl_runtime::prelude::*;
use ksdsl_tests::tensors::{self, Values};

macro_rules! files {
    ($($file:ident $name:literal)+) => {$(
        #[allow(missing_docs, dead_code)]
        mod $file {
            ksdsl_runtime::include_generated!($name);
        }
    )+};
}

files! {
    huginn "huginn"
    mobilellm "mobilellm"
    ouro "ouro"
    relaxed_recursive "relaxed_recursive"
    subformer "subformer"
    trm "trm"
}

/// Sequences of a batch.
const BATCH: usize = 3;

/// Token ids.
fn ids(tokens: usize, vocabulary: usize, seed: usize) -> Vec<f32> {
    let id = |at: usize| (at * at + 7 * at + seed) % vocabulary;
    (0..BATCH * tokens).map(|at| id(at) as f32).collect()
}

/// What a training pass of a model gives.
type Step = (Vec<Vec<f32>>, Values<f32>);

fn agree(
    (name, specification): (&str, &str),
    values: &Values<f32>,
    inputs: &[&[f32]],
    inferred: &[Vec<f32>],
    step: &Step,
) {
    let mut graph = graph(name, specification, values);
    let outputs = graph.infer_all(inputs).unwrap();
    assert_eq!(outputs.len(), inferred.len(), "{name}");
    for (ours, theirs) in outputs.iter().zip(inferred) {
        same_bits(name, ours, theirs);
    }
    let loss = |outputs: &[Vec<f32>]| outputs.iter().map(|output| weights(output.len())).collect();
    let device = Cpu::seed_from_u64(SEED);
    let ours = graph.train_step(inputs, || device.random_u64(), loss).unwrap();
    let (outputs, gradients) = step;
    for (ours, theirs) in ours.outputs.iter().zip(outputs) {
        same_bits(name, ours, theirs);
    }
    assert!(ours.gradients.keys().eq(gradients.keys()), "{name}");
    for (key, gradient) in gradients {
        same_bits(&format!("{name}: {key}"), &ours.gradients[key], gradient);
    }
}

/// A model of one input with the values of a trained one.
macro_rules! model {
    ($net:path) => {{
        use $net as net;
        let mut model = Cpu::seed_from_u64(3).build_module::<net::Builder, f32>();
        tensors::change(&mut model, trained);
        model
    }};
}

/// The sum of an output with the weights that are its gradient.
macro_rules! weighted {
    ($output:expr) => {{
        let output = $output;
        let weights = Cpu::default().tensor_from_vec(weights(output.as_vec().len()), *output.shape());
        (output * weights).sum::<Rank0, _>()
    }};
}

macro_rules! of_one_output {
    ($($test:ident: $file:ident, $tokens:literal of $vocabulary:literal;)+) => {$(
        #[test]
        fn $test() {
            let mut model = model!($file::$file);
            let values = tensors::values(&model);
            let ids = ids($tokens, $vocabulary, 1);
            let x = Cpu::seed_from_u64(SEED).tensor_from_vec(ids.clone(), (BATCH, Const::<$tokens>));
            let inferred = [model.forward(x.clone()).as_vec()];
            let y = model.forward_mut(x.leaky_trace());
            let outputs = vec![y.as_vec()];
            let gradients = weighted!(y).backward();
            let step = (outputs, tensors::gradients(&model, &gradients));
            let network = (stringify!($file), <$file::$file::Builder as Network>::SPECIFICATION);
            agree(network, &values, &[&ids], &inferred, &step);
        }
    )+};
}

of_one_output! {
    mobilellm_agrees: mobilellm, 64 of 256;
    a_relaxed_recursive_transformer_agrees: relaxed_recursive, 64 of 256;
    huginn_agrees: huginn, 64 of 256;
}

macro_rules! of_two_outputs {
    ($($test:ident: $file:ident, $tokens:literal of $vocabulary:literal, $first:ident $second:ident;)+) => {$(
        #[test]
        fn $test() {
            let mut model = model!($file::$file);
            let values = tensors::values(&model);
            let ids = ids($tokens, $vocabulary, 1);
            let x = Cpu::default().tensor_from_vec(ids.clone(), (BATCH, Const::<$tokens>));
            let y = model.forward(x.clone());
            let inferred = [y.$first.as_vec(), y.$second.as_vec()];
            let y = model.forward_mut(x.leaky_trace());
            let outputs = vec![y.$first.as_vec(), y.$second.as_vec()];
            let sum = weighted!(y.$first) + weighted!(y.$second);
            let step = (outputs, tensors::gradients(&model, &sum.backward()));
            let network = (stringify!($file), <$file::$file::Builder as Network>::SPECIFICATION);
            agree(network, &values, &[&ids], &inferred, &step);
        }
    )+};
}

of_two_outputs! {
    ouro_agrees: ouro, 64 of 256, logits gates;
    a_tiny_recursive_model_agrees: trm, 16 of 5, digits halted;
}

#[test]
fn subformer_agrees() {
    let mut model = model!(subformer::subformer);
    let values = tensors::values(&model);
    let [source, target] = [1, 5].map(|seed| ids(32, 256, seed));
    let tensor = |ids: &Vec<f32>| Cpu::default().tensor_from_vec(ids.clone(), (BATCH, Const::<32>));
    let input = subformer::subformer::Input {
        source: tensor(&source),
        target: tensor(&target),
    };
    let inferred = [model.forward(input.clone()).as_vec()];
    let y = model.forward_mut(input.traced(Gradients::leaky()));
    let outputs = vec![y.as_vec()];
    let gradients = weighted!(y).backward();
    let step = (outputs, tensors::gradients(&model, &gradients));
    let network = ("subformer", <subformer::subformer::Builder as Network>::SPECIFICATION);
    agree(network, &values, &[&source, &target], &inferred, &step);
}
