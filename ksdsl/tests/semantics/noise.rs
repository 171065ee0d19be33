//! What `noise` adds: in inference a function of position and channel, in training of the seed too.

use crate::net;
use ksdsl::graph::Graph;
use ksdsl::ir::Network;
use ksdsl_cpu::CpuExec;

/// `drawn((8,))` and `drawn((3,), seed=9)` of `tests/parity/looped.py`, which has Python's integers and functions.
const FIRST: [f64; 8] = [
    1.575_308_424_879_582_1,
    0.063_410_521_114_652_72,
    -0.247_234_338_669_999_05,
    1.144_156_527_854_157_7,
    -0.061_392_561_250_171_65,
    1.310_939_147_287_936_1,
    1.334_142_614_042_679_8,
    0.745_822_478_692_357_4,
];
const OF_SEED_9: [f64; 3] = [
    0.572_600_376_215_061_7,
    0.491_781_017_473_211_4,
    0.216_544_143_194_039_53,
];

fn graph(network: Network) -> Graph<f64, CpuExec> {
    Graph::new(network, CpuExec, |_| None).expect("no parameters")
}

fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-14, "{found} is not {expected}");
    }
}

/// Every item of a batch gets the numbers of its positions and channels; a map has its channels first.
#[test]
fn in_inference_a_place_always_gets_the_same() {
    let tokens = graph(net("net n { input 4 x 2; noise(0.5) }"));
    let x: Vec<f64> = (0..16).map(f64::from).collect();
    let added = |at: usize| 0.5 * FIRST[at % 8];
    let expected: Vec<f64> = (0..16).map(|at| at as f64 + added(at)).collect();
    assert_close(&tokens.infer(&x).unwrap(), &expected);
    let maps = graph(net("net n { input 2 x 2 x 2; scale(0); noise(1) }"));
    let by_channels: Vec<f64> = [0, 2, 4, 6, 1, 3, 5, 7].map(|at| FIRST[at]).to_vec();
    assert_close(&maps.infer(&x).unwrap(), &[by_channels.clone(), by_channels].concat());
}

/// Each visit takes the next seed; the numbers of an item do not depend on those after it. Gradients pass.
#[test]
fn in_training_the_seed_decides() {
    let text = "net n { input 3; repeat 2 { noise(2) } }";
    let step = |items: usize, seeds: [u64; 2]| {
        let mut seeds = seeds.into_iter();
        let x = vec![0.0; 3 * items];
        let gradient: Vec<f64> = (0..3 * items).map(|at| at as f64 - 1.0).collect();
        let step = graph(net(text)).train_step(&[&x], || seeds.next().unwrap(), |_| vec![gradient.clone()]);
        let step = step.unwrap();
        assert_eq!(step.inputs, [gradient]);
        step.outputs.into_iter().next().unwrap()
    };
    let expected: Vec<f64> = (0..3).map(|at| 2.0 * (FIRST[at] + OF_SEED_9[at])).collect();
    assert_close(&step(1, [0, 9]), &expected);
    let two = step(2, [9, 0]);
    assert_close(&two[..3], &expected);
    assert!((0..3).all(|at| (two[at] - two[at + 3]).abs() > 1e-3), "{two:?}");
}
