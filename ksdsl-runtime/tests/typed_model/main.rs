//! A model as the code generator writes them: one 3x3 kernel shared by three visits, two blocks in
//! a `Repeat`, residuals, squeeze-and-excitation.

mod model;

use dfdx::nn::{LoadFromNpz, LoadFromSafetensors, NumParams, SaveToNpz, SaveToSafetensors, ToDevice, ZeroGrads};
use dfdx::optim::{Momentum, Optimizer, Sgd, SgdConfig};
use dfdx::tensor::{AsArray, Cpu, Gradients, SampleTensor, TensorFromVec, Trace};
use dfdx::tensor_ops::{Backward, MeanTo, SumTo};
use ksdsl_runtime::dfdx;
use ksdsl_runtime::generated::*;
use ksdsl_runtime::tensors;
use model::{Input, Model, PARAMETERS, Visits};

/// Binds the kernels of one pass.
type Binder<'a> = dyn FnMut(&mut Context<f64, Cpu, OwnedTape<f64, Cpu>>) -> Visits<f64, Cpu> + 'a;

fn seeded_model(seed: u64) -> (Cpu, Model<f64, Cpu>) {
    let device = Cpu::seed_from_u64(seed);
    let model = Model::<f64, Cpu>::build(&device);
    (device, model)
}

fn count(haystack: &[u8], needle: &str) -> usize {
    haystack
        .windows(needle.len())
        .filter(|window| *window == needle.as_bytes())
        .count()
}

#[test]
fn has_the_parameters_of_the_formula() {
    let (device, model) = seeded_model(1);
    assert_eq!(model.num_trainable_params(), PARAMETERS);
    assert_eq!(model.to_device(&device).num_trainable_params(), PARAMETERS);
}

#[test]
fn names_are_layer_paths() {
    let (_, model) = seeded_model(1);
    let mut names = Vec::new();
    let visited = tensors::visit(&model, |slot, _| {
        names.push((slot.key, slot.trained));
        Ok(())
    });
    visited.unwrap();
    let trained = |wanted| names.iter().filter(move |n| n.1 == wanted).map(|n| n.0.as_str());
    assert_eq!(
        trained(true).collect::<Vec<_>>(),
        [
            "shared.conv_weight",
            "stem.conv.weight",
            "stem.conv.bias",
            "s1.0.bn.weight",
            "s1.0.bn.bias",
            "s1.0.se.reduce.weight",
            "s1.0.se.expand.weight",
            "s1.1.bn.weight",
            "s1.1.bn.bias",
            "s1.1.se.reduce.weight",
            "s1.1.se.expand.weight",
            "head.linear.weight",
            "head.linear.bias",
        ]
    );
    assert_eq!(
        trained(false).collect::<Vec<_>>(),
        [
            "s1.0.bn.running_mean",
            "s1.0.bn.running_var",
            "s1.1.bn.running_mean",
            "s1.1.bn.running_var",
        ]
    );
}

#[test]
fn checkpoints_hold_one_entry_per_kernel() {
    let (device, mut model) = seeded_model(2);
    let x: Input<_, f64, _, _> = device.sample_normal_like(&(2, Const, Const, Const));
    // Running statistics of their own, so that the checkpoint must hold them.
    model.forward_mut(x.leaky_trace());
    let expected = model.forward(x.clone()).as_vec();
    let folder = std::env::temp_dir().join(format!("ksdsl-typed-model-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();

    let npz = folder.join("model.npz");
    model.save(&npz).unwrap();
    // A zip names each file twice: before its data and in the directory at the end.
    let bytes = std::fs::read(&npz).unwrap();
    assert_eq!(count(&bytes, "shared.conv_weight.npy"), 2);
    assert_eq!(count(&bytes, ".npy"), 2 * 17);
    let (_, mut loaded) = seeded_model(3);
    loaded.load(&npz).unwrap();
    assert_eq!(loaded.forward(x.clone()).as_vec(), expected);

    let safetensors = folder.join("model.safetensors");
    model.save_safetensors(&safetensors).unwrap();
    let bytes = std::fs::read(&safetensors).unwrap();
    assert_eq!(count(&bytes, "\"shared.conv_weight\""), 1);
    assert_eq!(count(&bytes, "\"data_offsets\""), 17);
    let (_, mut loaded) = seeded_model(4);
    loaded.load_safetensors(&safetensors).unwrap();
    assert_eq!(loaded.forward(x).as_vec(), expected);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_shared_kernel_s_gradient_is_the_sum_over_its_visits() {
    let (device, model) = seeded_model(5);
    let x: Input<_, f64, _, _> = device.sample_normal_like(&(3, Const, Const, Const));
    let run = |visits: &mut Binder| {
        // The same seed for dropout in both runs.
        let mut pass = Pass::training(&Cpu::seed_from_u64(6));
        let mut x = Map::<usize, 3, 8, 8, _, _, _>::read(x.leaky_trace()).unwrap();
        let visits = visits(x.context_mut());
        let y = model.run_with(&mut pass, visits, x).unwrap();
        let values = y.as_vec();
        let gradients: Gradients<f64, Cpu> = y.square().sum::<(), _>().backward();
        (values, gradients)
    };
    let (shared_y, shared) = run(&mut |context| model.shared.bind(context).unwrap());

    let kernel = model.shared.conv_weight.as_vec();
    let separate: Vec<Tensor<Rank4<8, 8, 3, 3>, f64, Cpu>> = (0..3)
        .map(|_| device.tensor_from_vec(kernel.clone(), Default::default()))
        .collect();
    let (separate_y, per_visit) = run(&mut |context| Visits {
        conv_weight: Bank::new(
            separate.iter().map(|w| Bound::new(w, context).unwrap()).collect(),
            &[(0, 1), (1, 1), (2, 1)],
        ),
    });

    assert_eq!(shared_y, separate_y);
    let total = shared.get(&model.shared.conv_weight).as_vec();
    let parts: Vec<Vec<f64>> = separate.iter().map(|w| per_visit.get(w).as_vec()).collect();
    for (i, got) in total.iter().enumerate() {
        let sum: f64 = parts.iter().map(|part| part[i]).sum();
        assert!(
            (got - sum).abs() <= 1e-9 * sum.abs().max(1.0),
            "element {i}: {got}, {sum}"
        );
    }
    assert!(parts.iter().all(|part| part.iter().any(|g| g.abs() > 1e-3)));
}

#[test]
fn a_training_step_moves_one_tensor_for_all_visits() {
    let (device, mut model) = seeded_model(7);
    let x: Input<Const<4>, f64, _, _> = device.sample_normal();
    let mut optimizer = Sgd::new(
        &model,
        SgdConfig {
            lr: 0.01,
            momentum: Some(Momentum::Classic(0.9)),
            weight_decay: None,
        },
    );
    let before = model.shared.conv_weight.as_vec();
    let mut gradients = model.alloc_grads();
    let mut losses = Vec::new();
    for _ in 0..20 {
        let loss = model.forward_mut(x.trace(gradients)).square().mean::<(), _>();
        losses.push(loss.array());
        gradients = loss.backward();
        optimizer
            .update(&mut model, &gradients)
            .expect("every parameter is used");
        model.zero_grads(&mut gradients);
    }
    assert_ne!(model.shared.conv_weight.as_vec(), before);
    assert_eq!(model.num_trainable_params(), PARAMETERS);
    assert!(losses[19] < 0.5 * losses[0], "no progress: {losses:?}");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let train = || {
        let (device, mut model) = seeded_model(8);
        let x: Input<_, f64, _, _> = device.sample_normal_like(&(2, Const, Const, Const));
        let y = model.forward_mut(x.leaky_trace());
        let values = y.as_vec();
        let gradients = y.square().sum::<(), _>().backward();
        (values, gradients.get(&model.shared.conv_weight).as_vec())
    };
    assert_eq!(train(), train());
}

#[test]
fn a_clone_keeps_its_own_running_statistics() {
    let (device, mut model) = seeded_model(9);
    let untouched = model.clone();
    let x: Input<_, f64, _, _> = device.sample_normal_like(&(2, Const, Const, Const));
    model.forward_mut(x.leaky_trace());
    for (trained, cloned) in model.s1.iter().zip(&untouched.s1) {
        assert_eq!(cloned.bn.running_mean.array(), [0.0; 8]);
        assert_ne!(trained.bn.running_mean.array(), [0.0; 8]);
    }
    assert_ne!(model.s1[0].bn.running_mean.array(), model.s1[1].bn.running_mean.array());
}
