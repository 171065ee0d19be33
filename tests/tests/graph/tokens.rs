//! Token ids: a decoder whose blocks and whose embedding and head are shared, against PyTorch, finite differences, an
//! unshared twin, and generated code against the graph executor.

use crate::{graph, same_bits};
use ksdsl::graph::Graph;
use ksdsl_cpu::CpuExec;
use ksdsl_runtime::network::Network;
use ksdsl_runtime::prelude::*;
use ksdsl_tests::tensors::{self, Values};

ksdsl_runtime::include_generated!("tokens");

const IDS: [f64; 10] = [0.0, 3.0, 6.0, 3.0, 1.0, 5.0, 5.0, 2.0, 0.0, 4.0];

type Model = decoder_shared::Model<f64, Cpu>;

/// A parameter's values: `[math.sin(0.7 * i + len(name)) * 0.5 for i in range(numel)]` in PyTorch.
fn model() -> Model {
    let mut model = Cpu::default().build_module::<decoder_shared::Builder, f64>();
    tensors::change(&mut model, |key, values: &mut [f64]| {
        for (at, value) in values.iter_mut().enumerate() {
            *value = (0.7 * at as f64 + key.len() as f64).sin() * 0.5;
        }
    });
    model
}

fn graph_of(values: &Values<f64>) -> Graph<f64, CpuExec> {
    graph("decoder_shared", decoder_shared::Builder::SPECIFICATION, values)
}

/// The gradient of the output: `[math.cos(0.3 * i) for i in range(numel)]`.
fn weights(outputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let of = |output: &Vec<f64>| (0..output.len()).map(|at| (0.3 * at as f64).cos()).collect();
    outputs.iter().map(of).collect()
}

fn loss(outputs: &[Vec<f64>]) -> f64 {
    let weights = weights(outputs);
    outputs[0]
        .iter()
        .zip(&weights[0])
        .map(|(value, weight)| value * weight)
        .sum()
}

fn all_near(ours: &[f64], theirs: &[f64]) {
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() < 1e-12, "{ours} {theirs}");
    }
}

/// PyTorch 2.15 in `f64`, with the exported module `m`, the parameters above and `w` the gradient of the output:
/// `y = m(torch.tensor(ids).reshape(2, 5)); (y * w).sum().backward(); y[0, 0, :3]; y[1, 4, 4:]; g[3, :3]; g[6, 3:]` with
/// `g` the gradient of `shared.embed.weight`.
#[test]
fn the_decoder_computes_what_pytorch_does() {
    let mut graph = graph_of(&tensors::values(&model()));
    let step = graph.train_step(&[&IDS], || 0, weights).unwrap();
    let y = &step.outputs[0];
    all_near(
        &y[..3],
        &[-0.49064047533733957, -0.2902649252966364, 0.7752515167019919],
    );
    all_near(
        &y[67..],
        &[-0.22429454520634298, 0.6057429889722115, -0.36964956538343013],
    );
    let g = &step.gradients["shared.embed.weight"];
    all_near(
        &g[18..21],
        &[0.8716679057134624, -0.4228703368139597, -0.3311033657608071],
    );
    all_near(
        &g[39..],
        &[0.18164467751355434, -0.12344047640802076, -0.7729647316514217],
    );
}

#[test]
fn generated_code_agrees_with_the_graph() {
    let mut model = model();
    let mut graph = graph_of(&tensors::values(&model));
    let device = Cpu::default();
    let ids = device.tensor_from_vec(IDS.to_vec(), (2, Const::<5>));
    same_bits(
        "inference",
        &graph.infer(&IDS).unwrap(),
        &model.forward(ids.clone()).as_vec(),
    );
    let ours = graph.train_step(&[&IDS], || 0, weights).unwrap();
    let y = model.forward_mut(ids.leaky_trace());
    same_bits("training", &ours.outputs[0], &y.as_vec());
    let w = device.tensor_from_vec(weights(&ours.outputs).remove(0), *y.shape());
    let gradients = (y * w).sum::<Rank0, _>().backward();
    for (key, gradient) in tensors::gradients(&model, &gradients) {
        same_bits(&key, &ours.gradients[&key], &gradient);
    }
}

#[test]
fn gradients_are_finite_differences() {
    let values = tensors::values(&model());
    let step = |values: &Values<f64>| graph_of(values).train_step(&[&IDS], || 0, weights).unwrap();
    let ours = step(&values);
    for (key, gradient) in &ours.gradients {
        // A few of each.
        for place in (0..gradient.len()).step_by(5) {
            let at = |change: f64| {
                let mut changed = values.clone();
                changed.get_mut(key).unwrap()[place] += change;
                loss(&step(&changed).outputs)
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!(
                (slope - gradient[place]).abs() < 1e-7,
                "{key}[{place}]: {slope} {}",
                gradient[place]
            );
        }
    }
}

/// The gradient of the table is that of the embedding and that of the head together.
#[test]
fn the_table_gathers_both_gradients() {
    let shared = tensors::values(&model());
    let tied = graph_of(&shared).train_step(&[&IDS], || 0, weights).unwrap();
    let key = |key: &str| {
        let key = match key {
            "embed.weight" | "head.weight" => "embed.weight".to_owned(),
            key => key
                .replace("body.0.", "body_")
                .replace("body.1.", "body_")
                .replace("attention.", "attention_"),
        };
        format!("shared.{key}")
    };
    let of = |name: &str| shared.get(name).or_else(|| shared.get(&key(name))).cloned();
    let network = crate::network("decoder_free", decoder_free::Builder::SPECIFICATION);
    let mut twin = Graph::new(network, CpuExec, |parameter| of(&parameter.key)).unwrap();
    let free = twin.train_step(&[&IDS], || 0, weights).unwrap();
    assert_eq!(tied.outputs, free.outputs);
    let both = free.gradients["embed.weight"]
        .iter()
        .zip(&free.gradients["head.weight"]);
    let sum: Vec<f64> = both.map(|(embed, head)| embed + head).collect();
    all_near(&tied.gradients["shared.embed.weight"], &sum);
}

#[test]
fn ids_that_the_vocabulary_has_not_are_errors() {
    let model = model();
    let graph = graph_of(&tensors::values(&model));
    for wrong in [7.0, -1.0, 1.5, f64::NAN, 1e300] {
        let mut ids = IDS;
        ids[4] = wrong;
        assert!(graph.infer(&ids).is_err(), "{wrong}");
        let ids = Cpu::default().tensor_from_vec(ids.to_vec(), (2, Const::<5>));
        assert!(model.try_forward(ids).is_err(), "{wrong}");
    }
}
