//! Evaluates a checkpoint of the network `digits_shared` that `examples/pytorch/train_digits.py` trained, on that
//! script's validation set.

use clap::Parser;
use ksdsl_examples::nets::digits_shared;
use ksdsl_examples::output::{self, print};
use ksdsl_runtime::prelude::*;
use ksdsl_train::data::{Digits, OnDevice as _, Scaling};
use ksdsl_train::optim::non_finite;
use ksdsl_train::source::HostBatch;
use ksdsl_train::trainer::{ValidationSet, evaluate};
use ksdsl_train_core::program::refuse_broken;
use safetensors::SafeTensors;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The script trains on this many images and validates on the rest.
const TRAINING: usize = 1437;

/// Evaluate a checkpoint of `digits_shared` that examples/pytorch/train_digits.py wrote
#[derive(Parser)]
#[command(version)]
struct Options {
    /// The checkpoint, a safetensors file
    checkpoint: PathBuf,
    /// Compare with the logits that the script wrote (its option --logits)
    #[arg(long, value_name = "FILE")]
    logits: Option<PathBuf>,
}

fn main() -> ExitCode {
    match output::options().map(|options| run(&options)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => output::failed(&*error),
        Err(code) => code,
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let device = Cpu::default();
    let mut model = device.try_build_module::<digits_shared::Builder, f32>()?;
    checkpoint::load(&mut model, &options.checkpoint)?;
    refuse_broken(&non_finite::<f32, Cpu, _>(&model)?, &options.checkpoint)?;
    let digits = Digits::embedded();
    let scaling = Scaling::of(&digits.part(|image| image < TRAINING));
    let validation = digits.part(|image| image >= TRAINING);
    let part = ValidationSet {
        data: &validation,
        scaling,
    };
    let evaluation = evaluate(&model, &part, &device)?;
    if evaluation.nan_images > 0 {
        let (images, without) = (evaluation.images, evaluation.nan_images);
        return Err(format!("{without} of {images} images have NaN logits: the model is unusable").into());
    }
    print(format_args!("validation accuracy {:.2} %", 100.0 * evaluation.top1))?;
    if let Some(path) = &options.logits {
        let batch = HostBatch::new(&validation, 0..validation.len(), &part.scaling);
        let (images, _) = batch.tensors::<1, 8, 8, 10, _>(&device)?;
        let ours = model.try_forward(images)?.as_vec();
        let theirs = logits(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let difference = difference(&ours, &theirs)?;
        print(format_args!(
            "maximum relative difference of the logits: {difference:.1e}"
        ))?;
    }
    Ok(())
}

/// PyTorch's logits.
fn logits(path: &Path) -> Result<Vec<f32>, Box<dyn Error>> {
    let bytes = ksdsl_files::read(path, 1 << 24)?;
    let tensors = SafeTensors::deserialize(&bytes)?;
    let values = tensors.tensor("logits")?.data().as_chunks().0;
    Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

/// The largest absolute difference, relative to the largest absolute value.
fn difference(ours: &[f32], theirs: &[f32]) -> Result<f32, String> {
    if ours.len() != theirs.len() {
        return Err(format!(
            "the file has {} logits, the model computes {}",
            theirs.len(),
            ours.len()
        ));
    }
    let largest = theirs.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
    let differences = ours.iter().zip(theirs).map(|(ours, theirs)| (ours - theirs).abs());
    Ok(differences.fold(0.0, f32::max) / largest)
}
