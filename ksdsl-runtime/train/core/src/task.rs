//! How a classifier is judged, and why a step or an evaluation fails.

use crate::data::{DataError, Dataset, Scaling};
use crate::metrics::{Evaluation, Meter};
use crate::source::{HostBatch, fingerprint};
use std::fmt;

/// Why a task has no loss or evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// The batch or the validation data does not fit the model.
    Batch(String),
    /// The device failed.
    Device(String),
}

impl TaskError {
    /// An error of the device.
    pub fn device(error: impl fmt::Display) -> Self {
        Self::Device(error.to_string())
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch(what) => f.write_str(what),
            Self::Device(what) => write!(f, "the device failed: {what}"),
        }
    }
}

impl std::error::Error for TaskError {}

impl From<DataError> for TaskError {
    fn from(error: DataError) -> Self {
        match error {
            DataError::Device(what) => Self::Device(what),
            error => Self::Batch(error.to_string()),
        }
    }
}

/// Batch size of evaluation: large enough to keep a few cores busy, small enough to need little memory.
const AT_ONCE: usize = 250;

/// A validation set.
#[derive(Clone, Debug)]
pub struct ValidationSet<'d> {
    /// The images.
    pub data: &'d Dataset,
    /// The scaling of the training set.
    pub scaling: Scaling,
}

impl ValidationSet<'_> {
    /// Evaluates the model that `logits` runs, on all images.
    ///
    /// # Errors
    /// Those of `logits`.
    #[doc(hidden)]
    pub fn evaluate(
        &self,
        logits: impl FnMut(&HostBatch) -> Result<Vec<f32>, TaskError>,
    ) -> Result<Evaluation, TaskError> {
        let all = logits_of(self.data, &self.scaling, logits)?;
        let labels: Vec<usize> = self.data.iter().map(|example| example.label).collect();
        let mut meter = Meter::new(self.data.sizes().classes);
        meter.add(&all, &labels);
        Ok(meter.evaluation())
    }

    /// What determines an evaluation, in words.
    #[doc(hidden)]
    pub fn describe(set: Option<&Self>) -> String {
        match set {
            Some(ValidationSet { data, .. }) => format!("{} images, {:016x}", data.len(), fingerprint(data)),
            None => "none".to_owned(),
        }
    }
}

/// The logits of all images, which `logits` computes batch by batch: images x classes, row-major.
///
/// # Errors
/// Those of `logits`.
#[doc(hidden)]
pub fn logits_of<R>(
    images: &Dataset,
    scaling: &Scaling,
    mut logits: impl FnMut(&HostBatch) -> Result<Vec<f32>, R>,
) -> Result<Vec<f32>, R> {
    let mut all = Vec::with_capacity(images.len() * images.sizes().classes);
    for first in (0..images.len()).step_by(AT_ONCE) {
        let indices = first..images.len().min(first + AT_ONCE);
        all.extend(logits(&HostBatch::new(images, indices, scaling))?);
    }
    Ok(all)
}
