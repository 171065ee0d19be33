//! Events of a training run: the trainer emits records, observers log or display them.

use crate::metrics::Evaluation;
use std::io;
use std::path::Path;

/// Emitted when a run starts or resumes.
#[derive(Clone, Debug, PartialEq)]
pub struct Start<'r> {
    /// The network's name.
    pub network: &'r str,
    /// Trainable parameters; a shared kernel counts once.
    pub parameters: u64,
    /// The names of the classes; none if it is no classifier.
    pub classes: &'r [String],
    /// What a batch has many of: `images`, or `tokens`.
    pub unit: &'static str,
    /// Total number of epochs.
    pub epochs: u32,
    /// Steps per epoch.
    pub steps_per_epoch: u64,
    /// The first epochs that train another network, as which the run begins.
    pub beginning: u32,
    /// Steps done before resuming. Observers must remove the records of later steps.
    pub done: u64,
    /// The run folder, if there is one.
    pub folder: Option<&'r Path>,
}

/// Emitted after each step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The epoch, from 1.
    pub epoch: u32,
    /// The step of the run, from 1.
    pub number: u64,
    /// The mean loss over the batch, before the update.
    pub loss: f64,
    /// The learning rate.
    pub rate: f64,
    /// The global gradient norm before clipping, if computed.
    pub gradient_norm: Option<f64>,
    /// Batch size; of a language model, in tokens.
    pub images: usize,
    /// Duration of the step in seconds, including waiting for data.
    pub seconds: f64,
    /// Seconds of these spent waiting for data.
    pub waited: f64,
    /// Seconds that processors worked for the process meanwhile, all threads together, if the system says so.
    pub processor: Option<f64>,
}

/// Emitted after each epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Epoch {
    /// The epoch, from 1.
    pub number: u32,
    /// Steps done in the run.
    pub steps: u64,
    /// The mean training loss over the epoch.
    pub training_loss: f64,
    /// The learning rate of the last step.
    pub rate: f64,
    /// Training time in seconds, without evaluation.
    pub seconds: f64,
    /// Seconds of these spent waiting for data.
    pub waited: f64,
    /// Seconds that processors worked for the process meanwhile, all threads together, if the system says so.
    pub processor: Option<f64>,
    /// Number of training images, or tokens.
    pub images: usize,
    /// The model's evaluation on the validation set, if due.
    pub evaluation: Option<Evaluation>,
    /// The averaged model's evaluation, if there is one.
    pub averaged: Option<Evaluation>,
}

/// Receives the events of a run. An error stops the run, after a checkpoint.
pub trait Observer {
    /// The run starts or resumes.
    fn start(&mut self, _start: &Start<'_>) -> io::Result<()> {
        Ok(())
    }
    /// A step has finished.
    fn step(&mut self, _step: &Step) -> io::Result<()> {
        Ok(())
    }
    /// An epoch has finished; its checkpoint is written afterwards.
    fn epoch(&mut self, _epoch: &Epoch) -> io::Result<()> {
        Ok(())
    }
    /// A checkpoint is about to be written: all earlier records must be synced to disk.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
    /// The run has ended or was interrupted.
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}
