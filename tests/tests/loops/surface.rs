//! What a program sees: counts by name, their errors, checkpoints.

use crate::run::{BATCH, Looped, input};
use crate::{graph_of, nets, same_bits};
use ksdsl_runtime::network::Network;
use ksdsl_runtime::prelude::*;
use ksdsl_tests::tensors;

type Whole = nets::loop_whole::Model<f64, Cpu>;

fn batch() -> nets::loop_whole::Input<usize, f64, Cpu> {
    Cpu::default().tensor_from_vec(input::<Whole>(BATCH), (BATCH, Const, Const, Const))
}

#[test]
fn a_count_that_does_not_fit_is_an_error() {
    let mut model = Whole::trained_model();
    for count in [0, 5] {
        let error = model.with_steps(count).try_forward(batch()).unwrap_err();
        let text = format!("the loop `steps` runs 1 to 4 times, not {count}");
        assert_eq!(error.to_string(), text);
        let training = model.with_steps_mut(count).try_forward_mut(batch().leaky_trace());
        assert_eq!(training.map(|_| ()).unwrap_err().to_string(), text);
        let prepared = Prepared::new(&model).try_forward_with(&Cpu::default(), count, batch());
        assert_eq!(prepared.unwrap_err().to_string(), text);
        let mut graph = graph_of("loop_whole", &tensors::values(&model));
        assert_eq!(graph.set_steps("steps", count).unwrap_err().to_string(), text);
        assert_eq!(
            graph.set_steps("step", 1).unwrap_err().to_string(),
            "the network has no loop `step`"
        );
    }
}

#[test]
fn the_default_is_the_maximum() {
    let mut model = Whole::trained_model();
    assert_eq!(
        nets::loop_nested::Steps::default(),
        nets::loop_nested::Steps { inner: 3, outer: 2 }
    );
    let most = model.with_steps(4).try_forward(batch()).unwrap().as_vec();
    same_bits("inference", &model.forward(batch()).as_vec(), &most);
    assert_ne!(model.with_steps(3).try_forward(batch()).unwrap().as_vec(), most);
    let trained = model
        .with_steps_mut(4)
        .try_forward_mut(batch().leaky_trace())
        .unwrap()
        .as_vec();
    same_bits("training", &model.forward_mut(batch().leaky_trace()).as_vec(), &trained);
}

/// The tensors are those of one iteration, whatever the maximum, and a file serves every count.
#[test]
fn checkpoints_do_not_depend_on_the_count() {
    let model = Whole::trained_model();
    let keys: Vec<String> = tensors::values(&model).into_keys().collect();
    let wanted = [
        "conv.weight",
        "end.linear.bias",
        "end.linear.weight",
        "steps.one.weight",
        "steps.two.bias",
        "steps.two.weight",
    ];
    assert_eq!(keys, wanted);
    // 4 · 4 · 9 three times, a bias of 4, and a linear layer of 4 to 3.
    assert_eq!(nets::loop_whole::PARAMETERS, 3 * 144 + 4 + 15);
    assert_eq!(nets::loop_whole::UNSHARED_PARAMETERS, 144 + 4 * (2 * 144 + 4) + 15);
    // Three by three taps at 30 positions; a linear layer.
    assert_eq!(nets::loop_whole::MULTIPLY_ADDS, (1 + 4 * 2) * 144 * 30 + 12);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    checkpoint::save(&model, &path).unwrap();
    let mut loaded = Cpu::seed_from_u64(9).build_module::<nets::loop_truncated::Builder, f64>();
    checkpoint::load(&mut loaded, &path).unwrap();
    for count in [1, 3] {
        let ours = loaded.with_steps(count).try_forward(batch()).unwrap().as_vec();
        same_bits(
            "loaded",
            &ours,
            &model.with_steps(count).try_forward(batch()).unwrap().as_vec(),
        );
    }
    let clone = loaded.clone();
    same_bits(
        "cloned",
        &clone.forward(batch()).as_vec(),
        &model.forward(batch()).as_vec(),
    );
}

/// Steps of an optimiser with counts that change from step to step lower the loss.
#[test]
fn counts_may_change_while_training() {
    let mut model = Whole::trained_model();
    let mut gradients = model.alloc_grads();
    let config = SgdConfig {
        lr: 0.05,
        ..SgdConfig::default()
    };
    let mut optimiser = Sgd::<_, f64, _>::new(&model, config);
    let target = Cpu::default().tensor_from_vec(crate::noise(2.0, 3 * BATCH), (BATCH, Const::<3>));
    let mut losses = Vec::new();
    for step in 0..40 {
        let y = model
            .with_steps_mut(1 + step % 4)
            .try_forward_mut(batch().trace(gradients))
            .unwrap();
        let loss = mse_loss(y, target.clone());
        losses.push(loss.array());
        gradients = loss.backward();
        optimiser.update(&mut model, &gradients).unwrap();
        model.zero_grads(&mut gradients);
    }
    assert!(
        losses[36..].iter().sum::<f64>() < 0.5 * losses[..4].iter().sum::<f64>(),
        "{losses:?}"
    );
}

#[test]
fn the_specification_is_that_of_the_network() {
    assert!(<nets::loop_whole::Builder as Network>::SPECIFICATION.contains("repeat up to 4"));
}
