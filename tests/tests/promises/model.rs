//! The network of these tests, with sharing and without; what belongs together is written down here by hand.

use ksdsl_runtime::Scalar;
use ksdsl_runtime::backend::Backend;
use ksdsl_runtime::prelude::*;
use ksdsl_tests::tensors::{self, Values, values};

/// `tests/nets/tied.ksn`.
#[allow(missing_docs)]
mod nets {
    ksdsl_runtime::include_generated!("tied");
}

pub(crate) use nets::{tied_free, tied_shared};

/// The network whose layers share: a convolution kernel for three layers, two linear kernels with biases for four.
pub(crate) type Shared<E> = tied_shared::Model<E, Cpu>;
/// The network without sharing.
pub(crate) type Free = tied_free::Model<f64, Cpu>;
/// Images of the network.
pub(crate) type Images<E> = Tensor<(usize, Const<3>, Const<6>, Const<6>), E, Cpu>;

/// The key of the kernel that three convolutions share.
pub(crate) const KERNEL: &str = "shared.kernel.weight";
/// Trainable parameters: the first convolution and its norm; one kernel for three visits; their norms; two kernels
/// with biases for four visits; their layer norms; the last layer.
pub(crate) const PARAMETERS: usize = 3 * 4 * 9 + 8 + 4 * 4 * 9 + 3 * 8 + 2 * (4 * 4 + 4) + 4 * 8 + (4 * 3 + 3);
/// The same with a kernel for each layer.
pub(crate) const UNSHARED: usize = PARAMETERS + 2 * 4 * 4 * 9 + 2 * (4 * 4 + 4);
/// Running means and variances of four batch norms.
pub(crate) const STATISTICS: usize = 4 * 8;
/// Values in an image.
pub(crate) const IMAGE: usize = 3 * 6 * 6;

/// The shared tensors and the tensors that the layers would have without sharing.
pub(crate) fn ties() -> Vec<(&'static str, Vec<String>)> {
    let up = |layers: [usize; 2], tensor| layers.map(|layer| format!("head.{layer}.up.{tensor}")).to_vec();
    vec![
        (
            KERNEL,
            (0..3).map(|block| format!("body.{block}.conv.weight")).collect(),
        ),
        ("shared.ups.0.bias", up([0, 1], "bias")),
        ("shared.ups.0.weight", up([0, 1], "weight")),
        ("shared.ups.1.bias", up([2, 3], "bias")),
        ("shared.ups.1.weight", up([2, 3], "weight")),
    ]
}

/// The key of the shared network's tensor that stands for one of the network without sharing.
fn owner(key: &str) -> String {
    let tie = ties()
        .into_iter()
        .find(|(_, copies)| copies.iter().any(|copy| copy == key));
    tie.map_or(key, |(owner, _)| owner).to_owned()
}

pub(crate) fn build<E: Scalar>(seed: u64) -> Shared<E>
where
    Cpu: Backend<E>,
{
    Cpu::seed_from_u64(seed).build_module::<tied_shared::Builder, E>()
}

/// Values between -1 and 1, always the same.
fn pixels(count: usize) -> impl Iterator<Item = f64> {
    (0..count).map(|at| (1.7 * at as f64).sin())
}

pub(crate) fn images<E: Scalar>(count: usize) -> Images<E>
where
    Cpu: Backend<E>,
{
    tensor(pixels(count * IMAGE).map(E::of).collect())
}

/// Images of these pixels.
pub(crate) fn tensor<E: Scalar>(pixels: Vec<E>) -> Images<E>
where
    Cpu: Backend<E>,
{
    let count = pixels.len() / IMAGE;
    Cpu::default().tensor_from_vec(pixels, (count, Const, Const, Const))
}

/// The logits of inference for four images.
pub(crate) fn logits(model: &Shared<f64>) -> Vec<f64> {
    model.forward(images(4)).as_vec()
}

/// The network without sharing, with the values that the shared tensors have in each of its layers.
pub(crate) fn unrolled(model: &Shared<f64>) -> Free {
    let mut free = Cpu::default().build_module::<tied_free::Builder, f64>();
    let shared = values(model);
    tensors::change(&mut free, |key, to| to.copy_from_slice(&shared[&owner(key)]));
    free
}

/// [`backward`] for both networks, which have no type in common.
macro_rules! gradients {
    ($model:expr) => {{
        let traced = images(4).traced($model.alloc_grads());
        $model.forward_mut(traced).square().mean().backward()
    }};
}

/// The gradients of a training pass on four images.
pub(crate) fn backward(model: &mut Shared<f64>) -> Gradients<f64, Cpu> {
    gradients!(model)
}

/// For each tensor of the shared network the sum of the gradients that its visits have without sharing.
pub(crate) fn summed_gradients(model: &Shared<f64>) -> Values<f64> {
    let mut free = unrolled(model);
    let backward = gradients!(free);
    let mut sums = Values::new();
    for (key, gradient) in tensors::gradients(&free, &backward) {
        let sum: &mut Vec<f64> = sums.entry(owner(&key)).or_insert_with(|| vec![0.0; gradient.len()]);
        sum.iter_mut().zip(gradient).for_each(|(sum, more)| *sum += more);
    }
    sums
}

/// Gives the kernel of the convolutions other values.
pub(crate) fn change_the_kernel(model: &mut Shared<f64>) {
    tensors::change(model, |key, values| {
        if key == KERNEL {
            values
                .iter_mut()
                .zip(pixels(144))
                .for_each(|(value, other)| *value = other / 3.0);
        }
    });
}

/// Three steps of training by dfdx's own optimiser.
pub(crate) fn train(model: &mut Shared<f64>) {
    let mut optimiser = Adam::new(
        model,
        AdamConfig {
            lr: 0.01,
            ..AdamConfig::default()
        },
    );
    for _ in 0..3 {
        let gradients = backward(model);
        optimiser.update(model, &gradients).unwrap();
    }
}

/// That every layer uses the shared tensors as they are now, and that each is there once.
#[track_caller]
pub(crate) fn assert_tied(model: &Shared<f64>) {
    assert_eq!(model.num_trainable_params(), PARAMETERS);
    assert_close(&logits(model), &unrolled(model).forward(images(4)).as_vec());
}

/// That a change of the kernel reaches every layer that uses it.
#[track_caller]
pub(crate) fn assert_stays_tied(model: &mut Shared<f64>) {
    let before = logits(model);
    change_the_kernel(model);
    assert_ne!(logits(model), before);
    assert_tied(model);
    train(model);
    assert_tied(model);
}

/// Equal up to the rounding of `f64`.
#[track_caller]
pub(crate) fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let error = (found - expected).abs();
        assert!(error <= 1e-12 * expected.abs().max(1.0), "{found} is not {expected}");
    }
}

/// Equal tensors, up to the rounding of `f64`.
#[track_caller]
pub(crate) fn assert_all_close(found: &Values<f64>, expected: &Values<f64>) {
    assert!(found.keys().eq(expected.keys()), "other tensors");
    for (key, found) in found {
        assert_close(found, &expected[key]);
    }
}
