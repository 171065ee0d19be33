//! Networks of several inputs and outputs: generated models against the graph executor, which runs them from the same
//! values, and gradients against finite differences.

use crate::compiled::{images, trained, weights};
use crate::{graph, same_bits};
use ksdsl::graph::Graph;
use ksdsl_cpu::CpuExec;
use ksdsl_runtime::network::Network;
use ksdsl_runtime::prelude::*;
use ksdsl_tests::tensors::{self, Values};

ksdsl_runtime::include_generated!("ports");

/// Images and vectors of a batch.
const BATCH: usize = 3;
/// Values of an image, and of a vector.
const SIZES: [usize; 2] = [2 * 6 * 5, 2];

type Model = ported_shared::Model<f64, Cpu>;
type Input<T = NoneTape> = ported_shared::Input<usize, f64, Cpu, T>;

/// The two images and the vectors.
fn inputs() -> [Vec<f64>; 3] {
    let all = images::<f64>(2 * BATCH * SIZES[0] + BATCH * SIZES[1]);
    let (left, rest) = all.split_at(BATCH * SIZES[0]);
    let (right, gate) = rest.split_at(BATCH * SIZES[0]);
    [left, right, gate].map(<[f64]>::to_vec)
}

fn batch() -> Input {
    let device = Cpu::default();
    let [left, right, gate] = inputs();
    let image = (BATCH, Const::<2>, Const::<6>, Const::<5>);
    Input {
        left: device.tensor_from_vec(left, image),
        right: device.tensor_from_vec(right, image),
        gate: device.tensor_from_vec(gate, (BATCH, Const::<2>)),
    }
}

fn model() -> Model {
    let mut model = Cpu::seed_from_u64(3).build_module::<ported_shared::Builder, f64>();
    tensors::change(&mut model, trained);
    model
}

fn graph_of(values: &Values<f64>) -> Graph<f64, CpuExec> {
    graph("ported_shared", ported_shared::Builder::SPECIFICATION, values)
}

/// The sum of the outputs with the weights that the gradients of the outputs are.
fn loss(outputs: &[Vec<f64>]) -> f64 {
    let all = outputs
        .iter()
        .flat_map(|output| weights::<f64>(output.len()).into_iter().zip(output));
    all.map(|(weight, value)| weight * value).sum()
}

#[test]
fn inference_agrees() {
    let model = model();
    let graph = graph_of(&tensors::values(&model));
    let [left, right, gate] = inputs();
    let ours = graph.infer_all(&[&left, &right, &gate]).unwrap();
    let theirs = model.forward(batch());
    let theirs = [
        theirs.difference.as_vec(),
        theirs.classes.as_vec(),
        theirs.gated.as_vec(),
    ];
    assert_eq!(ours.len(), 3);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        same_bits("an output", ours, theirs);
    }
}

#[test]
fn training_agrees_with_the_graph_and_with_finite_differences() {
    let mut model = model();
    let values = tensors::values(&model);
    let mut graph = graph_of(&values);
    let [left, right, gate] = inputs();
    let step = |graph: &mut Graph<f64, CpuExec>| {
        let weights = |outputs: &[Vec<f64>]| outputs.iter().map(|output| weights(output.len())).collect();
        graph.train_step(&[&left, &right, &gate], || 0, weights).unwrap()
    };
    let ours = step(&mut graph);

    let device = Cpu::default();
    let input = batch();
    let output = model.forward_mut(input.clone().traced(Gradients::leaky()));
    let outputs = [
        output.difference.as_vec(),
        output.classes.as_vec(),
        output.gated.as_vec(),
    ];
    for (ours, theirs) in ours.outputs.iter().zip(&outputs) {
        same_bits("an output of training", ours, theirs);
    }
    let weight = |len: usize| weights::<f64>(len);
    let difference = device.tensor_from_vec(weight(outputs[0].len()), *output.difference.shape());
    let classes = device.tensor_from_vec(weight(outputs[1].len()), *output.classes.shape());
    let gated = device.tensor_from_vec(weight(outputs[2].len()), *output.gated.shape());
    let sum = (output.difference * difference).sum::<Rank0, _>()
        + (output.classes * classes).sum::<Rank0, _>()
        + (output.gated * gated).sum::<Rank0, _>();
    let gradients = sum.backward();
    let theirs = tensors::gradients(&model, &gradients);
    assert_eq!(theirs.len(), ours.gradients.len());
    for (key, gradient) in &theirs {
        same_bits(key, &ours.gradients[key], gradient);
    }
    let of_inputs = [
        gradients.get(&input.left).as_vec(),
        gradients.get(&input.right).as_vec(),
        gradients.get(&input.gate).as_vec(),
    ];
    for (ours, theirs) in ours.inputs.iter().zip(&of_inputs) {
        same_bits("the gradient of an input", ours, theirs);
    }

    for (key, gradient) in &ours.gradients {
        for (place, gradient) in gradient.iter().enumerate() {
            let at = |change: f64| {
                let mut changed = values.clone();
                changed.get_mut(key).unwrap()[place] += change;
                loss(&step(&mut graph_of(&changed)).outputs)
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((slope - gradient).abs() < 1e-7, "{key}[{place}]: {slope} {gradient}");
        }
    }
}

/// The shared kernels' gradients are the sums of those of an unshared twin's.
#[test]
fn gradients_of_shared_towers_add_up() {
    let model = model();
    let shared = tensors::values(&model);
    let free = |key: &str| shared.get(key).or_else(|| shared.get(&shared_key(key))).cloned();
    let specification = ported_free::Builder::SPECIFICATION;
    let network = crate::network("ported_free", specification);
    let mut twin = Graph::new(network, CpuExec, |parameter| free(&parameter.key)).unwrap();
    let [left, right, gate] = inputs();
    let weights = |outputs: &[Vec<f64>]| outputs.iter().map(|output| weights(output.len())).collect();
    let inputs = [left.as_slice(), &right, &gate];
    let theirs = twin.train_step(&inputs, || 0, weights).unwrap();
    let weights = |outputs: &[Vec<f64>]| {
        outputs
            .iter()
            .map(|output| crate::compiled::weights(output.len()))
            .collect()
    };
    let ours = graph_of(&shared).train_step(&inputs, || 0, weights).unwrap();
    assert_eq!(ours.outputs, theirs.outputs);
    let mut count = 0;
    for part in ["weight", "bias"] {
        let of = |tower: &str| &theirs.gradients[&format!("{tower}.conv.{part}")];
        let sum = of("a").iter().zip(of("b")).map(|(a, b)| a + b);
        for (ours, sum) in ours.gradients[&format!("shared.a_b_conv.{part}")].iter().zip(sum) {
            assert!((ours - sum).abs() < 1e-12, "{part}: {ours} {sum}");
            count += 1;
        }
    }
    assert_eq!(count, 4 * 2 * 9 + 4);
}

/// The key of the shared kernel of a tower's convolution.
fn shared_key(key: &str) -> String {
    match key.split_once(".conv.") {
        Some(("a" | "b", part)) => format!("shared.a_b_conv.{part}"),
        _ => key.to_owned(),
    }
}

#[test]
#[should_panic(expected = "the loss does not use the first output of the network `ported_shared`")]
fn a_loss_without_the_first_output_panics() {
    let output = model().forward_mut(batch().traced(Gradients::leaky()));
    output.classes.sum::<Rank0, _>().backward();
}

#[test]
#[should_panic(expected = "the inputs of a network must have one batch size")]
fn inputs_of_different_batches_panic() {
    let gate = Cpu::default().tensor_from_vec(vec![0.0; 4], (2, Const::<2>));
    model().forward(Input { gate, ..batch() });
}

#[test]
fn inputs_that_do_not_fit_are_reported() {
    let graph = graph_of(&tensors::values(&model()));
    let [left, right, gate] = inputs();
    let error = graph.infer_all(&[&left, &right]).unwrap_err().to_string();
    assert_eq!(error, "`list of inputs` has 2 values instead of 3");
    let error = graph.infer_all(&[&left, &right[1..], &gate]).unwrap_err().to_string();
    assert_eq!(error, "`right` has 179 values instead of 180");
}
