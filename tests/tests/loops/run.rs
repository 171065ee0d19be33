//! The generated models behind one trait, and that the graph executor runs them with the same bits.

use crate::{graph_of, line, nets, noise, same_bits};
use ksdsl_runtime::dfdx::tensor::RandomU64;
use ksdsl_runtime::prelude::*;
use ksdsl_runtime::steps::HasSteps;
use ksdsl_tests::tensors::{self, Values};

/// The device of a training pass: dropout zeroes the same values in every pass.
const SEED: u64 = 11;
/// Items in a batch.
pub(crate) const BATCH: usize = 3;

/// What a training pass and its backward pass give.
pub(crate) struct Trained {
    pub(crate) outputs: Vec<Vec<f64>>,
    pub(crate) input: Vec<f64>,
    pub(crate) gradients: Values<f64>,
}

/// A generated model with one input.
pub(crate) trait Looped: TensorCollection<f64, Cpu> + HasSteps {
    /// The network's name.
    const NAME: &'static str;
    /// Values of an item.
    const ITEM: usize;
    /// The counts that are tried.
    fn counts() -> Vec<Self::Steps>;
    /// Counts with the names of their loops.
    fn named(steps: Self::Steps) -> Vec<(&'static str, usize)>;
    /// The counts that are so named.
    fn steps(named: &[(&'static str, usize)]) -> Self::Steps;
    /// A model whose tensors are no longer what they start as.
    fn trained_model() -> Self;
    /// Inference.
    fn infer(&self, steps: Self::Steps, x: &[f64]) -> Vec<Vec<f64>>;
    /// The same with a prepared model.
    fn prepared(&self, steps: Self::Steps, x: &[f64]) -> Vec<Vec<f64>>;
    /// A training pass, and the backward pass of a weighted sum of the outputs.
    fn train(&mut self, steps: Self::Steps, x: &[f64]) -> Trained;
}

pub(crate) fn input<M: Looped>(items: usize) -> Vec<f64> {
    noise(0.3, items * M::ITEM)
}

macro_rules! looped {
    ($($name:ident [$($size:literal),+] [$($counts:expr),+] { $($loops:ident),+ } $tape:expr;)+) => {$(
        impl Looped for nets::$name::Model<f64, Cpu> {
            const NAME: &'static str = stringify!($name);
            const ITEM: usize = 1 $(* $size)+;

            fn counts() -> Vec<Self::Steps> {
                vec![$($counts),+]
            }

            fn named(steps: Self::Steps) -> Vec<(&'static str, usize)> {
                vec![$((stringify!($loops), steps.$loops)),+]
            }

            fn steps(named: &[(&'static str, usize)]) -> Self::Steps {
                let of = |name: &str| named.iter().find(|(of, _)| *of == name).unwrap().1;
                nets::$name::Steps { $($loops: of(stringify!($loops))),+ }
            }

            fn trained_model() -> Self {
                let mut model = Cpu::seed_from_u64(3).build_module::<nets::$name::Builder, f64>();
                tensors::change(&mut model, |key, values: &mut [f64]| {
                    let more = noise(key.len() as f64 + 0.1, values.len());
                    values.iter_mut().zip(more).for_each(|(value, more)| *value += 0.3 * more);
                });
                model
            }

            fn infer(&self, steps: Self::Steps, x: &[f64]) -> Vec<Vec<f64>> {
                let x = Cpu::default().tensor_from_vec(x.to_vec(), (x.len() / Self::ITEM, $(Const::<$size>),+));
                $tape(self.with_steps(steps).try_forward(x).unwrap()).1
            }

            fn prepared(&self, steps: Self::Steps, x: &[f64]) -> Vec<Vec<f64>> {
                let device = Cpu::default();
                let x = device.tensor_from_vec(x.to_vec(), (x.len() / Self::ITEM, $(Const::<$size>),+));
                let prepared = Prepared::new(self);
                let first = $tape(prepared.try_forward_with(&device, steps, x.clone()).unwrap()).1;
                assert_eq!($tape(prepared.try_forward_with(&device, steps, x).unwrap()).1, first);
                first
            }

            fn train(&mut self, steps: Self::Steps, x: &[f64]) -> Trained {
                let device = Cpu::seed_from_u64(SEED);
                let x = device.tensor_from_vec(x.to_vec(), (x.len() / Self::ITEM, $(Const::<$size>),+));
                let y = self.with_steps_mut(steps).try_forward_mut(x.leaky_trace()).unwrap();
                let (sum, outputs) = $tape(y);
                let gradients = sum.backward();
                Trained {
                    outputs,
                    input: gradients.get(&x).as_vec(),
                    gradients: tensors::gradients(self, &gradients),
                }
            }
        }
    )+};
}

/// The weighted sum of an output, and its values.
fn weighted<S: Shape, T: Tape<f64, Cpu>>(y: Tensor<S, f64, Cpu, T>) -> (Tensor<Rank0, f64, Cpu, T>, Vec<f64>) {
    let values = y.as_vec();
    let weights = Cpu::default().tensor_from_vec(line(values.len()), *y.shape());
    ((y * weights).sum::<Rank0, _>(), values)
}

/// That of a network of one output.
fn only<S: Shape, T: Tape<f64, Cpu>>(y: Tensor<S, f64, Cpu, T>) -> (Tensor<Rank0, f64, Cpu, T>, Vec<Vec<f64>>) {
    let (sum, values) = weighted(y);
    (sum, vec![values])
}

/// That of the network with an exit.
fn both<T: Tape<f64, Cpu>>(
    y: nets::loop_halting::Output<usize, f64, Cpu, T>,
) -> (Tensor<Rank0, f64, Cpu, T>, Vec<Vec<f64>>) {
    let (classes, first) = weighted(y.classes);
    let (halted, second) = weighted(y.halted);
    (classes + halted, vec![first, second])
}

looped! {
    loop_whole [4, 5, 6] [1.into(), 2.into(), 4.into()] { steps } only;
    loop_truncated [4, 5, 6] [1.into(), 2.into(), 3.into(), 4.into()] { steps } only;
    loop_halting [3, 4, 4] [1.into(), 3.into(), 6.into()] { think } both;
    loop_nested [6] [
        nets::loop_nested::Steps::default(),
        nets::loop_nested::Steps { inner: 1, outer: 2 },
        nets::loop_nested::Steps { inner: 2, outer: 1 }
    ] { inner, outer } only;
}

fn agrees<M: Looped>() {
    let mut model = M::trained_model();
    let values = tensors::values(&model);
    let mut graph = graph_of(M::NAME, &values);
    assert_eq!(graph.parameters().len(), values.len(), "{}", M::NAME);
    let x = input::<M>(BATCH);
    for steps in M::counts() {
        let named = M::named(steps);
        for (name, count) in &named {
            graph.set_steps(name, *count).unwrap();
        }
        let what = format!("{} {named:?}", M::NAME);
        let theirs = model.infer(steps, &x);
        for ours in [graph.infer_all(&[&x]).unwrap(), model.prepared(steps, &x)] {
            for (ours, theirs) in ours.iter().zip(&theirs) {
                same_bits(&what, ours, theirs);
            }
        }
        let theirs = model.train(steps, &x);
        let device = Cpu::seed_from_u64(SEED);
        let ours = graph.train_step(&[&x], || device.random_u64(), crate::weights).unwrap();
        for (ours, theirs) in ours.outputs.iter().zip(&theirs.outputs) {
            same_bits(&format!("{what}: output"), ours, theirs);
        }
        same_bits(&format!("{what}: input"), &ours.inputs[0], &theirs.input);
        for (key, gradient) in &theirs.gradients {
            same_bits(&format!("{what}: {key}"), &ours.gradients[key], gradient);
        }
    }
}

#[test]
fn the_graph_executor_gives_the_same_bits() {
    agrees::<nets::loop_whole::Model<f64, Cpu>>();
    agrees::<nets::loop_truncated::Model<f64, Cpu>>();
    agrees::<nets::loop_halting::Model<f64, Cpu>>();
    agrees::<nets::loop_nested::Model<f64, Cpu>>();
}
