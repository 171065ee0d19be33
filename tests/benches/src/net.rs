//! A network of the file with its batch, on the graph executor.

use crate::protocol::Options;
use crate::serve::{Net, Outcome, timed};
use ksdsl::graph::budget::within;
use ksdsl::graph::train::{Loss, Model, Training};
use ksdsl::ir::{Network, Shape};
use ksdsl_train_core::Recipe;
use ksdsl_train_core::loss::cross_entropy;
use ksdsl_train_core::optim::Sgd;
use safetensors::SafeTensors;
use std::hint::black_box;
use std::path::Path;

/// A model with its batch.
pub(crate) struct Loaded {
    training: Training<()>,
    rate: f64,
    /// What the dropout of the next step depends on.
    step: u64,
    input: Vec<f32>,
    targets: Vec<f32>,
}

impl Loaded {
    pub(crate) fn new(network: &Network, options: &Options) -> Outcome<Self> {
        let ([input], [output]) = (network.inputs.as_slice(), network.outputs.as_slice()) else {
            return Err(format!("`{}` has not one input and one output", network.name).into());
        };
        let (input, targets) = batch((input.shape, output.shape), options)?;
        let mut model = Model::new(network, 0);
        if let Some(path) = &options.weights {
            model.load(path)?;
        }
        if let Some(budget) = &options.budget {
            let size = [options.batch as u64, ksdsl_cpu::threads() as u64];
            model.graph_mut().recompute(&within(network, size, budget.parse()?)?);
        }
        let recipe = Recipe {
            method: Sgd {
                momentum: 0.9,
                nesterov: false,
                decay: 0.0,
                decoupled: 0.0,
            }
            .into(),
            clip: None,
            average: None,
            ..Recipe::se_resnet()
        };
        Ok(Self {
            training: Training::new(&recipe, model, ())?,
            rate: options.rate,
            step: 0,
            input,
            targets,
        })
    }
}

impl Net for Loaded {
    fn logits(&self) -> Outcome<Vec<f32>> {
        Ok(self.training.model().graph().infer(&self.input)?)
    }

    fn infer(&self, repeats: usize) -> Outcome<Vec<f64>> {
        let prepared = self.training.model().graph().prepare();
        // Packs the kernels, as other systems do before the first input.
        prepared.infer(&self.input)?;
        timed(repeats, || {
            black_box(prepared.infer(&self.input)?);
            Ok(())
        })
    }

    fn train(&mut self) -> Outcome<f32> {
        self.step += 1;
        let how = (self.rate, self.step);
        let output = self.training.model().graph().network().output();
        let targets = &self.targets;
        let stepped = self
            .training
            .step_on(&[&self.input], how, |outputs| loss(output, &outputs[0], targets))?;
        Ok(stepped.loss as f32)
    }

    fn save(&self, path: &Path) -> Outcome<()> {
        Ok(self.training.model().save(path)?)
    }
}

/// Cross entropy of each vector or token; the mean squared error of maps. As `loss` of `tests/benches/suite/exported.py`.
fn loss(shape: Shape, output: &[f32], targets: &[f32]) -> Loss {
    let (value, gradient) = match shape {
        Shape::Map { .. } | Shape::Signal { .. } => squared_error(output, targets),
        _ => cross_entropy(output, targets, shape.channels() as usize),
    };
    (value, vec![gradient])
}

fn squared_error(output: &[f32], targets: &[f32]) -> (f32, Vec<f32>) {
    let count = output.len() as f32;
    let errors = output.iter().zip(targets).map(|(found, target)| found - target);
    let sum: f64 = errors.clone().map(|error| f64::from(error * error)).sum();
    (
        (sum / f64::from(count)) as f32,
        errors.map(|error| 2.0 * error / count).collect(),
    )
}

/// Input and targets from the file; or values between -1 and 1, or ids, and the first class.
fn batch((input, output): (Shape, Shape), options: &Options) -> Outcome<(Vec<f32>, Vec<f32>)> {
    if let Some(path) = &options.data {
        let bytes = std::fs::read(path)?;
        let file = SafeTensors::deserialize(&bytes)?;
        return Ok((crate::values(&file, "input")?, crate::values(&file, "targets")?));
    }
    let count = |shape: Shape| options.batch * shape.elements() as usize;
    let value = |at: usize| match input {
        Shape::Ids { vocabulary, .. } => (at as u64 % vocabulary) as f32,
        _ => (at as f32 * 0.7).sin(),
    };
    let class = |at: usize| f32::from(u8::from(at.is_multiple_of(output.channels() as usize)));
    Ok((
        (0..count(input)).map(value).collect(),
        (0..count(output)).map(class).collect(),
    ))
}
