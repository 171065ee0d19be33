//! Gradients in single precision lie as near to those in double precision as PyTorch's do.
//!
//! A value that is zero but for rounding passes a ReLU in one precision and not in the other. Behind norms over
//! few values that changes gradients by per cents, in any system; how often it happens grows with the rounding of
//! the forward pass. So these networks, whose sums are long and whose maps are small, tell what a forward pass
//! rounds: medians over the seeds, of which most have no such value.

use crate::net::noise;
use crate::tensors::{Values, values};
use ksdsl_runtime::prelude::*;
use ksdsl_tests::parity_outcome;

const SEEDS: u64 = 10;
const BATCH: usize = 4;
const CLASSES: usize = 10;

/// The errors of one case, from double precision: of the logits as a part of the largest, of the worst gradient
/// as a part of the tensor's largest.
struct Errors {
    logits: f64,
    gradients: f64,
}

/// A case as `parity` takes it, with these initial weights.
fn case(seed: u64, weights: Values<f32>) -> Values<f32> {
    let mut noise = noise(seed);
    let images = (0..BATCH * 3 * 8 * 8).map(|_| 1.7 * noise() as f32).collect();
    let mut targets = vec![0.0; BATCH * CLASSES];
    for (image, targets) in targets.chunks_exact_mut(CLASSES).enumerate() {
        targets[(3 * image + seed as usize) % CLASSES] = 1.0;
    }
    let mut case = Values::from([
        ("images".to_owned(), images),
        ("targets".to_owned(), targets),
        ("eps".to_owned(), vec![1e-3]),
        ("steps".to_owned(), vec![0.0]),
    ]);
    let keyed = weights
        .into_iter()
        .map(|(key, values)| (format!("weight.{key}"), values));
    case.extend(keyed);
    case
}

fn wide(values: &Values<f32>) -> Values<f64> {
    let wide = |values: &[f32]| values.iter().map(|&value| value.into()).collect();
    values.iter().map(|(key, values)| (key.clone(), wide(values))).collect()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| f64::max(most, value.abs()))
}

fn distance(single: &[f64], double: &[f64]) -> f64 {
    let apart: Vec<_> = single.iter().zip(double).map(|(a, b)| a - b).collect();
    largest(&apart)
}

fn errors(single: &Values<f32>, double: &Values<f64>) -> Errors {
    let single = wide(single);
    let gradients = || double.iter().filter(|(key, _)| key.starts_with("gradient."));
    let steepest = gradients().fold(0.0, |most, (_, values)| f64::max(most, largest(values)));
    // A gradient that is zero but for rounding, as that of a bias before a norm, says nothing.
    let worst = gradients()
        .filter(|(_, values)| largest(values) > 1e-6 * steepest)
        .map(|(key, values)| distance(&single[key], values) / largest(values))
        .fold(0.0, f64::max);
    Errors {
        logits: distance(&single["logits"], &double["logits"]) / largest(&double["logits"]),
        gradients: worst,
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

/// The medians of the errors are at most these.
fn check(name: &str, found: &[Errors], logits: f64, gradients: f64) {
    let seen = [
        median(found.iter().map(|errors| errors.logits).collect()),
        median(found.iter().map(|errors| errors.gradients).collect()),
    ];
    println!("{name}: logits {:.1e}, gradients {:.1e}", seen[0], seen[1]);
    for errors in found {
        println!("    {:.1e} {:.1e}", errors.logits, errors.gradients);
    }
    assert!(seen[0] <= logits && seen[1] <= gradients, "{name}: {seen:?}");
}

macro_rules! medians {
    ($($net:ident: $logits:literal $gradients:literal;)+) => {$(
        #[test]
        fn $net() {
            use crate::nets::rounding::$net;
            let found: Vec<_> = (0..SEEDS)
                .map(|seed| {
                    let model = Cpu::seed_from_u64(seed).build_module::<$net::Builder, f32>();
                    let case = case(seed, values(&model));
                    let single = parity_outcome!(f32: crate::nets::rounding::$net [3, 8, 8] -> 10)(&case).unwrap();
                    let double = parity_outcome!(f64: crate::nets::rounding::$net [3, 8, 8] -> 10)(&wide(&case)).unwrap();
                    errors(&single, &double)
                })
                .collect();
            check(stringify!($net), &found, $logits, $gradients);
        }
    )+};
}

// Three times PyTorch's medians, on a CPU with PyTorch 2.15. In `tests/parity`, with `ksn` built:
//
//     for name in ("branched", "dense"):
//         net, logits, gradients = Net(name, "tests/nets/rounding.ksn", name, "", "pass"), [], []
//         for seed in range(10):
//             torch.manual_seed(seed)
//             model = net.export(Path("../../target/release/ksn").resolve(), folder)
//             case = make_case(model, seed, 4)
//             single, double = (one_pass(model, case, precision) for precision in ("f32", "f64"))
//             logits += [largest(single["logits"] - double["logits"]) / largest(double["logits"])]
//             gradients += [Judge("f32", double, None).gradients(single, double).tensor]
//         print(name, median(logits), median(gradients))
//
//     branched 3.4e-7 1.3e-6
//     dense 2.7e-7 1.2e-6
medians! {
    branched: 1.0e-6 3.9e-6;
    dense: 8.1e-7 3.6e-6;
}
