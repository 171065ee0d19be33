//! Training and inference, and what decides a model's initial values.

use crate::net::{BATCH, Net, images};
use crate::nets::gradients::projections_shared;
use crate::nets::tied::dropping;
use crate::tensors::{trainable, values};
use ksdsl_runtime::prelude::*;

type Projections = projections_shared::Model<f64, Cpu>;

#[test]
fn only_training_moves_running_statistics() {
    let mut model = Projections::seeded(1);
    let images = images::<Projections>();
    let before = values(&model);
    model.infer(&images);
    assert_eq!(values(&model), before);
    model.train(&images);
    for (key, after) in values(&model) {
        let moved = after != before[&key];
        assert_eq!(moved, key.contains(".running_"), "{key}");
    }
    let once = values(&model);
    model.train(&images);
    assert!(values(&model).iter().any(|(key, values)| *values != once[key]));
}

#[test]
fn training_normalises_by_the_batch_and_inference_does_not() {
    let mut model = Projections::seeded(1);
    let images = images::<Projections>();
    let before = model.infer(&images);
    let trained = model.train(&images).logits;
    assert_ne!(before, trained);
    assert_ne!(model.infer(&images), before, "inference uses the running statistics");
}

#[test]
fn inference_looks_at_each_image_alone() {
    let mut model = Projections::seeded(1);
    let images = images::<Projections>();
    model.train(&images);
    let together = model.infer(&images);
    assert_eq!(model.infer(&images), together);
    let alone: Vec<f64> = images
        .chunks(Projections::IMAGE)
        .flat_map(|image| model.infer(image))
        .collect();
    assert_eq!(alone.len(), together.len());
    assert_eq!(together.len(), BATCH * 3);
    for (alone, together) in alone.iter().zip(&together) {
        assert!((alone - together).abs() < 1e-12);
    }
}

#[test]
fn dropout_is_for_training_and_the_seed_decides_it() {
    let mut model = Cpu::seed_from_u64(1).build_module::<dropping::Builder, f32>();
    let logits = |model: &mut dropping::Model<f32, Cpu>, seed: Option<u64>| -> Vec<f32> {
        let device = Cpu::seed_from_u64(seed.unwrap_or(0));
        let x = device.tensor_from_vec(vec![1.0; 16], (1, Const::<16>));
        match seed {
            Some(_) => model.forward_mut(x.leaky_trace()).as_vec(),
            None => model.forward(x).as_vec(),
        }
    };
    assert_eq!(logits(&mut model, None), logits(&mut model, None));
    assert_eq!(logits(&mut model, Some(1)), logits(&mut model, Some(1)));
    assert_ne!(logits(&mut model, Some(1)), logits(&mut model, Some(2)));
    assert_ne!(logits(&mut model, Some(1)), logits(&mut model, None));
}

#[test]
fn the_device_s_seed_decides_the_initial_values() {
    let (one, same, other) = (Projections::seeded(1), Projections::seeded(1), Projections::seeded(2));
    assert_eq!(values(&one), values(&same));
    for (key, values) in trainable(&one) {
        let constant = key.contains("norm");
        assert_eq!(trainable(&other)[&key] == values, constant, "{key}");
    }
}
