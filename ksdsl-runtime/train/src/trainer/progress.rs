//! How far a run is.

use crate::metrics::Evaluation;
use crate::record::Epoch;
use serde::{Deserialize, Serialize};

/// How far a run is: with the model, the state of the optimiser and the average, all that it needs to
/// go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// The epoch that is under way, from 1.
    pub(crate) epoch: u32,
    /// Steps done of it.
    pub(crate) step: u64,
    /// Steps done of the run.
    pub(crate) steps: u64,
    /// Steps that the optimiser did: all, unless there was nothing to train.
    pub(crate) optimiser_steps: u64,
    /// The sum of the losses of the epoch's images so far. JSON holds it exactly: numbers are written with as
    /// many digits as it takes to read them back.
    pub(crate) loss: f64,
    /// The epoch's images so far.
    pub(crate) images: usize,
    /// Seconds of the epoch's steps so far.
    pub(crate) seconds: f64,
    /// Seconds of these that steps waited.
    pub(crate) waited: f64,
    /// The learning rate of the last step.
    pub(crate) rate: f64,
    /// The norm of the gradients in the last step.
    pub(crate) gradient_norm: Option<f64>,
    /// The best evaluation so far.
    pub(crate) best: Option<Best>,
    /// Evaluations since that one.
    pub(crate) stale: u32,
    /// How the run ended, if it did.
    pub(crate) ended: Option<End>,
}

/// The best evaluation of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// After which epoch.
    pub epoch: u32,
    /// The share of the images it told right.
    pub top1: f64,
    /// Its mean cross-entropy.
    pub loss: f64,
}

impl Best {
    /// Whether an evaluation is better: more images right, or as many at less loss.
    pub(super) fn is_beaten_by(&self, evaluation: &Evaluation) -> bool {
        evaluation.top1 > self.top1 || evaluation.top1 == self.top1 && evaluation.loss < self.loss
    }
}

/// How training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// All epochs are done.
    Finished,
    /// The recipe's patience is over.
    Early,
    /// Somebody wished it; the run can be resumed.
    Interrupted,
}

impl Progress {
    /// Of a run that begins.
    pub(crate) fn new() -> Self {
        Self {
            epoch: 1,
            step: 0,
            steps: 0,
            optimiser_steps: 0,
            loss: 0.0,
            images: 0,
            seconds: 0.0,
            waited: 0.0,
            rate: 0.0,
            gradient_norm: None,
            best: None,
            stale: 0,
            ended: None,
        }
    }

    /// What there is to tell of the epoch, before an evaluation.
    pub(super) fn record(&self) -> Epoch {
        Epoch {
            number: self.epoch,
            steps: self.steps,
            training_loss: self.loss / self.images.max(1) as f64,
            rate: self.rate,
            seconds: self.seconds,
            waited: self.waited,
            images: self.images,
            evaluation: None,
            averaged: None,
        }
    }

    /// Begins the next epoch.
    pub(super) fn next_epoch(&mut self) {
        *self = Self {
            epoch: self.epoch + 1,
            step: 0,
            loss: 0.0,
            images: 0,
            seconds: 0.0,
            waited: 0.0,
            ..self.clone()
        };
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and maps with text as keys")
    }

    pub(crate) fn from_json(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }
}
