//! Generated models on both devices: the same seed, the same numbers.

use crate::support::{Outcome, Rng, assert_agree, gpu};
use ksdsl_cuda_tests::counts;
use ksdsl_engine::Real as _;
use ksdsl_runtime::Scalar;
use ksdsl_runtime::backend::Backend;
use ksdsl_runtime::dfdx::tensor::{Cuda, Synchronize};
use ksdsl_runtime::prelude::*;
use ksdsl_runtime::tensors::visit;

#[allow(missing_docs, dead_code)]
pub(crate) mod gradients {
    ksdsl_runtime::include_ksn!("../nets/gradients.ksn");
}
#[allow(missing_docs, dead_code)]
pub(crate) mod papers {
    ksdsl_runtime::include_ksn!("../../examples/nets/se_resnet.ksn");
    ksdsl_runtime::include_ksn!("../../examples/nets/convmixer.ksn");
    ksdsl_runtime::include_ksn!("../../examples/nets/vit.ksn");
}

/// Gradients that stay below this are rounding.
const LEAST: f64 = 1e-5;

/// A model's tensors, or their gradients.
pub(crate) fn tensors<E: Scalar, D: Backend<E>, M: TensorCollection<E, D>>(
    model: &M,
    gradients: Option<&Gradients<E, D>>,
) -> Outcome {
    let mut read = Vec::new();
    let visited = visit::<E, D, M>(model, |slot, tensor| {
        let values = match gradients {
            None => tensor.values(),
            Some(gradients) if slot.trained => tensor.gradient(gradients),
            Some(_) => return Ok(()),
        };
        read.push((slot.key, values.iter().map(|value| value.wide()).collect()));
        Ok(())
    });
    assert!(visited.is_ok());
    read
}

/// Images for a batch.
pub(crate) fn images<E: Scalar>(len: usize) -> Vec<E> {
    Rng(5).values(len).iter().map(|&value| E::of(1.5 * value)).collect()
}

/// Logits of inference and training, gradients, tensors afterwards.
macro_rules! outcome {
    ($device:expr, $E:ty, $builder:ty, $batch:literal, [$($size:literal),+]) => {{
        let device = $device;
        let mut model = device.build_module::<$builder, $E>();
        let shape = ($batch, $(Const::<$size>),+);
        let x = device.tensor_from_vec(images::<$E>($batch $(* $size)+), shape);
        let mut outcome = Outcome::new();
        let wide = |values: Vec<$E>| -> Vec<f64> { values.iter().map(|value| value.wide()).collect() };
        outcome.push(("inference".into(), wide(model.forward(x.clone()).as_vec())));
        let prepared = Prepared::new(&model).forward(&device, x.clone());
        outcome.push(("prepared".into(), wide(prepared.as_vec())));
        let y = model.forward_mut(x.leaky_trace());
        outcome.push(("training".into(), wide(y.as_vec())));
        let gradients = y.square().mean().backward();
        outcome.push(("input".into(), wide(gradients.get(&x).as_vec())));
        outcome.extend(tensors(&model, Some(&gradients)));
        outcome.extend(tensors(&model, None));
        outcome
    }};
}

macro_rules! agree {
    ($($name:ident [$($size:literal),+];)+) => {$(
        #[test]
        fn $name() {
            let gpu = gpu(1);
            let want = outcome!(Cpu::seed_from_u64(1), f64, gradients::$name::Builder, 3, [$($size),+]);
            let got = outcome!(gpu.device.clone(), f64, gradients::$name::Builder, 3, [$($size),+]);
            assert!(want.len() > 4);
            assert_agree(&got, &want, LEAST, 1e-9);
        }
    )+};
}

agree! {
    identities_shared [3, 6, 5];
    projections_shared [3, 8, 8];
    preactivation_shared [4, 6, 6];
    excitation_shared [4, 6, 6];
    mixer_shared [3, 8, 8];
    grouped_shared [4, 6, 6];
    geometry_shared [4, 9, 10];
    inception_shared [4, 6, 6];
    gates_shared [4, 5, 5];
    perceptron_shared [6];
    across_shared [6, 8, 8];
    crossed_shared [4, 5, 5];
    norms_shared [4, 5, 5];
    windows_shared [2, 11, 12];
    sums_shared [4, 6, 6];
    mapped_shared [4, 5, 5];
    whole_blocks_shared [3, 5, 5];
    transformer_shared [2, 4, 6];
    loops_shared [4, 5, 4];
    values_shared [4, 6, 6];
    sequences_shared [2, 4, 6];
    sounding_shared [2, 2, 5];
    windowed_shared [2, 4, 6];
    scaled_shared [4, 5, 5];
}

/// The paper's networks, whose initial values are those of the examples, in `f32`.
macro_rules! papers {
    ($($test:ident: $name:ident $batch:literal [$($size:literal),+];)+) => {$(
        #[test]
        fn $test() {
            let gpu = gpu(1);
            let want = outcome!(Cpu::seed_from_u64(1), f64, papers::$name::Builder, $batch, [$($size),+]);
            let got = outcome!(gpu.device.clone(), f32, papers::$name::Builder, $batch, [$($size),+]);
            let worst = assert_agree(&got, &want, LEAST, 1e-4);
            println!("{}: greatest relative error {worst:.1e}", stringify!($name));
        }
    )+};
}

papers! {
    se_resnet_agrees: se_resnet 4 [3, 32, 32];
    convmixer_agrees: convmixer 2 [3, 32, 32];
    vit_agrees: vit_shared 4 [1, 8, 8];
}

/// From the input on the device to the logits on the device, and back to the gradients, nothing is
/// copied from or to the host; and a step leaves no memory behind.
#[test]
fn nothing_is_copied_to_the_host_inside_a_network() {
    let gpu = gpu(1);
    let device = gpu.device.clone();
    let mut model = device.build_module::<papers::se_resnet::Builder, f32>();
    let x = device.tensor_from_vec(
        images::<f32>(2 * 3 * 32 * 32),
        (2, Const::<3>, Const::<32>, Const::<32>),
    );
    let step = |model: &mut papers::se_resnet::Model<f32, Cuda>| {
        let before = counts();
        let mut gradients = model.alloc_grads();
        let y = model.forward_mut(x.trace(gradients));
        let forward = counts();
        let loss = y.square().mean();
        gradients = loss.backward();
        (before, forward, counts(), gradients)
    };
    let _ = step(&mut model);
    let (before, forward, _, gradients) = step(&mut model);
    device.synchronize();
    drop(gradients);
    if let (Some(before), Some(forward)) = (before, forward) {
        assert_eq!(before.to_host, forward.to_host);
        assert_eq!(before.to_device, forward.to_device);
        println!(
            "forward pass: {} kernels, {} products",
            forward.launches - before.launches,
            forward.products - before.products
        );
    }
    let (in_use, _, _, _) = step(&mut model);
    let (later, _, after, _) = step(&mut model);
    assert_eq!(in_use.map(|counts| counts.bytes), later.map(|counts| counts.bytes));
    // Backward, dfdx's loss is the only thing that may copy (the sizes of its reductions).
    if let (Some(later), Some(after)) = (later, after) {
        assert_eq!(later.to_host, after.to_host);
        assert!(after.to_device - later.to_device <= 8, "{later:?} {after:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let gpu = gpu(1);
    let [a, b] = [(); 2].map(|()| {
        let device = ksdsl_runtime::cuda::device_with_seed(0, 3).unwrap();
        outcome!(device, f32, gradients::projections_shared::Builder, 3, [3, 8, 8])
    });
    drop(gpu);
    for ((name, a), (_, b)) in a.iter().zip(&b) {
        assert!(a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()), "{name}");
    }
}
