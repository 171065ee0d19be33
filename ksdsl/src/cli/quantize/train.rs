//! Training of kernels under the rounding of integers.

use super::Ended;
use crate::checkpoint::entries;
use crate::cli::Status;
use crate::cli::convert::Layout;
use crate::cli::output::Terminal;
use crate::ir::Network;
use crate::quantize::{Ranges, Training};
use crate::steps::Program;
use ksdsl_checkpoint::{Kind, Tensor, to_bytes, write_file};
use ksdsl_cpu::{CpuBuf, CpuExec, in_parallel};
use ksdsl_engine::update::Slot;
use ksdsl_train_core::loss::cross_entropy;
use ksdsl_train_core::optim::{AdamW, Optimiser};
use ksdsl_train_core::program::data::Data;
use ksdsl_train_core::program::options::{count, rate};
use ksdsl_train_core::source::{HostBatch, Plain, Source};
use std::borrow::Cow;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

/// Images of a step.
const BATCH: NonZeroUsize = NonZeroUsize::new(32).unwrap();

/// How kernels are trained.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Train the kernels for so many epochs under the rounding of integers, before they are quantised
    #[arg(long, value_name = "EPOCHS", value_parser = count)]
    pub(super) train: Option<NonZeroU32>,
    /// The first learning rate, which falls to 0
    #[arg(long, requires = "train", value_name = "RATE", default_value = "0.0001", value_parser = rate)]
    rate: f64,
    /// Write the trained weights, in single precision, to this checkpoint
    #[arg(long, requires = "train", value_name = "FILE")]
    pub(super) save: Option<PathBuf>,
}

/// An image with its target, and the gradients that it gives.
struct Item<'b> {
    image: &'b [f32],
    targets: &'b [f32],
    gradients: Vec<Vec<f32>>,
}

impl Options {
    /// The tensors of the network after training.
    pub(super) fn trained(
        &self,
        (network, weights, seed): (&Network, &[Vec<f32>], u64),
        (data, ranges): (&Data, impl Fn(&Program) -> Ranges),
        (program, terminal): (&Program, &Terminal),
    ) -> Ended<Vec<Vec<f32>>> {
        let failed = |error: &dyn std::fmt::Display| {
            terminal.complain(&error.to_string(), None);
            Status::Invalid
        };
        let training = Training::new(network, weights.to_vec(), &ranges(program));
        let mut training = training.map_err(|error| failed(&error))?;
        let entries = entries(network);
        let slot = |place: usize| Slot {
            key: entries[place].key.clone(),
            shape: entries[place].shape.iter().map(|size| *size as usize).collect(),
            trained: true,
        };
        let slots: Vec<Slot> = training.trained().map(slot).collect();
        let method = AdamW {
            decay: 0.0,
            ..AdamW::default()
        };
        let mut optimiser = Optimiser::<f32, CpuExec>::new(method);
        optimiser.know(&slots);
        let mut source = Plain::new(&data.training, BATCH, &data.scaling, seed);
        let epochs = self.train.map_or(0, NonZeroU32::get);
        let steps = source.steps_per_epoch() * u64::from(epochs);
        for epoch in 1..=epochs {
            training.observe(&ranges).map_err(|error| failed(&error))?;
            for batch in source.epoch(epoch, 0) {
                let batch = batch.map_err(|error| failed(&error))?;
                let mut gradients: Vec<CpuBuf<f32>> =
                    gradients(&training, &batch).into_iter().map(CpuBuf::from_vec).collect();
                optimiser.rate = self.rate * (1.0 - optimiser.steps() as f64 / steps as f64);
                let norm = optimiser
                    .begin(&CpuExec, &mut gradients)
                    .map_err(|error| failed(&error))?;
                if !norm.is_finite() {
                    return Err(failed(&format!(
                        "training diverged in epoch {epoch}: choose a lower `--rate`"
                    )));
                }
                let mut outcome = Ok(());
                training.update(|at, tensor| {
                    let mut values = CpuBuf::from_vec(tensor.to_vec());
                    let updated = optimiser.update(&CpuExec, (at, &slots[at]), &mut values, &gradients[at]);
                    tensor.copy_from_slice(&values);
                    if updated.is_err() {
                        outcome = updated;
                    }
                });
                outcome.map_err(|error| failed(&error))?;
            }
        }
        self.save(network, training.weights(), terminal)?;
        Ok(training.weights().to_vec())
    }

    fn save(&self, network: &Network, weights: &[Vec<f32>], terminal: &Terminal) -> Ended<()> {
        let Some(path) = &self.save else { return Ok(()) };
        let layout = Layout::new(entries(network));
        let tensor = |(of, data): (&ksdsl_checkpoint::Expected, &Vec<f32>)| Tensor {
            key: of.key.clone(),
            kind: Kind::F32,
            shape: of.shape.clone(),
            data: Cow::Owned(data.iter().flat_map(|value| value.to_le_bytes()).collect()),
        };
        let tensors: Vec<Tensor<'_>> = layout.expected.iter().zip(weights).map(tensor).collect();
        write_file(path, &to_bytes(&tensors, &layout.shared))
            .map_err(|error| terminal.fail(&format!("cannot write {}: {error}", path.display())))
    }
}

/// The mean gradients of a batch, added up in the order of its images.
fn gradients(training: &Training, batch: &HostBatch) -> Vec<Vec<f32>> {
    let count = batch.len().max(1);
    let [image, classes] = [batch.images.len() / count, batch.targets.len() / count];
    let pairs = batch
        .images
        .chunks(image.max(1))
        .zip(batch.targets.chunks(classes.max(1)));
    let item = |(image, targets)| Item {
        image,
        targets,
        gradients: Vec::new(),
    };
    let mut items: Vec<Item<'_>> = pairs.map(item).collect();
    in_parallel(&mut items, |item| {
        let loss = |outputs: &[Vec<f32>]| vec![cross_entropy(&outputs[0], item.targets, classes).1];
        item.gradients = training.gradients(&[item.image], loss);
    });
    let share = 1.0 / count as f32;
    let mut items = items.into_iter().map(|item| item.gradients);
    let mut sum = items.next().unwrap_or_default();
    for more in items {
        for (sum, more) in sum.iter_mut().zip(&more) {
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
    }
    sum.iter_mut().flatten().for_each(|value| *value *= share);
    sum
}
