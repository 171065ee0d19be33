//! Prepared models: what they compute, and that training afterwards is seen.

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
