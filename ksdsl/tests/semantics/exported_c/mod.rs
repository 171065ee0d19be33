//! Networks of the repository in C, and as steps, against the graph executor.

mod arena;
mod cases;
mod compilers;

use crate::net;
use crate::networks::networks;
use cases::{Case, Random, case, distance, weights};
use compilers::run_units;
use ksdsl::checkpoint::entries;
use ksdsl::export::c::{self, integer, single};
use ksdsl::quantize::{Ranges, infer, quantize, quantized};
use ksdsl::steps::{program, run};

/// Weights and products beyond which a network would take minutes.
const LARGE: u64 = 3_000_000;
const LONG: u128 = 60_000_000;
#[test]
fn steps_give_what_the_graph_executor_gives() {
    let (mut random, mut done, mut unsupported) = (Random(1), 0, Vec::new());
    for network in networks() {
        let all: u64 = entries(&network)
            .iter()
            .map(|entry| entry.shape.iter().product::<u64>())
            .sum();
        if all > LARGE || network.macs() > LONG {
            continue;
        }
        match case(&network, &mut random) {
            Ok(case) => {
                let slices: Vec<&[f32]> = case.inputs.iter().map(Vec::as_slice).collect();
                let distance = distance(&run(&case.program, &slices, |_, _| {}), &case.expected);
                assert!(distance < 1e-5, "{}: {distance}", network.name);
                done += 1;
            }
            Err(error) => unsupported.push(format!("{}: {error}", network.name)),
        }
    }
    println!("{done} networks; not: {}", unsupported.join("\n"));
    assert!(done > 60, "{done} networks; not: {}", unsupported.join("\n"));
}

/// The networks that are small enough to compile in seconds, all kinds of operations among them.
fn small_cases() -> Vec<Case> {
    let mut random = Random(2);
    let mut cases = Vec::new();
    for (at, network) in networks().into_iter().enumerate() {
        let all: u64 = entries(&network)
            .iter()
            .map(|entry| entry.shape.iter().product::<u64>())
            .sum();
        if all > LARGE / 100 || network.macs() > LONG / 50 {
            continue;
        }
        if let Ok(mut case) = case(&network, &mut random) {
            case.program.name = format!("n{at}_{}", case.program.name);
            cases.push(case);
        }
    }
    cases
}

#[test]
fn c_gives_what_the_graph_executor_gives() {
    let cases = small_cases();
    let units: Vec<_> = cases
        .iter()
        .map(|case| (case.program.name.clone(), &case.program, single(&case.program)))
        .collect();
    let inputs = cases.iter().flat_map(|case| case.inputs.iter().flatten());
    let input: Vec<u8> = inputs.flat_map(|value| value.to_le_bytes()).collect();
    let Some(output) = run_units(&units, "float", &input) else {
        return;
    };
    let mut values = output.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    for case in &cases {
        let found: Vec<Vec<f32>> = case
            .expected
            .iter()
            .map(|of| values.by_ref().take(of.len()).collect())
            .collect();
        let distance = distance(&found, &case.expected);
        assert!(distance < 1e-5, "{}: {distance}", case.program.name);
    }
    assert!(cases.len() > 50, "{} networks", cases.len());
}

/// Of random networks, which are not trained, the outputs in 8 bits must correlate with those in single precision.
fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let mean = |of: &[f32]| of.iter().sum::<f32>() / of.len() as f32;
    let (ma, mb) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f32, f32) -> f32| a.iter().zip(b).map(|(a, b)| f(a - ma, b - mb)).sum::<f32>();
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt().max(1e-30)
}

#[test]
fn integers_in_c_have_the_same_bits() {
    let cases = small_cases();
    let mut quantised = Vec::new();
    for case in &cases {
        let mut ranges = Ranges::new(&case.program);
        let slices: Vec<&[f32]> = case.inputs.iter().map(Vec::as_slice).collect();
        ranges.add(&case.program, &slices);
        let Ok(of) = quantize(&case.program, &ranges) else {
            continue;
        };
        let ports = case.program.inputs.iter().zip(&case.inputs);
        let inputs: Vec<Vec<i8>> = ports
            .map(|(port, input)| quantized(input, of.scales[port.buffer]))
            .collect();
        let slices: Vec<&[i8]> = inputs.iter().map(Vec::as_slice).collect();
        let outputs = infer(&of, &slices);
        for ((port, found), expected) in case.program.outputs.iter().zip(&outputs).zip(&case.expected) {
            let scale = of.scales[port.buffer];
            let one = |q: &i8| ((f64::from(*q) - f64::from(scale.zero)) * scale.scale) as f32;
            let found: Vec<f32> = found.iter().map(one).collect();
            let is_flat = expected.iter().all(|value| *value == expected[0]);
            let correlation = correlation(&found, expected);
            assert!(
                is_flat || expected.len() < 4 || correlation > 0.9,
                "{}: {correlation}",
                case.program.name
            );
        }
        quantised.push((case, of, inputs, outputs));
    }
    let units: Vec<_> = quantised
        .iter()
        .map(|(case, of, ..)| (case.program.name.clone(), &case.program, integer(of)))
        .collect();
    let input: Vec<u8> = quantised
        .iter()
        .flat_map(|(_, _, inputs, _)| inputs.iter().flatten().map(|value| *value as u8))
        .collect();
    assert!(quantised.len() > 25, "{} networks", quantised.len());
    let Some(output) = run_units(&units, "int8_t", &input) else {
        return;
    };
    let mut values = output.iter().map(|byte| *byte as i8);
    for (case, _, _, outputs) in &quantised {
        for expected in outputs {
            let found: Vec<i8> = values.by_ref().take(expected.len()).collect();
            assert_eq!(found, *expected, "{}", case.program.name);
        }
    }
}

/// Flash grows with kernels, not with depth: of weights without private norms nothing is added, and of code nothing.
#[test]
fn depth_adds_neither_weights_nor_calls() {
    let text = |depth: usize| {
        format!(
            "net deep {{ input 8 x 6 x 6; s: repeat {depth} {{ residual {{ conv(8, kernel = 3, pad = 1); relu }} }} \
             global_avg_pool; linear(3)\nshare s[*].conv }}"
        )
    };
    let of = |depth: usize| {
        let network = net(&text(depth));
        let weights = weights(&network, &mut Random(3));
        let program = program(&network, Some(&weights), &c::Options::default()).expect("a program");
        let unit = single(&program);
        let source = unit.files("deep.h", &[]).source;
        (
            unit.bytes(),
            source.matches("ksn_conv(&").count(),
            source.lines().count(),
        )
    };
    let (few, calls, lines) = of(3);
    let (many, many_calls, many_lines) = of(40);
    assert_eq!((few.weights, few.arena), (many.weights, many.arena));
    assert_eq!(few.weights, 4 * (8 * 8 * 9 + 8 * 3 + 3));
    // Two maps of 6 x 6 x 8, and the vector of the head.
    assert!(few.arena <= 4 * (2 * 8 * 36 + 8), "{}", few.arena);
    assert_eq!(calls, many_calls);
    assert!(
        many_lines <= lines + 37 && many.tables <= few.tables + 37 * 40,
        "{lines}, {many_lines}"
    );
}

/// Factors and additions far apart lose little: the worst error, in units of the output.
#[test]
fn folded_norms_of_any_size_are_quantised() {
    let network = net(
        "net a { input 4 x 3 x 3; conv(6, kernel = 3, pad = 1); batch_norm; relu; conv(6, kernel = 1, bias = true) }",
    );
    let mut weights = weights(&network, &mut Random(4));
    let keys: Vec<String> = entries(&network).into_iter().map(|entry| entry.key).collect();
    let at = |end: &str| keys.iter().position(|key| key.ends_with(end)).expect("a tensor");
    weights[at("batch_norm.weight")] = vec![0.0, 1e-12, -0.5, 1.0, 0.01, -2.0];
    weights[at("batch_norm.bias")] = vec![0.5, 1.0, 0.1, -3.0, 0.0, 0.2];
    weights[0][..36].fill(0.0);
    let program = program(&network, Some(&weights), &c::Options::default()).expect("a program");
    let mut ranges = Ranges::new(&program);
    let mut random = Random(5);
    let inputs: Vec<Vec<f32>> = (0..20)
        .map(|_| (0..36).map(|_| 2.0 * random.next()).collect())
        .collect();
    inputs.iter().for_each(|input| ranges.add(&program, &[input]));
    let of = quantize(&program, &ranges).expect("integers");
    let [x, y] = [program.inputs[0].buffer, program.outputs[0].buffer].map(|id| of.scales[id]);
    for input in &inputs {
        let expected = run(&program, &[input], |_, _| {}).remove(0);
        let found = infer(&of, &[&quantized(input, x)]).remove(0);
        for (found, expected) in found.iter().zip(&expected) {
            let units = f64::from(*expected) / y.scale + f64::from(y.zero) - f64::from(*found);
            assert!(units.abs() < 6.0, "{units}");
        }
    }
}

/// Weights that are not finite, missing or too many, and what C has not, are errors that name their place.
#[test]
fn what_cannot_be_written_is_an_error() {
    let network = net("net a { input 4; linear(2) }");
    let options = c::Options::default();
    let of = |weights: &[Vec<f32>]| {
        program(&network, Some(weights), &options)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        of(&[vec![f32::NAN; 8], vec![0.0; 2]]),
        "`linear.weight` has values that are not finite"
    );
    assert_eq!(
        of(&[vec![0.0; 7], vec![0.0; 2]]),
        "the weights are not those of the network"
    );
    assert_eq!(of(&[]), "the weights are not those of the network");
    let norm = net("net a { input 2 x 2 x 2; conv(2, kernel = 1); batch_norm }");
    for (weight, variance, expected) in [
        (
            1.0,
            -1.0,
            "`batch_norm.weight folded scale` has values that are not finite",
        ),
        (
            3e38,
            0.0,
            "`batch_norm.weight folded scale` has values that are not finite",
        ),
    ] {
        let all = [
            vec![1.0; 4],
            vec![weight; 2],
            vec![0.0; 2],
            vec![0.0; 2],
            vec![variance; 2],
        ];
        let error = program(&norm, Some(&all), &options).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let large = program(&network, Some(&[vec![1e38; 8], vec![0.0; 2]]), &options).expect("a program");
    let mut ranges = Ranges::new(&large);
    ranges.add(&large, &[&[1.0; 4]]);
    assert_eq!(
        quantize(&large, &ranges).map(|_| ()).unwrap_err().to_string(),
        "`linear` cannot be quantised: its outputs overflow in single precision"
    );
    for (text, expected) in [
        (
            "net a { input 4; linear(100_000); linear(10_000) }",
            "the network is too large for C: 1000510000 weights, of at most 16777216",
        ),
        (
            "net a { input 2 x 4 x 4; upsample(2, mode = bilinear) }",
            "`upsample` (upsample) cannot be exported to C: it interpolates",
        ),
        (
            "net a { input 9 of 5; embedding(4) }",
            "the input `input` takes token ids, which cannot be exported to C",
        ),
        (
            "net a { input 1 x 70_000 x 1; max_pool(1) }",
            "the network is too large for C: `max_pool` has a size of 70000, of at most 65535",
        ),
    ] {
        let error = program(&net(text), None, &options).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
