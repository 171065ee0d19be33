//! Training on both devices from the same seed, and checkpoints from one to the other.

use crate::nets::{gradients, images, papers, tensors};
use crate::support::{Outcome, assert_agree, gpu};
use ksdsl_runtime::dfdx::tensor::Cuda;
use ksdsl_runtime::prelude::*;

const STEPS: usize = 10;
/// Values that stay below this are rounding.
const LEAST: f64 = 1e-5;

/// The losses of ten steps on one batch, and the tensors after them.
macro_rules! trained {
    ($device:expr, $Dev:ty, $builder:ty, $batch:literal, [$($size:literal),+], $optimiser:expr) => {{
        let device: $Dev = $device;
        let mut model = device.build_module::<$builder, f32>();
        let x = device.tensor_from_vec(images::<f32>($batch $(* $size)+), ($batch, $(Const::<$size>),+));
        let mut optimiser = $optimiser(&model);
        let mut gradients = model.alloc_grads();
        let mut losses = Vec::new();
        for _ in 0..STEPS {
            let y = model.forward_mut(x.trace(gradients));
            let classes = y.shape().concrete()[1];
            let mut wanted = vec![0.0; $batch * classes];
            (0..$batch).for_each(|n| wanted[n * classes + n % classes] = 1.0_f32);
            let targets = device.tensor_from_vec(wanted, *y.shape());
            let loss = cross_entropy_with_logits_loss(y, targets);
            losses.push(f64::from(loss.array()));
            gradients = loss.backward();
            optimiser.update(&mut model, &gradients).unwrap();
            model.zero_grads(&mut gradients);
        }
        let mut outcome: Outcome = vec![("losses".into(), losses)];
        outcome.extend(tensors(&model, None));
        outcome
    }};
}

const SGD: SgdConfig = SgdConfig {
    lr: 0.05,
    momentum: Some(Momentum::Classic(0.9)),
    weight_decay: Some(WeightDecay::L2(1e-4)),
};

macro_rules! parity {
    ($($test:ident: $builder:ty, $batch:literal [$($size:literal),+], $tolerance:literal;)+) => {$(
        #[test]
        fn $test() {
            let gpu = gpu(7);
            let want = trained!(Cpu::seed_from_u64(7), Cpu, $builder, $batch, [$($size),+], |model| Sgd::new(model, SGD));
            let got = trained!(gpu.device.clone(), Cuda, $builder, $batch, [$($size),+], |model| Sgd::new(model, SGD));
            println!("losses on the CPU {:?}, on the GPU {:?}", want[0].1, got[0].1);
            assert!(want[0].1[STEPS - 1] < want[0].1[0], "the loss falls");
            let worst = assert_agree(&got, &want, LEAST, $tolerance);
            println!("greatest relative difference after {STEPS} steps {worst:.1e}");
        }
    )+};
}

// SE-ResNet on two images: rounding decides on which side of zero a ReLU's input lies, and the steps that follow
// make more of it.
parity! {
    projections_train_alike: gradients::projections_shared::Builder, 3 [3, 8, 8], 1e-3;
    transformer_trains_alike: gradients::transformer_shared::Builder, 3 [2, 4, 6], 1e-3;
    vit_trains_alike: papers::vit_shared::Builder, 8 [1, 8, 8], 1e-3;
    se_resnet_trains_alike: papers::se_resnet::Builder, 2 [3, 32, 32], 3e-2;
}

#[test]
fn adam_trains_alike() {
    type Net = gradients::identities_shared::Builder;
    let gpu = gpu(7);
    let config = AdamConfig {
        lr: 1e-2,
        ..Default::default()
    };
    let want = trained!(Cpu::seed_from_u64(7), Cpu, Net, 3, [3, 6, 5], |model| Adam::new(
        model, config
    ));
    let got = trained!(gpu.device.clone(), Cuda, Net, 3, [3, 6, 5], |model| Adam::new(
        model, config
    ));
    assert_agree(&got, &want, LEAST, 1e-3);
}

/// A checkpoint of either device loads on the other, bit for bit.
#[test]
fn checkpoints_move_between_the_devices() {
    type Net = gradients::projections_shared::Builder;
    let gpu = gpu(1);
    let (cpu, device) = (Cpu::seed_from_u64(2), gpu.device.clone());
    let folder = tempfile::tempdir().unwrap();
    let [from_gpu, from_cpu] = ["gpu", "cpu"].map(|name| folder.path().join(name));

    let on_gpu = device.build_module::<Net, f32>();
    let mut on_cpu = cpu.build_module::<Net, f32>();
    assert_ne!(tensors(&on_gpu, None), tensors(&on_cpu, None));
    checkpoint::save(&on_gpu, &from_gpu).unwrap();
    checkpoint::load(&mut on_cpu, &from_gpu).unwrap();
    assert_eq!(tensors(&on_gpu, None), tensors(&on_cpu, None));

    let other = cpu.build_module::<Net, f32>();
    let mut on_gpu = on_gpu;
    checkpoint::save(&other, &from_cpu).unwrap();
    checkpoint::load(&mut on_gpu, &from_cpu).unwrap();
    assert_eq!(tensors(&on_gpu, None), tensors(&other, None));
    assert_eq!(
        std::fs::read(&from_gpu).unwrap().len(),
        std::fs::read(&from_cpu).unwrap().len()
    );
}
