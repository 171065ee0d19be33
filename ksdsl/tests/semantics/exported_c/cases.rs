//! Networks with random weights and inputs, and what the graph executor makes of them.

use ksdsl::checkpoint::{Entry, entries};
use ksdsl::export::c;
use ksdsl::graph::Graph;
use ksdsl::ir::{Network, Shape};
use ksdsl::steps::{Error, Program, program};
use ksdsl_cpu::CpuExec;

/// Numbers in -1..1, the same in each run (Steele et al. 2014, SplitMix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }
}

/// As `randomise` of `tests/parity/onnx.py`: all vectors at random, variances near 1, kernels of variance 1 / inputs.
pub(super) fn tensor(entry: &Entry, random: &mut Random) -> Vec<f32> {
    let count: u64 = entry.shape.iter().product();
    let inputs: u64 = entry.shape.iter().skip(1).product();
    let is_vector = entry.shape.iter().copied().max() == Some(count);
    let one = |random: &mut Random| match () {
        () if entry.key.ends_with("running_var") => 1.0 + 0.5 * random.next(),
        () if is_vector && entry.key.ends_with("weight") => 1.0 + 0.5 * random.next(),
        () if is_vector => 0.3 * random.next(),
        () => random.next() * (3.0 / inputs as f32).sqrt(),
    };
    (0..count).map(|_| one(random)).collect()
}

pub(super) fn weights(network: &Network, random: &mut Random) -> Vec<Vec<f32>> {
    entries(network).iter().map(|entry| tensor(entry, random)).collect()
}

/// What a program should give, and what its steps give.
pub(super) struct Case {
    pub(super) program: Program,
    pub(super) inputs: Vec<Vec<f32>>,
    pub(super) expected: Vec<Vec<f32>>,
}

/// The network with random weights and inputs; an error if steps have something not.
pub(super) fn case(network: &Network, random: &mut Random) -> Result<Case, Error> {
    let weights = weights(network, random);
    let program = program(network, Some(&weights), &c::Options::default())?;
    let keys: Vec<String> = entries(network).into_iter().map(|entry| entry.key).collect();
    let graph = Graph::<f32, CpuExec>::new(network.clone(), CpuExec, |parameter| {
        let at = keys.iter().position(|key| *key == parameter.key);
        at.map(|at| weights[at].clone())
    });
    let input = |shape: Shape, random: &mut Random| (0..shape.elements()).map(|_| 2.0 * random.next()).collect();
    let inputs: Vec<Vec<f32>> = network.inputs.iter().map(|port| input(port.shape, random)).collect();
    let slices: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let expected = graph.expect("a graph").infer_all(&slices).expect("outputs");
    Ok(Case {
        program,
        inputs,
        expected,
    })
}

/// The largest difference, relative to the largest output.
pub(super) fn distance(found: &[Vec<f32>], expected: &[Vec<f32>]) -> f32 {
    let pairs = || found.iter().flatten().zip(expected.iter().flatten());
    let count = |all: &[Vec<f32>]| all.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(count(found), count(expected));
    let most = pairs().map(|(_, y)| y.abs()).fold(1e-30, f32::max);
    let worst = pairs().map(|(x, y)| (x - y).abs());
    worst.fold(0.0, |worst, next| if next <= worst { worst } else { next }) / most
}
