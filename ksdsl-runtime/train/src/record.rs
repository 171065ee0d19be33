//! What a run tells of itself while it goes: the trainer makes records, observers write or show them.

use crate::metrics::Evaluation;
use std::io;
use std::path::Path;

/// What a run is about to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Start<'r> {
    /// The network's name.
    pub network: &'r str,
    /// Trainable parameters, each shared kernel counted once.
    pub parameters: u64,
    /// The names of the classes.
    pub classes: &'r [String],
    /// Epochs of the whole run.
    pub epochs: u32,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// Steps done before, by the run that this one resumes; records of later steps are stale and to be removed.
    pub done: u64,
    /// The run's folder, if it has one.
    pub folder: Option<&'r Path>,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The epoch, from 1.
    pub epoch: u32,
    /// The step, from 1, over all epochs.
    pub number: u64,
    /// The mean loss of the step's images before the step.
    pub loss: f64,
    /// The learning rate.
    pub rate: f64,
    /// The norm of all gradients before clipping, where it was asked for.
    pub gradient_norm: Option<f64>,
    /// Images of the step.
    pub images: usize,
    /// Seconds that the step took, waiting included.
    pub seconds: f64,
    /// Seconds of these that the step waited for its images.
    pub waited: f64,
}

/// What an epoch came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Epoch {
    /// The epoch, from 1.
    pub number: u32,
    /// Steps done since the run began.
    pub steps: u64,
    /// The mean loss of the epoch's images in training.
    pub training_loss: f64,
    /// The learning rate of the last step.
    pub rate: f64,
    /// Seconds of training, without evaluation.
    pub seconds: f64,
    /// Seconds of these that steps waited for images.
    pub waited: f64,
    /// Images trained on.
    pub images: usize,
    /// The model on the images held out, if it was evaluated.
    pub evaluation: Option<Evaluation>,
    /// The averaged model on them, if there is one.
    pub averaged: Option<Evaluation>,
}

/// Somebody who is told how a run goes. An error stops the run with a checkpoint written.
pub trait Observer {
    /// The run begins or goes on.
    fn start(&mut self, _start: &Start<'_>) -> io::Result<()> {
        Ok(())
    }
    /// A step was done.
    fn step(&mut self, _step: &Step) -> io::Result<()> {
        Ok(())
    }
    /// An epoch was done; its checkpoint is written after this.
    fn epoch(&mut self, _epoch: &Epoch) -> io::Result<()> {
        Ok(())
    }
    /// A checkpoint is about to be written: what was told so far must be on disk afterwards.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
    /// The run ended or stopped early.
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}
