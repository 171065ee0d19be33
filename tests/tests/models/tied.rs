//! To dfdx a shared kernel is one tensor: whatever it does to a model, all visits see it.

use crate::net::noise;
use crate::nets::tied::{tied_free as free, tied_shared as shared};
use crate::tensors::{self, Values, gradients, trainable, values};
use crate::visits::{summary, unrolled, visits};
use ksdsl_runtime::Scalar;
use ksdsl_runtime::backend::Backend;
use ksdsl_runtime::prelude::*;

/// The network's parameters, by hand: the stem's convolution and its norm; one kernel for three
/// visits; three norms; two kernels with biases for four visits; four layer norms; the last layer.
pub(crate) const PARAMETERS: usize = 3 * 4 * 9 + 8 + 4 * 4 * 9 + 3 * 8 + 2 * (4 * 4 + 4) + 4 * 8 + (4 * 3 + 3);
/// Running means and variances of the four batch norms.
pub(crate) const BUFFERS: usize = 4 * 8;

/// Images in a batch.
const BATCH: usize = 4;

/// The network with shared kernels.
pub(crate) type Shared<E> = shared::Model<E, Cpu>;

/// Builds the network from a seed.
pub(crate) fn build<E: Scalar>(seed: u64) -> Shared<E>
where
    Cpu: Backend<E>,
{
    Cpu::seed_from_u64(seed).build_module::<shared::Builder, E>()
}

pub(crate) fn images<E: Scalar>() -> Tensor<(usize, Const<3>, Const<6>, Const<6>), E, Cpu>
where
    Cpu: Backend<E>,
{
    let mut noise = noise(7);
    let pixels = (0..BATCH * 3 * 6 * 6).map(|_| E::of(noise())).collect();
    Cpu::default().tensor_from_vec(pixels, (BATCH, Const, Const, Const))
}

/// The logits of inference.
pub(crate) fn logits<E: Scalar>(model: &Shared<E>) -> Vec<E>
where
    Cpu: Backend<E>,
{
    model.forward(images()).as_vec()
}

/// The gradients of a training pass.
macro_rules! backward {
    ($model:expr) => {{
        let traced = images().traced($model.alloc_grads());
        $model.forward_mut(traced).square().mean().backward()
    }};
}

/// Three steps of training.
pub(crate) fn train<E: Scalar>(model: &mut Shared<E>)
where
    Cpu: Backend<E>,
{
    let mut optimizer = Sgd::new(model, SgdConfig::default());
    for _ in 0..3 {
        let gradients = backward!(model);
        optimizer.update(model, &gradients).unwrap();
    }
}

/// What values of this type agree to.
fn tolerance<E: Scalar>() -> f64 {
    1e3 * E::epsilon().wide()
}

fn assert_close<E: Scalar>(what: &str, a: &[E], b: &[E]) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a.wide(), b.wide());
        assert!(
            (a - b).abs() <= tolerance::<E>() * a.abs().max(1.0),
            "{what}: {a} against {b}"
        );
    }
}

/// The network without sharing, with this model's values at every visit.
fn unroll<E: Scalar>(model: &Shared<E>) -> free::Model<E, Cpu>
where
    Cpu: Backend<E>,
{
    let mut unshared = Cpu::default().build_module::<free::Builder, E>();
    let equal = unrolled(&summary("tied", "tied_shared"), &values(model), &values(&unshared));
    tensors::write(&mut unshared, &equal);
    unshared
}

/// All visits use the model's kernels, and those are counted once.
fn assert_tied<E: Scalar>(model: &Shared<E>)
where
    Cpu: Backend<E>,
{
    assert_eq!(model.num_trainable_params(), PARAMETERS);
    assert_close("logits", &logits(model), &unroll(model).forward(images()).as_vec());
}

/// Runs generic tests in both precisions.
macro_rules! in_both_precisions {
    ($($test:ident)+) => {
        mod single {
            $(#[test]
            fn $test() {
                super::$test::<f32>();
            })+
        }

        mod double {
            $(#[test]
            fn $test() {
                super::$test::<f64>();
            })+
        }
    };
}

in_both_precisions! {
    is_counted_once
    sgd_steps_once
    adam_steps_once
    rmsprop_steps_once
    is_averaged_once
    is_reset
    clones_are_models_of_their_own
    moves_to_a_device
}

fn is_counted_once<E: Scalar>()
where
    Cpu: Backend<E>,
{
    let model = build::<E>(1);
    assert_tied(&model);
    assert_eq!(shared::PARAMETERS, PARAMETERS as u64);
    // Two more visits of the convolution and of each linear kernel.
    let unshared = PARAMETERS + 2 * 4 * 4 * 9 + 2 * (4 * 4 + 4);
    assert_eq!(shared::UNSHARED_PARAMETERS, unshared as u64);
    assert_eq!(unroll(&model).num_trainable_params(), unshared);
    assert_eq!(free::PARAMETERS, unshared as u64);
}

/// One step from `model`: `update` says what becomes of a value with a gradient, which is the sum
/// over the visits of the network without sharing.
fn steps_once<E: Scalar, O: Optimizer<Shared<E>, Cpu, E>>(
    optimizer: impl FnOnce(&Shared<E>) -> O,
    update: impl Fn(f64, f64) -> f64,
) where
    Cpu: Backend<E>,
{
    let mut model = build::<E>(2);
    let before = trainable(&model);
    let mut unshared = unroll(&model);
    let backward_free = backward!(unshared);
    let per_visit = gradients(&unshared, &backward_free);
    let backward = backward!(model);
    let mut optimizer = optimizer(&model);
    assert!(
        optimizer.update(&mut model, &backward).is_ok(),
        "a tensor has no gradient"
    );

    let visits = visits(&summary("tied", "tied_shared"), per_visit.keys());
    for (key, after) in trainable(&model) {
        let expected: Vec<E> = (0..after.len())
            .map(|at| {
                let gradient: f64 = visits[&key].iter().map(|visit| per_visit[visit][at].wide()).sum();
                E::of(update(before[&key][at].wide(), gradient))
            })
            .collect();
        assert_close(&key, &after, &expected);
    }
    assert_ne!(
        trainable(&model)["shared.kernel.weight"],
        before["shared.kernel.weight"]
    );
    assert_tied(&model);
}

fn sgd_steps_once<E: Scalar>()
where
    Cpu: Backend<E>,
{
    let config = SgdConfig {
        lr: 0.1,
        momentum: Some(Momentum::Classic(0.9)),
        weight_decay: None,
    };
    // The first velocity is the gradient.
    steps_once::<E, _>(|model| Sgd::new(model, config), |w, g| w - 0.1 * g);
}

fn adam_steps_once<E: Scalar>()
where
    Cpu: Backend<E>,
{
    // An epsilon like the gradients, so that the step depends on their size.
    let config = AdamConfig {
        lr: 0.1,
        eps: 0.1,
        ..AdamConfig::default()
    };
    // Kingma & Ba 2015, algorithm 1: both corrected moments of the first step are those of g alone.
    steps_once::<E, _>(|model| Adam::new(model, config), |w, g| w - 0.1 * g / (g.abs() + 0.1));
}

fn rmsprop_steps_once<E: Scalar>()
where
    Cpu: Backend<E>,
{
    let config = RMSpropConfig {
        lr: 0.1,
        ..RMSpropConfig::default()
    };
    // As dfdx has it: the average of squares starts at 1, and epsilon is under the root.
    let update = |w: f64, g: f64| w - 0.1 * g / (0.9 + 0.1 * g * g + 1e-8).sqrt();
    steps_once::<E, _>(|model| RMSprop::new(model, config), update);
}

fn is_averaged_once<E: Scalar>()
where
    Cpu: Backend<E>,
{
    let (mut average, mut model) = (build::<E>(3), build::<E>(4));
    train(&mut model);
    let (old, new) = (values(&average), trainable(&model));
    average.ema(&model, 0.75);
    for (key, value) in values(&average) {
        let expected: Vec<E> = match new.get(&key) {
            Some(new) => {
                let pairs = old[&key].iter().zip(new);
                pairs
                    .map(|(old, new)| E::of(0.75 * old.wide() + 0.25 * new.wide()))
                    .collect()
            }
            // dfdx leaves running statistics alone.
            None => old[&key].clone(),
        };
        assert_close(&key, &value, &expected);
    }
    assert_tied(&average);
}

fn is_reset<E: Scalar>()
where
    Cpu: Backend<E>,
{
    let mut model = build::<E>(5);
    train(&mut model);
    let before = values(&model);
    model.reset_params();
    let after = values(&model);
    for (key, values) in &after {
        // Kernels and biases of fan-in f start uniform within 1 / sqrt(f), as in PyTorch.
        let start = match key.rsplit_once('.').unwrap() {
            (layer, "weight") if layer.contains("norm") => (1.0, 1.0),
            (layer, "bias") if layer.contains("norm") => (0.0, 0.0),
            (_, "running_mean") => (0.0, 0.0),
            (_, "running_var") => (1.0, 1.0),
            ("stem.conv", _) => (-1.0 / 27_f64.sqrt(), 1.0 / 27_f64.sqrt()),
            ("shared.kernel", _) => (-1.0 / 36_f64.sqrt(), 1.0 / 36_f64.sqrt()),
            _ => (-0.5, 0.5),
        };
        assert_ne!(*values, before[key], "{key}");
        let within = |value: &E| (start.0..=start.1).contains(&value.wide()) || (value.wide() - start.0).abs() < 1e-7;
        assert!(values.iter().all(within), "{key}: {values:?}");
    }
    assert_tied(&model);
}

fn clones_are_models_of_their_own<E: Scalar>()
where
    Cpu: Backend<E>,
{
    let mut original = build::<E>(6);
    train(&mut original);
    let before: Values<E> = values(&original);
    let mut clone = original.clone();
    assert_eq!(values(&clone), before);
    train(&mut clone);
    let of_clone = values(&clone);
    assert_ne!(of_clone["shared.kernel.weight"], before["shared.kernel.weight"]);
    assert_eq!(values(&original), before);
    assert_tied(&clone);
    assert_tied(&original);
    train(&mut original);
    assert_eq!(values(&clone), of_clone);
    // From the same values, by the same steps.
    assert_eq!(values(&original), of_clone);
}

fn moves_to_a_device<E: Scalar>()
where
    Cpu: Backend<E>,
{
    let mut model = build::<E>(7);
    train(&mut model);
    let before = values(&model);
    let mut moved: Shared<E> = model.to_device(&Cpu::seed_from_u64(8));
    assert_eq!(values(&moved), before);
    train(&mut moved);
    assert_tied(&moved);
    assert_eq!(values(&model), before);
}

#[test]
fn changes_its_precision() {
    let mut model = build::<f32>(9);
    train(&mut model);
    let mut wide: Shared<f64> = model.to_dtype::<f64>();
    let widened = |values: Values<f32>| -> Values<f64> {
        let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
        values.into_iter().map(|(key, values)| (key, wide(values))).collect()
    };
    assert_eq!(values(&wide), widened(values(&model)));
    for (wide, single) in logits(&wide).iter().zip(logits(&model)) {
        assert!((wide - f64::from(single)).abs() < 1e-5);
    }
    assert_tied(&wide);
    train(&mut wide);
    assert_tied(&wide);
    let narrow: Shared<f32> = wide.to_dtype::<f32>();
    assert_tied(&narrow);
}
