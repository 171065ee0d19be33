//! Prepared models: what they compute, and that training afterwards is seen.

use crate::nets::chains::chained;
use crate::nets::gradients::ranked_shared;
use crate::tied::{build, images, train};
use ksdsl_runtime::cpu::Level;
use ksdsl_runtime::prelude::*;

/// The same bits as the model itself, at the first call and at later ones.
#[test]
fn prepared_models_compute_the_same() {
    let (device, mut model) = (Cpu::default(), build::<f32>(3));
    for step in 0..2 {
        let prepared = Prepared::new(&model);
        let want = model.forward(images::<f32>()).as_vec();
        for call in 0..3 {
            let got = prepared.forward(&device, images::<f32>()).as_vec();
            assert_eq!(got, want, "call {call} after {step} steps of training");
        }
        train(&mut model);
        assert_ne!(
            model.forward(images::<f32>()).as_vec(),
            want,
            "training changes the logits"
        );
    }
}

/// A kernel is prepared for each level it is used at.
#[test]
fn prepared_models_serve_every_level() {
    let (device, model) = (Cpu::default(), build::<f32>(4));
    let prepared = Prepared::new(&model);
    for level in Level::available() {
        level.with(|| {
            let got = prepared.forward(&device, images::<f32>()).as_vec();
            assert_eq!(got, model.forward(images::<f32>()).as_vec(), "{level:?}");
        });
    }
}

/// Kernels with additions of their visits' own are kept as well, one for each visit.
#[test]
fn prepared_additions_compute_the_same() {
    let device = Cpu::seed_from_u64(1);
    let mut model = device.build_module::<ranked_shared::Builder, f32>();
    let x: Tensor<Rank4<3, 4, 6, 6>, f32, _> = device.sample_normal();
    for step in 0..3 {
        let prepared = Prepared::new(&model);
        let want = model.forward(x.clone()).as_vec();
        for call in 0..2 {
            let got = prepared.forward(&device, x.clone()).as_vec();
            assert_eq!(got, want, "call {call} after {step} steps of training");
        }
        let logits = model.forward_mut(x.clone().traced(model.alloc_grads()));
        let gradients = logits.square().mean::<Rank0, _>().backward();
        Sgd::new(&model, SgdConfig::default())
            .update(&mut model, &gradients)
            .unwrap();
    }
}

/// Convolutions that run together compute what they do one after the other: as single images, whose maps
/// are too small for it, and as double precision, which does not do it.
#[test]
fn convolutions_run_together_compute_the_same() {
    const BATCH: usize = 16;
    let device = Cpu::seed_from_u64(1);
    let mut model = device.build_module::<chained::Builder, f32>();
    let x: Tensor<(usize, Const<3>, Const<16>, Const<16>), f32, _> =
        device.sample_normal_like(&(BATCH, Const, Const, Const));
    // So that running statistics are not those of a new model.
    drop(model.forward_mut(x.clone().leaky_trace()));
    let together = model.forward(x.clone()).as_vec();
    let prepared = Prepared::new(&model);
    assert_eq!(prepared.forward(&device, x.clone()).as_vec(), together);
    let values = x.as_vec();
    let alone: Vec<f32> = values
        .chunks(3 * 16 * 16)
        .flat_map(|image| {
            let image = device.tensor_from_vec(image.to_vec(), (1, Const::<3>, Const::<16>, Const::<16>));
            model.forward(image).as_vec()
        })
        .collect();
    let double = model.to_dtype::<f64>().forward(x.to_dtype::<f64>()).as_vec();
    let largest = double.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    assert_eq!(together.len(), BATCH * 3);
    for ((&together, &alone), &double) in together.iter().zip(&alone).zip(&double) {
        assert!(f64::from((together - alone).abs()) <= 1e-5 * largest);
        assert!(
            (f64::from(together) - double).abs() <= 1e-5 * largest,
            "{together} for {double}"
        );
    }
}
