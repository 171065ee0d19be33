//! What copies, moves, loads or runs a model leaves one tensor for all visits.

use crate::model::*;
use ksdsl_runtime::checkpoint;
use ksdsl_runtime::prelude::*;
use ksdsl_tests::tensors::{trainable, values};

/// <https://github.com/pytorch/pytorch/issues/79788>, <https://github.com/learnables/learn2learn/issues/174>
#[test]
fn a_clone_has_one_kernel() {
    let original = build(1);
    let before = values(&original);
    assert_stays_tied(&mut original.clone());
    assert_eq!(values(&original), before);
}

/// <https://github.com/tracel-ai/burn/issues/5384>
#[test]
fn a_clone_is_saved_as_the_original() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["original", "clone"].map(|name| folder.path().join(name));
    let original = build::<f64>(2);
    checkpoint::save(&original.clone(), &paths[1]).unwrap();
    checkpoint::save(&original, &paths[0]).unwrap();
    let [original, clone] = paths.map(|path| std::fs::read(path).unwrap());
    assert_eq!(original, clone);
}

/// <https://github.com/pytorch/pytorch/issues/188346>, <https://github.com/huggingface/accelerate/pull/1204>
#[test]
fn loading_keeps_the_tie() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    checkpoint::save(&build::<f64>(3), &path).unwrap();
    let mut loaded = build::<f64>(4);
    checkpoint::load(&mut loaded, &path).unwrap();
    assert_stays_tied(&mut loaded);
}

/// <https://github.com/keras-team/keras/issues/9571>, <https://github.com/keras-team/keras/issues/10898>
#[test]
fn a_loaded_model_trains_as_the_saved_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let (mut saved, mut loaded) = (build::<f64>(5), build::<f64>(6));
    checkpoint::save(&saved, &path).unwrap();
    checkpoint::load(&mut loaded, &path).unwrap();
    train(&mut saved);
    train(&mut loaded);
    assert_eq!(values(&loaded), values(&saved));
}

/// <https://github.com/huggingface/transformers/pull/44471>, <https://github.com/pytorch/xla/issues/2719>,
/// <https://github.com/huggingface/accelerate/issues/993>
#[test]
fn moving_to_a_device_keeps_the_tie() {
    let model = build(7);
    let mut moved: Shared<f64> = model.to_device(&Cpu::seed_from_u64(8));
    assert_eq!(values(&moved), values(&model));
    assert_stays_tied(&mut moved);
}

/// <https://github.com/google/torchax/issues/68>
#[test]
fn changing_the_precision_keeps_the_tie() {
    let model = build::<f32>(9);
    let mut wide: Shared<f64> = model.to_dtype();
    assert_eq!(values(&wide)[KERNEL][0], f64::from(values(&model)[KERNEL][0]));
    assert_stays_tied(&mut wide);
}

/// <https://github.com/pytorch/pytorch/pull/195593>
#[test]
fn a_pass_leaves_the_parameters_alone() {
    let mut model = build(10);
    let before = trainable(&model);
    logits(&model);
    assert_eq!(trainable(&model), before);
    drop(backward(&mut model));
    assert_eq!(trainable(&model), before);
}

/// <https://github.com/google/flax/issues/1263>
#[test]
fn visits_stay_equal_in_training() {
    let mut model = build(11);
    let before = values(&model);
    train(&mut model);
    assert_ne!(values(&model)[KERNEL], before[KERNEL]);
    assert_tied(&model);
}

/// <https://github.com/Modalities/modalities/pull/456>
#[test]
fn a_shared_kernel_starts_as_one_layer_would() {
    // As PyTorch's layers do: uniform within 1 / sqrt(fan in), here of 4 channels and 3 x 3 positions. The variance
    // of 144 such values is that of the distribution, bound^2 / 3, within 3 deviations of 11 % / sqrt(144 / 2).
    let kernel = &values(&build::<f64>(12))[KERNEL];
    let bound = 1.0 / 36_f64.sqrt();
    assert!(kernel.iter().all(|value| value.abs() <= bound));
    let variance = kernel.iter().map(|value| value * value).sum::<f64>() / 144.0;
    assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 0.25, "{variance}");
}
