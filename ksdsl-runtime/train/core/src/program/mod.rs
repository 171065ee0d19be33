//! The commands that train networks and use them: `ksn` and the example program `nets` share them. No stable interface.

mod choose;
pub mod compare;
pub mod data;
pub mod device;
pub mod evaluate;
pub mod job;
pub mod options;
pub mod output;
pub mod predict;
mod saved;
mod settings;
pub mod sweep;
pub mod train;

use crate::Recipe;
use crate::data::{Dataset, Scaling, Sizes};
use crate::run::{Description, Facts};
use crate::trainer::{Outcome, TrainError};
use data::Kind;
use device::{Place, Precision};
use job::Job;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

/// The result of a command.
pub type Done = Result<ExitCode, Box<dyn Error>>;

/// A network for images of one kind.
pub trait Net {
    /// Its name and size.
    fn facts(&self) -> &Facts;

    /// What it takes and gives.
    fn sizes(&self) -> Sizes;

    /// Its default recipe.
    fn recipe(&self) -> &Recipe;

    /// Trains it on a device.
    ///
    /// # Errors
    /// Those of the trainer.
    fn train(&self, job: Job<'_>, place: Place) -> Result<Outcome, TrainError>;

    /// Computes the logits of a checkpoint on a device: images x classes, row-major.
    ///
    /// # Errors
    /// If the checkpoint cannot be used, or the device fails.
    fn logits(
        &self,
        checkpoint: &Path,
        images: &Dataset,
        scaling: &Scaling,
        place: Place,
    ) -> Result<Vec<f32>, Box<dyn Error>>;
}

/// What distinguishes programs: which networks there are, and where they run.
pub trait Program {
    /// The name of the command.
    fn name(&self) -> &'static str;

    /// The networks to train on a data set of these sizes.
    ///
    /// # Errors
    /// If there is none.
    fn networks(&self, data: Sizes) -> Result<Vec<Box<dyn Net>>, Box<dyn Error>>;

    /// The network of a run.
    ///
    /// # Errors
    /// If the program does not have it.
    fn of_run(&self, run: &Description) -> Result<Box<dyn Net>, Box<dyn Error>>;

    /// Channels, height and width to which the images of a folder are brought.
    fn picture_size(&self) -> [usize; 3];

    /// Whether there are networks for a data set.
    ///
    /// # Errors
    /// What to do if there are none.
    fn accepts(&self, _data: &Kind) -> Result<(), String> {
        Ok(())
    }

    /// Checks that a device is available and sets its precision, before any work starts.
    ///
    /// # Errors
    /// If the GPU cannot be used, or the device has no such precision.
    fn prepare(&self, place: Place, precision: Precision) -> Result<(), Box<dyn Error>>;
}

/// Rejects a model with non-finite values.
///
/// # Errors
/// If a tensor contains NaN or infinite values.
pub fn refuse_broken(tensors: &[String], checkpoint: &Path) -> Result<(), String> {
    match tensors {
        [] => Ok(()),
        [first, ..] => Err(format!(
            "`{}` is not a usable model: {} of its tensors contain non-finite values (NaN or infinite), such as `{first}`",
            checkpoint.display(),
            tensors.len()
        )),
    }
}
