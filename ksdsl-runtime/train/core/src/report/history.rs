//! The logs of a run, as rows of its CSV files.

use super::file::named;
use super::rows::Row;
use crate::metrics::Evaluation;
use crate::record::{Epoch, Step};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// The maximum size of a log file in bytes.
const MOST_BYTES: u64 = 1 << 32;

/// A row of `steps.csv`; see [`Step`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct StepRow {
    pub step: u64,
    pub epoch: u32,
    pub loss: f64,
    pub learning_rate: f64,
    pub gradient_norm: Option<f64>,
    pub images: usize,
    pub seconds: f64,
    pub data_wait_seconds: f64,
}

impl From<&Step> for StepRow {
    fn from(step: &Step) -> Self {
        Self {
            step: step.number,
            epoch: step.epoch,
            loss: step.loss,
            learning_rate: step.rate,
            gradient_norm: step.gradient_norm,
            images: step.images,
            seconds: step.seconds,
            data_wait_seconds: step.waited,
        }
    }
}

/// A row of `epochs.csv`; see [`Epoch`]. Columns that begin with `validation` are those of the model on the validation
/// set, columns that begin with `averaged` those of the averaged model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct EpochRow {
    pub epoch: u32,
    pub steps: u64,
    pub training_loss: f64,
    pub learning_rate: f64,
    pub images: usize,
    pub seconds: f64,
    pub data_wait_seconds: f64,
    pub validation_loss: Option<f64>,
    pub validation_top1: Option<f64>,
    pub validation_top5: Option<f64>,
    pub averaged_loss: Option<f64>,
    pub averaged_top1: Option<f64>,
    pub averaged_top5: Option<f64>,
    #[serde(default)]
    pub validation_bits_per_byte: Option<f64>,
    #[serde(default)]
    pub averaged_bits_per_byte: Option<f64>,
    #[serde(default)]
    pub processor_seconds: Option<f64>,
}

impl From<&Epoch> for EpochRow {
    fn from(epoch: &Epoch) -> Self {
        let (validation, averaged) = (epoch.evaluation.as_ref(), epoch.averaged.as_ref());
        Self {
            epoch: epoch.number,
            steps: epoch.steps,
            training_loss: epoch.training_loss,
            learning_rate: epoch.rate,
            images: epoch.images,
            seconds: epoch.seconds,
            data_wait_seconds: epoch.waited,
            validation_loss: validation.map(|evaluation| evaluation.loss),
            validation_top1: validation.map(|evaluation| evaluation.top1),
            validation_top5: validation.and_then(|evaluation| evaluation.top5),
            averaged_loss: averaged.map(|evaluation| evaluation.loss),
            averaged_top1: averaged.map(|evaluation| evaluation.top1),
            averaged_top5: averaged.and_then(|evaluation| evaluation.top5),
            validation_bits_per_byte: validation.and_then(Evaluation::bits_per_byte),
            averaged_bits_per_byte: averaged.and_then(Evaluation::bits_per_byte),
            processor_seconds: epoch.processor,
        }
    }
}

impl EpochRow {
    /// The validation accuracy: the averaged model's if there is one.
    pub fn accuracy(&self) -> Option<f64> {
        self.averaged_top1.or(self.validation_top1)
    }

    /// The validation loss, likewise.
    pub fn loss(&self) -> Option<f64> {
        self.averaged_loss.or(self.validation_loss)
    }

    /// The loss of a language model in bits per byte, likewise; none for other models.
    pub fn bits_per_byte(&self) -> Option<f64> {
        self.averaged_bits_per_byte.or(self.validation_bits_per_byte)
    }

    /// Whether it is a better evaluation than another of the same run.
    fn is_better_than(&self, other: &Self) -> bool {
        let lower = self.loss() < other.loss();
        if self.bits_per_byte().is_some() {
            return lower;
        }
        self.accuracy() > other.accuracy() || self.accuracy() == other.accuracy() && lower
    }
}

/// The logs of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The steps.
    pub steps: Vec<StepRow>,
    /// The epochs.
    pub epochs: Vec<EpochRow>,
    /// How many of the first epochs trained another network; the best is none of them.
    pub beginning: u32,
}

impl History {
    /// The file of steps in a run folder.
    pub const STEPS: &str = "steps.csv";
    /// The file of epochs in a run folder.
    pub const EPOCHS: &str = "epochs.csv";

    /// Reads a run folder; a missing file is empty.
    ///
    /// # Errors
    /// If a file cannot be read, or has an invalid row or rows out of order. An incomplete last line is ignored.
    pub fn read(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            steps: read_rows(&folder.join(Self::STEPS))?,
            epochs: read_rows(&folder.join(Self::EPOCHS))?,
            beginning: 0,
        })
    }

    /// Drops the rows after step `done`.
    pub fn up_to(mut self, done: u64) -> Self {
        self.steps.retain(|row| row.step <= done);
        self.epochs.retain(|row| row.steps <= done);
        self
    }

    /// The epoch of the best model of the run's network: highest validation accuracy, then lowest validation loss; of a language model, lowest
    /// validation loss.
    pub fn best(&self) -> Option<&EpochRow> {
        let own = self.epochs.iter().filter(|row| row.epoch > self.beginning);
        let evaluated = own.filter(|row| row.accuracy().is_some());
        evaluated.reduce(|best, row| if row.is_better_than(best) { row } else { best })
    }

    /// Whether the run is that of a language model.
    pub fn is_of_text(&self) -> bool {
        self.epochs.iter().any(|row| row.bits_per_byte().is_some())
    }

    /// The last evaluated epoch.
    pub fn last(&self) -> Option<&EpochRow> {
        self.epochs.iter().rev().find(|row| row.accuracy().is_some())
    }

    /// Training time in seconds, without evaluation.
    pub fn seconds(&self) -> f64 {
        self.epochs.iter().map(|row| row.seconds).sum()
    }

    /// Training throughput, if there is any epoch.
    pub fn images_per_second(&self) -> Option<f64> {
        let images: usize = self.epochs.iter().map(|row| row.images).sum();
        (self.seconds() > 0.0).then(|| images as f64 / self.seconds())
    }

    /// The fraction of the training time spent waiting for data.
    pub fn data_wait_fraction(&self) -> Option<f64> {
        let waited: f64 = self.epochs.iter().map(|row| row.data_wait_seconds).sum();
        (self.seconds() > 0.0).then(|| waited / self.seconds())
    }
}

/// The rows of a CSV file; none if the path is missing or not a regular file.
pub(super) fn read_rows<R: DeserializeOwned + Row>(path: &Path) -> io::Result<Vec<R>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let bytes = ksdsl_files::read(path, MOST_BYTES).map_err(|error| named("read", path, error))?;
    // A killed process may have left an incomplete line, which could parse as a shorter number.
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
