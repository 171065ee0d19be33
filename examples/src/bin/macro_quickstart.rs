//! A network written in Rust code: build it, count its parameters, train it for a step, save it.

use ksdsl_runtime::dfdx::optim::Sgd;
use ksdsl_runtime::ksnet;
use ksdsl_runtime::prelude::*;
use ksdsl_train::data::{Batch, Digits, Scaling};
use safetensors::SafeTensors;
use std::error::Error;

ksnet! {
    /// Four residual blocks that use one kernel.
    net tiny(depth = 4) {
        input 1 x 8 x 8
        stage stem { conv(16, kernel = 3, pad = 1); batch_norm; relu }
        stage body { repeat depth { residual { conv(16, kernel = 3, pad = 1); batch_norm; relu } } }
        stage head { global_avg_pool; linear(10) }
        share isomorphic conv in body
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Cpu::seed_from_u64(0);
    let mut model = device.build_module::<tiny::Builder, f32>();
    println!(
        "{} parameters, {} if nothing were shared",
        model.num_trainable_params(),
        tiny::UNSHARED_PARAMETERS
    );

    let digits = Digits::embedded();
    let batch = Batch::new(&digits, 0..64, Scaling::of(&digits), &device)?;
    let mut optimiser = Sgd::new(
        &model,
        SgdConfig {
            lr: 0.1,
            ..SgdConfig::default()
        },
    );
    let gradients = model.alloc_grads();
    let logits = model.forward_mut(batch.images.clone().traced(gradients));
    let loss = cross_entropy_with_logits_loss(logits, batch.targets.clone());
    let before = loss.array();
    optimiser.update(&mut model, &loss.backward())?;
    let logits = model.forward_mut(batch.images.traced(model.alloc_grads()));
    let after = cross_entropy_with_logits_loss(logits, batch.targets).array();
    println!("loss {before:.4}, after a step {after:.4}");

    let path = std::env::temp_dir().join(format!("tiny-{}.safetensors", std::process::id()));
    model.save_safetensors(&path)?;
    let bytes = std::fs::read(&path)?;
    std::fs::remove_file(&path)?;
    let checkpoint = SafeTensors::deserialize(&bytes)?;
    let mut keys = checkpoint.names();
    keys.sort();
    for key in keys {
        println!("{key} {:?}", checkpoint.tensor(key)?.shape());
    }
    Ok(())
}
