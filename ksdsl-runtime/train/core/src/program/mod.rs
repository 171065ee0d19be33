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
mod run_options;
mod runs;
pub mod saved;
mod settings;
pub mod sweep;
pub mod train;

use crate::Recipe;
use crate::data::{Dataset, Scaling, Sizes};
use crate::metrics::Evaluation;
use crate::puzzle::Sudoku;
use crate::run::{Description, Facts};
use crate::text::Text;
use crate::trainer::{KEEPS_EVERYTHING, Outcome, TrainError};
use data::{Kind, Sets};
use device::{Place, Precision};
use job::Job;
use ksdsl_engine::budget::MemoryBudget;
use run_options::RunOptions;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

/// The result of a command.
pub type Done = Result<ExitCode, Box<dyn Error>>;

/// What a step of a command gives.
type Tried<T> = Result<T, Box<dyn Error>>;

/// A network.
pub trait Net {
    /// Its name and size.
    fn facts(&self) -> &Facts;

    /// Its default recipe.
    fn recipe(&self) -> &Recipe;

    /// What it learns.
    fn task(&self) -> Task<'_>;

    /// What it costs to train it within a memory budget, in words.
    ///
    /// # Errors
    /// If that is impossible.
    fn within(&self, _recipe: &Recipe, _budget: MemoryBudget) -> Result<String, Box<dyn Error>> {
        Err(format!("--budget: {KEEPS_EVERYTHING}").into())
    }

    /// How many parameters a recipe trains, if not all.
    ///
    /// # Errors
    /// If it selects none of the network.
    fn trained(&self, _recipe: &Recipe) -> Result<Option<u64>, Box<dyn Error>> {
        Ok(None)
    }
}

/// What a network learns, with what runs it.
#[derive(Clone, Copy)]
pub enum Task<'n> {
    /// The classes of images.
    Classes(&'n dyn ImageNet),
    /// The next token of a text.
    NextToken(&'n dyn LanguageNet),
    /// The digits of puzzles.
    Puzzles(&'n dyn PuzzleNet),
}

impl<'n> Task<'n> {
    /// The classifier of images.
    ///
    /// # Errors
    /// If it is for something else; `name` is its name.
    fn classifier(self, name: &str) -> Result<&'n dyn ImageNet, String> {
        match self {
            Self::Classes(net) => Ok(net),
            Self::NextToken(_) => Err(format!("`{name}` is a language model; expected a classifier of images")),
            Self::Puzzles(_) => Err(format!("`{name}` solves puzzles; expected a classifier of images")),
        }
    }

    /// Channels, height and width of the images, if it takes images.
    fn picture_size(self) -> [usize; 3] {
        match self {
            Self::Classes(net) => net.sizes().image(),
            Self::NextToken(_) | Self::Puzzles(_) => [0; 3],
        }
    }
}

/// A network that predicts the next token of a text.
pub trait LanguageNet {
    /// Trains it on a device.
    ///
    /// # Errors
    /// If the text is shorter than a window, or those of the trainer.
    fn train(&self, job: Job<'_, Text>, place: Place) -> Result<Outcome, Box<dyn Error>>;

    /// Evaluates a checkpoint on the validation text, on a device; `by_token` predicts token by token, as generation does.
    ///
    /// # Errors
    /// If the checkpoint cannot be used, the text is shorter than a window, the network cannot run token by token, or the device
    /// fails.
    fn evaluate(
        &self,
        checkpoint: &Path,
        text: &Text,
        by_token: bool,
        place: Place,
    ) -> Result<Evaluation, Box<dyn Error>>;

    /// Checks that it has all tokens of a text.
    ///
    /// # Errors
    /// If it does not.
    fn check(&self, text: &Text) -> Result<(), Box<dyn Error>>;
}

/// A network that solves puzzles.
pub trait PuzzleNet {
    /// Trains it on a device.
    ///
    /// # Errors
    /// If it is for other puzzles, or those of the trainer.
    fn train(&self, job: Job<'_, Sudoku>, place: Place) -> Result<Outcome, Box<dyn Error>>;

    /// Evaluates a checkpoint on the validation puzzles.
    ///
    /// # Errors
    /// If it is for other puzzles, the checkpoint cannot be used, or the device fails.
    fn evaluate(&self, checkpoint: &Path, puzzles: Sudoku, how: &Solving) -> Result<Evaluation, Box<dyn Error>>;
}

/// How puzzles are solved.
#[derive(Clone, Copy, Debug)]
pub struct Solving {
    /// The number of puzzles at a time, which run until the last of them stops.
    pub at_once: usize,
    /// Whether a puzzle stops at its exit; otherwise all loops run as often as they can.
    pub exits: bool,
    /// The device to run on.
    pub place: Place,
}

/// A network for images of one kind.
pub trait ImageNet {
    /// What it takes and gives.
    fn sizes(&self) -> Sizes;

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

    /// The networks to train on a data set.
    ///
    /// # Errors
    /// If there is none.
    fn networks(&self, data: &Sets) -> Result<Vec<Box<dyn Net>>, Box<dyn Error>>;

    /// The network of a run.
    ///
    /// # Errors
    /// If the program does not have it.
    fn of_run(&self, run: &Description) -> Result<Box<dyn Net>, Box<dyn Error>>;

    /// Channels, height and width to which the images of a folder are brought.
    fn picture_size(&self) -> [usize; 3];

    /// The data set of a command that names none.
    fn default_data(&self) -> Kind {
        Kind::Digits
    }

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
