//! Sequences of several lengths, places, windows and signals: the graph executor against PyTorch and finite differences,
//! generated code against the graph executor, and what lies beyond a length, which must not matter.

use crate::{network, same_bits};
use ksdsl::graph::{Error, Graph, Step};
use ksdsl_cpu::CpuExec;
use ksdsl_runtime::network::Network;
use ksdsl_runtime::prelude::*;
use ksdsl_tests::tensors;

ksdsl_runtime::include_generated!("lengths");

const LENGTHS: &str = include_str!("../../nets/lengths.ksn");
const GRADIENTS: &str = include_str!("../../nets/gradients.ksn");

const TOKENS: [f64; 12] = [1.0, 5.0, 8.0, 0.0, 2.0, 2.0, 3.0, 3.0, 7.0, 6.0, 0.0, 4.0];
const PLACES: [f64; 4] = [0.0, 5.0, 2.0, 1.0];

/// `[math.sin(0.7 * i + len(key)) * 0.5 for i in range(numel)]`.
fn value(key: &str, at: usize) -> f64 {
    (0.7 * at as f64 + key.len() as f64).sin() * 0.5
}

fn graph(name: &str, text: &str) -> Graph<f64, CpuExec> {
    let values = |parameter: &ksdsl::graph::Parameter| {
        let values = (0..parameter.len).map(|at| value(&parameter.key, at));
        Some(values.collect())
    };
    Graph::new(network(name, text), CpuExec, values).unwrap()
}

/// `[math.sin(1.3 * i + 0.4) for i in range(n)]`.
fn input(len: usize) -> Vec<f64> {
    (0..len).map(|at| (1.3 * at as f64 + 0.4).sin()).collect()
}

/// The gradients of the outputs: `[math.cos(0.3 * i) for i in range(numel)]`.
fn weights(outputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let of = |output: &Vec<f64>| (0..output.len()).map(|at| (0.3 * at as f64).cos()).collect();
    outputs.iter().map(of).collect()
}

fn step(graph: &mut Graph<f64, CpuExec>, inputs: &[&[f64]]) -> Step<f64> {
    graph.train_step(inputs, || 0, weights).unwrap()
}

fn near(ours: f64, theirs: f64) {
    assert!((ours - theirs).abs() < 1e-11 * theirs.abs().max(1.0), "{ours} {theirs}");
}

/// `(values * torch.arange(from, from + values.numel())).sum()`.
fn weighted(values: &[f64], from: usize) -> f64 {
    values
        .iter()
        .enumerate()
        .map(|(at, value)| value * (at + from) as f64)
        .sum()
}

/// The first two values of an output and the last, and their weighted sum.
type Output = ([f64; 3], f64);

fn agrees_with_pytorch(step: &Step<f64>, outputs: &[Output], parameters: f64, of_input: Option<f64>) {
    assert_eq!(step.outputs.len(), outputs.len());
    for (ours, (values, sum)) in step.outputs.iter().zip(outputs) {
        let some = [ours[0], ours[1], ours[ours.len() - 1]];
        some.into_iter()
            .zip(*values)
            .for_each(|(ours, theirs)| near(ours, theirs));
        near(weighted(ours, 0), *sum);
    }
    near(
        step.gradients.values().map(|gradient| weighted(gradient, 1)).sum(),
        parameters,
    );
    if let Some(sum) = of_input {
        near(weighted(&step.inputs[0], 0), sum);
    }
}

/// PyTorch 2.15 in `f64`, with the exported module `m` in training and the parameters above:
///
/// ys = m(*inputs); sum((y * w).sum() for y, w in zip(ys, weights)).backward()
/// [(y.flatten()[[0, 1, -1]], (y.flatten() * torch.arange(y.numel())).sum()) for y in ys]
/// sum((p.grad.flatten() * torch.arange(1, p.numel() + 1)).sum() for p in m.parameters())
/// (x.grad.flatten() * torch.arange(x.numel())).sum()
#[test]
fn networks_compute_what_pytorch_does() {
    let windowed = step(&mut graph("windowed_free", GRADIENTS), &[&input(2 * 48)]);
    let output = (
        [0.0618155528425552, 0.898924192001252, 0.766194916531325],
        10.0487565943905,
    );
    agrees_with_pytorch(&windowed, &[output], 156.10510815453, Some(-17.8002431920581));

    let sounding = step(&mut graph("sounding_free", GRADIENTS), &[&input(2 * 20)]);
    let output = (
        [-0.619566336523085, -0.149182620039577, -0.414192609018562],
        -5.45396285531182,
    );
    agrees_with_pytorch(&sounding, &[output], 21.7868045259544, Some(2.06315703894478));

    let wavenet = step(&mut graph("wavenet", LENGTHS), &[&input(2 * 24)]);
    let output = (
        [0.01141250059306, -0.0405478008912263, 0.270926801996958],
        791.50063402222,
    );
    agrees_with_pytorch(&wavenet, &[output], -293.808564839072, Some(-25.0508035800688));

    let ragged = step(&mut graph("ragged_free", LENGTHS), &[&TOKENS, &[6.0, 3.0], &PLACES]);
    let outputs = [
        (
            [-1.43830320664633, 0.273749334813309, -0.585173688744606],
            -6.16621317999309,
        ),
        (
            [0.224119248246858, 0.786229949369553, 0.566341536911152],
            15.5421913436808,
        ),
    ];
    agrees_with_pytorch(&ragged, &outputs, -12.6720259636202, None);
    near(weighted(&ragged.gradients["embed.weight"], 0), 15.2749064804378);
}

/// torchvision 0.29 in `f64`, with the parameters above, `x` as above of (2, 4, 8, 6), `qkv` those of `q`, `k`, `v` one after the
/// other and `bias` the table's entries by `(d[0] + 3) * 5 + d[1] + 2`, for `d` the distances of positions in a window:
///
/// from torchvision.models.swin_transformer import shifted_window_attention
/// shifted_window_attention(x.permute(0, 2, 3, 1), qkv_weight, out_weight, bias, [4, 3], 2, [2, 1], qkv_bias=qkv_bias,
///                          proj_bias=out_bias).permute(0, 3, 1, 2)
#[test]
fn shifted_windows_are_torchvisions() {
    let text = "net n { input 4 x 8 x 6; window_attention(2, size = 4 x 3, shift = 2 x 1) }";
    let ours = step(&mut graph("n", text), &[&input(2 * 192)]);
    let output = (
        [-0.515983050023549, -0.203350025025025, 0.955066135205631],
        31664.5438406589,
    );
    agrees_with_pytorch(&ours, &[output], -108.127626156235, Some(988.400928345124));
}

#[test]
fn generated_code_agrees_with_the_graph() {
    let mut model = Cpu::default().build_module::<ragged_shared::Builder, f64>();
    tensors::change(&mut model, |key, values: &mut [f64]| {
        values
            .iter_mut()
            .enumerate()
            .for_each(|(at, slot)| *slot = value(key, at));
    });
    let mut ragged = graph("ragged_shared", ragged_shared::Builder::SPECIFICATION);
    let inputs: [&[f64]; 3] = [&TOKENS, &[6.0, 3.0], &PLACES];
    let device = Cpu::default();
    let input = ragged_shared::Input {
        tokens: device.tensor_from_vec(TOKENS.to_vec(), (2, Const::<6>)),
        lengths: device.tensor_from_vec(vec![6.0, 3.0], (2, Const::<1>)),
        places: device.tensor_from_vec(PLACES.to_vec(), (2, Const::<2>)),
    };
    let theirs = model.forward(input.clone());
    let ours = ragged.infer_all(&inputs).unwrap();
    same_bits("classes", &ours[0], &theirs.classes.as_vec());
    same_bits("chosen", &ours[1], &theirs.chosen.as_vec());
    let ours = step(&mut ragged, &inputs);
    let output = model.forward_mut(input.traced(Gradients::leaky()));
    let [classes, chosen] = <[Vec<f64>; 2]>::try_from(weights(&ours.outputs)).unwrap();
    let classes = device.tensor_from_vec(classes, *output.classes.shape());
    let chosen = device.tensor_from_vec(chosen, *output.chosen.shape());
    let loss = (output.classes * classes).sum::<Rank0, _>() + (output.chosen * chosen).sum::<Rank0, _>();
    for (key, gradient) in tensors::gradients(&model, &loss.backward()) {
        same_bits(&key, &ours.gradients[&key], &gradient);
    }
}

#[test]
fn generated_signals_agree_with_the_graph() {
    let mut model = Cpu::default().build_module::<wavenet::Builder, f64>();
    tensors::change(&mut model, |key, values: &mut [f64]| {
        values
            .iter_mut()
            .enumerate()
            .for_each(|(at, slot)| *slot = value(key, at));
    });
    let mut graph = graph("wavenet", wavenet::Builder::SPECIFICATION);
    let x = input(2 * 24);
    let signal = Cpu::default().tensor_from_vec(x.clone(), (2, Const::<2>, Const::<12>));
    same_bits(
        "inference",
        &graph.infer(&x).unwrap(),
        &model.forward(signal.clone()).as_vec(),
    );
    let ours = step(&mut graph, &[&x]);
    let y = model.forward_mut(signal.leaky_trace());
    let w = Cpu::default().tensor_from_vec(weights(&ours.outputs).remove(0), *y.shape());
    let gradients = (y * w).sum::<Rank0, _>().backward();
    for (key, gradient) in tensors::gradients(&model, &gradients) {
        same_bits(&key, &ours.gradients[&key], &gradient);
    }
}

/// No sample of the output depends on later ones of the input.
#[test]
fn causal_convolutions_see_no_later_samples() {
    let graph = graph("wavenet", LENGTHS);
    let x = input(24);
    let y = graph.infer(&x).unwrap();
    for changed in [0, 5, 11] {
        let mut other = x.clone();
        other[changed] += 1.0;
        let z = graph.infer(&other).unwrap();
        for (at, (y, z)) in y.iter().zip(&z).enumerate() {
            assert!(at % 12 >= changed || y == z, "sample {} sees sample {changed}", at % 12);
        }
        assert!(y[changed] != z[changed], "sample {changed} sees itself");
    }
}

#[test]
fn what_lies_beyond_a_length_does_not_matter() {
    let graph = graph("ragged_shared", LENGTHS);
    let run = |tokens: &[f64], lengths: &[f64]| graph.infer_all(&[tokens, lengths, &PLACES]).unwrap();
    let ours = run(&TOKENS, &[6.0, 3.0]);
    let mut other = TOKENS;
    other[9..].copy_from_slice(&[1.0, 2.0, 8.0]);
    assert_eq!(run(&other, &[6.0, 3.0]), ours);
    // It would without the lengths.
    assert_ne!(run(&other, &[6.0, 6.0]), run(&TOKENS, &[6.0, 6.0]));
    // An item alone has the bits that it has among others.
    let second = graph.infer_all(&[&TOKENS[6..], &[3.0], &PLACES[2..]]).unwrap();
    assert_eq!(second[0], ours[0][3..]);
    assert_eq!(second[1], ours[1][4..]);
}

#[test]
fn wrong_lengths_and_places_are_errors() {
    let graph = graph("ragged_shared", LENGTHS);
    for wrong in [7.0, -1.0, 2.5, f64::NAN] {
        assert!(graph.infer_all(&[&TOKENS, &[6.0, wrong], &PLACES]).is_err(), "{wrong}");
        let places = [0.0, 5.0, wrong, 1.0];
        assert!(graph.infer_all(&[&TOKENS, &[6.0, 3.0], &places]).is_err(), "{wrong}");
    }
    assert!(
        graph.infer_all(&[&TOKENS, &[6.0, 0.0], &PLACES]).is_ok(),
        "an empty item"
    );
    let Err(Error::Exec(ksdsl_cpu::Error::WrongId(error))) = graph.infer_all(&[&TOKENS, &[6.0, 7.0], &PLACES]) else {
        panic!("no error of the executor")
    };
    let text = "the id, length or place 7 at position 1 is not an integer from 0 to 6";
    assert_eq!(error.to_string(), text);
}

/// The gradient of a shared parameter is the sum over its visits of those of an unshared twin.
#[test]
fn gradients_of_shared_blocks_add_up() {
    let inputs: [&[f64]; 3] = [&TOKENS, &[6.0, 3.0], &PLACES];
    let mut shared = graph("ragged_shared", LENGTHS);
    let ours = step(&mut shared, &inputs);
    let key = |key: &str| {
        let visited = key.replace("body.0.", "body_").replace("body.1.", "body_");
        format!("shared.{}", visited.replace("attention.", "attention_"))
    };
    let values = |parameter: &ksdsl::graph::Parameter| {
        let own = shared.values(&parameter.key).unwrap();
        own.or_else(|| shared.values(&key(&parameter.key)).unwrap())
    };
    let mut twin = Graph::new(network("ragged_free", LENGTHS), CpuExec, values).unwrap();
    let theirs = step(&mut twin, &inputs);
    assert_eq!(ours.outputs, theirs.outputs);
    let mut several = 0;
    for (of, gradient) in &ours.gradients {
        let visits = theirs
            .gradients
            .iter()
            .filter(|(other, _)| *other == of || key(other) == *of);
        let visits: Vec<&Vec<f64>> = visits.map(|(_, gradient)| gradient).collect();
        several += usize::from(visits.len() == 2);
        for (at, gradient) in gradient.iter().enumerate() {
            near(*gradient, visits.iter().map(|visit| visit[at]).sum());
        }
    }
    assert!(several >= 12, "{several} shared tensors");
}

#[test]
fn gradients_are_finite_differences() {
    let inputs: [&[f64]; 3] = [&TOKENS, &[6.0, 3.0], &PLACES];
    let ours = step(&mut graph("ragged_free", LENGTHS), &inputs);
    let loss = |outputs: &[Vec<f64>]| -> f64 {
        let pairs = outputs.iter().flatten().zip(weights(outputs).into_iter().flatten());
        pairs.map(|(value, weight)| value * weight).sum()
    };
    for (key, gradient) in &ours.gradients {
        for place in (0..gradient.len()).step_by(7) {
            let at = |change: f64| {
                let values = |parameter: &ksdsl::graph::Parameter| {
                    let mut values: Vec<f64> = (0..parameter.len).map(|at| value(&parameter.key, at)).collect();
                    if parameter.key == *key {
                        values[place] += change;
                    }
                    Some(values)
                };
                let mut moved = Graph::new(network("ragged_free", LENGTHS), CpuExec, values).unwrap();
                loss(&step(&mut moved, &inputs).outputs)
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            let gradient = gradient[place];
            assert!((slope - gradient).abs() < 1e-7, "{key}[{place}]: {slope} {gradient}");
        }
    }
}
