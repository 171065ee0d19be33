//! Weight decay and what visits have of their own.

use ksdsl_runtime::dfdx::nn::modules::BatchNorm2D;
use ksdsl_runtime::ksnet;
use ksdsl_runtime::prelude::*;
use ksdsl_train::Recipe;
use ksdsl_train::optim::{AdamW, Decayed, Method, Optimiser, Sgd};

ksnet! {
    /// Two visits of one kernel, each with a bias, factors and an addition of its own, and two of a bank.
    net private {
        input 4 x 4 x 4
        stage body { repeat 2 { conv(4, kernel = 3, pad = 1, bias = true); batch_norm; relu } }
        stage soft { repeat 2 { pointwise(4) } }
        stage head { global_avg_pool; linear(3) }
        share isomorphic conv in body with private bias, scale, low_rank(2)
        share isomorphic conv in soft into bank(2)
    }
}

type Private = private::Model<f32, Cpu>;

/// The tensors of a model after a step with gradients of zero, beside those before it: key, before, after.
fn after_a_step(method: Method, decayed: Decayed) -> Vec<(String, Vec<f32>, Vec<f32>)> {
    let device = Cpu::seed_from_u64(3);
    let mut model: Private = device.build_module::<private::Builder, f32>();
    // Biases start at zero, where decay does nothing to be seen.
    let mut moved = tensors(&model);
    moved
        .iter_mut()
        .for_each(|(_, values)| values.iter_mut().for_each(|value| *value += 0.5));
    set(&mut model, &moved);
    let mut optimiser = Optimiser::new(method);
    optimiser.rate = 0.1;
    optimiser.decayed = decayed;
    let mut gradients = model.alloc_grads();
    optimiser.step(&mut model, &mut gradients).unwrap();
    let pairs = moved.into_iter().zip(tensors(&model));
    pairs.map(|((key, before), (_, after))| (key, before, after)).collect()
}

/// By way of a checkpoint, in which the tensors have their keys.
fn tensors(model: &Private) -> Vec<(String, Vec<f32>)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    checkpoint::save(model, &path).unwrap();
    let file = ksdsl_checkpoint::File::read(&path).unwrap();
    let values = |key: &str| {
        let chunks = file.get(key).unwrap().data.as_chunks::<4>().0.iter();
        chunks.map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    file.keys().map(|key| (key.to_owned(), values(key))).collect()
}

fn set(model: &mut Private, tensors: &[(String, Vec<f32>)]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    checkpoint::save(model, &path).unwrap();
    let file = ksdsl_checkpoint::File::read(&path).unwrap();
    let changed = tensors.iter().map(|(key, values)| {
        let view = file.get(key).unwrap();
        ksdsl_checkpoint::Tensor {
            key: key.clone(),
            kind: view.kind,
            shape: view.shape.to_vec(),
            data: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect::<Vec<u8>>()
                .into(),
        }
    });
    let bytes = ksdsl_checkpoint::to_bytes(&changed.collect::<Vec<_>>(), &[]);
    std::fs::write(&path, bytes).unwrap();
    checkpoint::load(model, &path).unwrap();
}

/// With a gradient of zero a step of `torch.optim.SGD(weight_decay=d)` without momentum, and one of
/// `torch.optim.AdamW(weight_decay=d)`, multiply a parameter by `1 - lr * d`; in PyTorch the factors would be in a
/// group with `weight_decay=0`. Running statistics are no parameters.
#[test]
fn factors_of_visits_do_not_decay() {
    let sgd = Sgd {
        momentum: 0.0,
        nesterov: false,
        decay: 0.5,
        decoupled: 0.0,
    };
    let adam = AdamW {
        decay: 0.5,
        ..AdamW::default()
    };
    for method in [Method::Sgd(sgd), Method::AdamW(adam)] {
        for decayed in [Decayed::All, Decayed::Kernels] {
            let mut factors = 0;
            for (key, before, after) in after_a_step(method, decayed) {
                let name = key.rsplit('.').next().unwrap();
                let is_kernel =
                    key.starts_with("shared.") || key == "head.linear.weight" || name.starts_with("low_rank");
                let is_factor = matches!(name, "scale" | "coefficients");
                let is_running = name.starts_with("running");
                let decays = is_kernel || decayed == Decayed::All && !is_factor && !is_running;
                let factor = if decays { 1.0 - 0.1 * 0.5 } else { 1.0 };
                for (before, after) in before.iter().zip(&after) {
                    assert!((after - before * factor).abs() <= 1e-6, "{key}: {before} to {after}");
                }
                factors += u32::from(is_factor);
            }
            assert_eq!(factors, 4, "each visit has factors");
        }
    }
}

/// dfdx's own batch norms have a tensor of the same name, which is not a visit's. By default all parameters decay, in a
/// recipe and in an optimiser: `torch.optim.SGD(norm.parameters(), lr=0.1, weight_decay=0.5)`.
#[test]
fn scales_of_norms_decay_as_in_pytorch() {
    let device = Cpu::default();
    let mut model = (device.build_module::<modules::Norm, f32>(),);
    let mut optimiser = Optimiser::new(Sgd {
        momentum: 0.0,
        nesterov: false,
        decay: 0.5,
        decoupled: 0.0,
    });
    optimiser.rate = 0.1;
    assert_eq!(optimiser.decayed, Recipe::default().decayed);
    let mut gradients = model.alloc_grads();
    optimiser.step(&mut model, &mut gradients).unwrap();
    let norm: &BatchNorm2D<2, f32, Cpu> = &model.0;
    assert_eq!(norm.scale.array(), [0.95; 2]);
}

mod modules {
    pub(super) type Norm = ksdsl_runtime::dfdx::nn::builders::BatchNorm2D<2>;
}
