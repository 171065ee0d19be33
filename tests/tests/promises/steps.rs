//! Gradients, optimisers, clipping, decay and averages meet a shared kernel once.

use crate::model::*;
use ksdsl_checkpoint::File;
use ksdsl_runtime::prelude::Cpu;
use ksdsl_tests::tensors::{Values, gradients, trainable, values};
use ksdsl_train::data::{Dataset, Scaling, Sizes};
use ksdsl_train::optim::{AdamW, Average, Averaging, Decayed, Optimiser, Sgd, Statistics};
use ksdsl_train::source::Plain;
use ksdsl_train::{Recipe, Trainer};
use std::num::NonZeroUsize;

const PLAIN: Sgd = Sgd {
    momentum: 0.0,
    nesterov: false,
    decay: 0.0,
    decoupled: 0.0,
};
const RATE: f64 = 0.1;

/// The Euclidean norm of all values together.
fn norm(values: &Values<f64>) -> f64 {
    values.values().flatten().map(|value| value * value).sum::<f64>().sqrt()
}

/// `parameter - rate * gradient` for each parameter.
fn moved(parameters: &Values<f64>, gradients: &Values<f64>, rate: f64) -> Values<f64> {
    let step = |(key, values): (&String, &Vec<f64>)| {
        let values = values.iter().zip(&gradients[key]);
        (
            key.clone(),
            values.map(|(value, gradient)| value - rate * gradient).collect(),
        )
    };
    parameters.iter().map(step).collect()
}

/// A step of plain descent with these limits: the norm it reports and the parameters after it.
fn step(model: &mut Shared<f64>, clip: Option<f64>) -> (f64, Values<f64>) {
    let mut gradients = backward(model);
    let mut optimiser = Optimiser::new(PLAIN);
    (optimiser.rate, optimiser.clip) = (RATE, clip);
    let norm = optimiser.step(model, &mut gradients).unwrap();
    (norm, trainable(model))
}

/// <https://github.com/torch/DEPRECEATED-torch7-distro/issues/156>,
/// <https://github.com/meta-pytorch/opacus/issues/413>
#[test]
fn a_gradient_is_the_sum_over_the_visits() {
    let mut model = build(1);
    let sums = summed_gradients(&model);
    let backward = backward(&mut model);
    assert_all_close(&gradients(&model, &backward), &sums);
}

/// <https://github.com/pytorch/pytorch/issues/46166>
#[test]
fn a_kernel_has_one_gradient() {
    let mut model = build(2);
    let backward = backward(&mut model);
    let gradients = gradients(&model, &backward);
    // The shared tensors; the stem's convolution; scale and shift of eight norms; the last layer's kernel and bias.
    assert_eq!(gradients.len(), ties().len() + 1 + 2 * 8 + 2);
    assert_eq!(gradients.values().map(Vec::len).sum::<usize>(), PARAMETERS);
}

/// <https://github.com/torch/torch7/issues/716>
#[test]
fn a_step_moves_a_kernel_once() {
    let mut model = build(3);
    let expected = moved(&trainable(&model), &summed_gradients(&model), RATE);
    assert_all_close(&step(&mut model, None).1, &expected);
}

/// <https://github.com/NVIDIA/Megatron-LM/pull/7228>
#[test]
fn a_kernel_counts_once_in_the_norm_of_the_gradients() {
    let mut model = build(4);
    let (before, gradients) = (trainable(&model), summed_gradients(&model));
    let (norm, clip) = (norm(&gradients), 0.01);
    assert!(norm > 2.0 * clip, "nothing to clip");
    let (found, after) = step(&mut model, Some(clip));
    assert_close(&[found], &[norm]);
    // torch.nn.utils.clip_grad_norm_ scales by clip / (norm + 1e-6).
    assert_all_close(&after, &moved(&before, &gradients, RATE * clip / (norm + 1e-6)));
}

/// <https://github.com/rwth-i6/returnn/issues/1319>
#[test]
fn a_kernel_decays_once() {
    let mut model = build(5);
    let before = trainable(&model);
    let mut optimiser = Optimiser::new(AdamW {
        decay: 0.5,
        ..AdamW::default()
    });
    (optimiser.rate, optimiser.decayed) = (RATE, Decayed::All);
    // Gradients of zero leave the decay alone: Loshchilov & Hutter 2019, algorithm 2.
    let mut zeros = ksdsl_runtime::prelude::ZeroGrads::alloc_grads(&model);
    optimiser.step(&mut model, &mut zeros).unwrap();
    assert_all_close(&trainable(&model), &moved(&before, &before, RATE * 0.5));
}

/// <https://github.com/YU1ut/MixMatch-pytorch/issues/16>
#[test]
fn an_average_has_one_kernel_and_the_running_statistics() {
    let mut model = build(6);
    let mut average = Average::new(Averaging {
        decay: 0.75,
        statistics: Statistics::Averaged,
    });
    let first = values(&model);
    average.update(&model).unwrap();
    train(&mut model);
    let second = values(&model);
    average.update(&model).unwrap();
    average.swap(&mut model).unwrap();
    let mean = |(key, first): (&String, &Vec<f64>)| {
        let values = first.iter().zip(&second[key]);
        (key.clone(), values.map(|(a, b)| 0.75 * a + 0.25 * b).collect())
    };
    assert_all_close(&values(&model), &first.iter().map(mean).collect());
    assert_ne!(
        second["stem.batch_norm.running_mean"],
        first["stem.batch_norm.running_mean"]
    );
    assert_tied(&model);
}

/// Trains for two steps and gives the last checkpoint.
fn checkpoint_of_a_run() -> File {
    let folder = tempfile::tempdir().unwrap();
    let pixels = (0..8 * 3 * 6 * 6).map(|at| (at * 37 % 251) as u8).collect();
    let data = Dataset::new(
        Sizes::new([3, 6, 6], 3),
        pixels,
        (0..8).map(|image| image % 3).collect(),
    )
    .unwrap();
    let scaling = Scaling::of(&data);
    let recipe = Recipe {
        epochs: 1,
        method: AdamW::default().into(),
        average: Some(Averaging {
            decay: 0.5,
            statistics: Statistics::Averaged,
        }),
        ..Recipe::default()
    };
    let mut source = Plain::new(&data, NonZeroUsize::new(4).unwrap(), &scaling, 0);
    let run = folder.path().join("run");
    let trainer = Trainer::new(recipe).validation(&data, &scaling).folder(&run);
    trainer
        .train(&mut build::<f32>(7), &mut source, &Cpu::default())
        .unwrap();
    File::read(&run.join("last.safetensors")).unwrap()
}

/// <https://github.com/nntrainer/nntrainer/issues/1671>
#[test]
fn an_optimiser_keeps_one_state_for_a_kernel() {
    let file = checkpoint_of_a_run();
    let elements = |prefix: &str| -> usize {
        let keys = file.keys().filter(|key| key.starts_with(prefix));
        keys.map(|key| file.get(key).unwrap().data.len() / 4).sum()
    };
    // AdamW has two moments for each parameter.
    assert_eq!(elements("optimiser."), 2 * PARAMETERS);
    assert_eq!(elements("average."), PARAMETERS + STATISTICS);
    assert_eq!(elements("model."), PARAMETERS + STATISTICS);
    let kernels = file
        .keys()
        .filter(|key| key.starts_with("optimiser.") && key.ends_with(KERNEL));
    assert_eq!(kernels.count(), 2);
}
