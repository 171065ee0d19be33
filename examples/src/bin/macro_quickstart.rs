//! A network written in Rust code: build it, count its parameters, train it for an epoch, save it.

use ksdsl_runtime::ksnet;
use ksdsl_runtime::prelude::*;
use ksdsl_train::data::{Digits, Scaling};
use ksdsl_train::source::Plain;
use ksdsl_train::{Recipe, Trainer};
use safetensors::SafeTensors;
use std::error::Error;

ksnet! {
    /// Four residual blocks with one shared kernel.
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
        "{} parameters, {} without sharing",
        model.num_trainable_params(),
        tiny::UNSHARED_PARAMETERS
    );

    let (training, validation) = Digits::embedded().split(0.2, 0);
    let scaling = Scaling::of(&training);
    let recipe = Recipe {
        epochs: 1,
        ..Recipe::default()
    };
    let mut source = Plain::new(&training, recipe.batch.try_into()?, &scaling, recipe.seed);
    let trainer = Trainer::new(recipe).validation(&validation, &scaling);
    let outcome = trainer.train(&mut model, &mut source, &device)?;
    if let Some(evaluation) = outcome.evaluation {
        let (loss, accuracy) = (evaluation.loss, 100.0 * evaluation.top1);
        println!("after one epoch: validation loss {loss:.4}, validation accuracy {accuracy:.1} %");
    }

    let path = std::env::temp_dir().join(format!("tiny-{}.safetensors", std::process::id()));
    checkpoint::save(&model, &path)?;
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
