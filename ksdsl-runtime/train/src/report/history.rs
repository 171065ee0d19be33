//! The records of a run as rows of its CSV files.

use super::file::named;
use super::rows::Row;
use crate::record::{Epoch, Step};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// More bytes than the records of any run have.
const MOST_BYTES: u64 = 1 << 32;

/// A line of `steps.csv`; see [`Step`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct StepRow {
    pub step: u64,
    pub epoch: u32,
    pub loss: f64,
    pub rate: f64,
    pub gradient_norm: Option<f64>,
    pub images: usize,
    pub seconds: f64,
    pub waited: f64,
}

impl From<&Step> for StepRow {
    fn from(step: &Step) -> Self {
        Self {
            step: step.number,
            epoch: step.epoch,
            loss: step.loss,
            rate: step.rate,
            gradient_norm: step.gradient_norm,
            images: step.images,
            seconds: step.seconds,
            waited: step.waited,
        }
    }
}

/// A line of `epochs.csv`; see [`Epoch`]. The columns `loss`, `top1` and `top5` are those of the images held
/// out, the ones that begin with `averaged` those of the averaged model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct EpochRow {
    pub epoch: u32,
    pub steps: u64,
    pub training_loss: f64,
    pub rate: f64,
    pub images: usize,
    pub seconds: f64,
    pub waited: f64,
    pub loss: Option<f64>,
    pub top1: Option<f64>,
    pub top5: Option<f64>,
    pub averaged_loss: Option<f64>,
    pub averaged_top1: Option<f64>,
    pub averaged_top5: Option<f64>,
}

impl From<&Epoch> for EpochRow {
    fn from(epoch: &Epoch) -> Self {
        let (held_out, averaged) = (epoch.evaluation.as_ref(), epoch.averaged.as_ref());
        Self {
            epoch: epoch.number,
            steps: epoch.steps,
            training_loss: epoch.training_loss,
            rate: epoch.rate,
            images: epoch.images,
            seconds: epoch.seconds,
            waited: epoch.waited,
            loss: held_out.map(|evaluation| evaluation.loss),
            top1: held_out.map(|evaluation| evaluation.top1),
            top5: held_out.map(|evaluation| evaluation.top5),
            averaged_loss: averaged.map(|evaluation| evaluation.loss),
            averaged_top1: averaged.map(|evaluation| evaluation.top1),
            averaged_top5: averaged.map(|evaluation| evaluation.top5),
        }
    }
}

impl EpochRow {
    /// The accuracy that counts: the averaged model's where there is one.
    pub fn accuracy(&self) -> Option<f64> {
        self.averaged_top1.or(self.top1)
    }

    fn loss_that_counts(&self) -> Option<f64> {
        self.averaged_loss.or(self.loss)
    }
}

/// All records of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The steps.
    pub steps: Vec<StepRow>,
    /// The epochs.
    pub epochs: Vec<EpochRow>,
}

impl History {
    /// The file of steps in a run's folder.
    pub const STEPS: &str = "steps.csv";
    /// The file of epochs in a run's folder.
    pub const EPOCHS: &str = "epochs.csv";

    /// Those of a run's folder; without its files there are none.
    ///
    /// # Errors
    /// If a file cannot be read or has a line that is no record, or none that can follow the one before. A last line
    /// that was cut off is passed over.
    pub fn read(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            steps: read_rows(&folder.join(Self::STEPS))?,
            epochs: read_rows(&folder.join(Self::EPOCHS))?,
        })
    }

    /// Without the records of steps after the first `done`.
    pub fn up_to(mut self, done: u64) -> Self {
        self.steps.retain(|row| row.step <= done);
        self.epochs.retain(|row| row.steps <= done);
        self
    }

    /// The epoch whose model the trainer keeps as the best: that with the best accuracy, of several the one with
    /// the least loss.
    pub fn best(&self) -> Option<&EpochRow> {
        let better = |best: &EpochRow, row: &EpochRow| {
            let equal = row.accuracy() == best.accuracy();
            row.accuracy() > best.accuracy() || equal && row.loss_that_counts() < best.loss_that_counts()
        };
        let evaluated = self.epochs.iter().filter(|row| row.accuracy().is_some());
        evaluated.reduce(|best, row| if better(best, row) { row } else { best })
    }

    /// The last epoch with an accuracy.
    pub fn last(&self) -> Option<&EpochRow> {
        self.epochs.iter().rev().find(|row| row.accuracy().is_some())
    }

    /// Seconds of training, without evaluation.
    pub fn seconds(&self) -> f64 {
        self.epochs.iter().map(|row| row.seconds).sum()
    }

    /// Images trained on for each second, if there were any.
    pub fn images_per_second(&self) -> Option<f64> {
        let images: usize = self.epochs.iter().map(|row| row.images).sum();
        (self.seconds() > 0.0).then(|| images as f64 / self.seconds())
    }

    /// The share of the time that steps waited for their images.
    pub fn waited(&self) -> Option<f64> {
        let waited: f64 = self.epochs.iter().map(|row| row.waited).sum();
        (self.seconds() > 0.0).then(|| waited / self.seconds())
    }
}

/// The rows of a CSV file; none if there is no file, or a device or a pipe in its place.
pub(super) fn read_rows<R: DeserializeOwned + Row>(path: &Path) -> io::Result<Vec<R>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let bytes = ksdsl_files::read(path, MOST_BYTES).map_err(|error| named("read", path, error))?;
    // A process that was killed may have left a part of a line, which could be read as a shorter number.
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let rows = ::csv::Reader::from_reader(&bytes[..whole]).into_deserialize();
    let invalid = |error: Box<dyn std::error::Error + Send + Sync>| {
        named("read", path, io::Error::new(io::ErrorKind::InvalidData, error))
    };
    let rows: Vec<R> = rows.collect::<Result<_, _>>().map_err(|error| invalid(error.into()))?;
    match super::rows::problem(&rows) {
        Some(problem) => Err(invalid(problem.into())),
        None => Ok(rows),
    }
}
