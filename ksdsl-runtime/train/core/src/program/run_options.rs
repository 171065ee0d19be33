//! The options of commands that train.

use super::data::Kind;
use super::device::{Place, Precision};
use super::options::{self, count, rate};
use crate::interrupt::Warning;
pub(super) use crate::recipe::Changes;
use crate::text::Choice;
use clap::{Args, ValueEnum};
use ksdsl_engine::budget::MemoryBudget;
use std::num::NonZeroU32;
use std::path::PathBuf;

/// The options of runs.
#[derive(Args, Clone)]
pub(super) struct RunOptions {
    /// Data set: digits, procedural, procedural:FOLDER, cifar10:PATH, cifar100:PATH (archive or folder), folder:PATH
    /// (one folder of images for each class), or for language models text:shakespeare, text:PATH (a file or a folder)
    /// or documents:PATH (each file of a folder, or each line of a file) [default: digits; for language models text:shakespeare]
    #[arg(long, value_name = "DATA")]
    pub(super) data: Option<Kind>,
    /// Vocabulary of a text: bytes, characters (those of the text), bpe:N (byte pairs of the training text, merged up to N
    /// tokens) or a tokenizer.json [default: bytes]
    #[arg(long, value_name = "TOKENS")]
    pub(super) tokens: Option<Choice>,
    /// Train on the first N images only
    #[arg(long, value_name = "N", value_parser = count)]
    pub(super) images: Option<NonZeroU32>,
    /// Number of epochs [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = count)]
    pub(super) epochs: Option<NonZeroU32>,
    /// Number of steps, instead of epochs [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = count, conflicts_with = "epochs")]
    pub(super) steps: Option<NonZeroU32>,
    /// Batch size: images, windows of a text, or puzzles [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = count)]
    pub(super) batch: Option<NonZeroU32>,
    /// Compute each batch in N parts and add their gradients, which needs less memory [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = count)]
    pub(super) accumulate: Option<NonZeroU32>,
    /// Learning rate; with a schedule, the peak learning rate [default: the recipe's]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(super) lr: Option<f64>,
    /// Train these layers or tensors only, all others keep their values: a path as in `share` clauses, such as head,
    /// body[0..2].conv or **.bias (repeatable) [default: the recipe's, usually all]
    #[arg(long, value_name = "PATH")]
    pub(super) train_only: Vec<String>,
    /// Training recipe: se_resnet or convmixer for the paper's recipes, nanogpt for small language models, puzzles
    /// for networks that solve them, or a JSON file with a recipe, such as `recipe` in a run's run.json [default: the
    /// network's own]
    #[arg(long, value_name = "RECIPE")]
    pub(super) recipe: Option<String>,
    /// What a study changes in the recipe.
    #[arg(skip)]
    pub(super) changes: Option<Changes>,
    /// Random seed for initialisation, shuffling, augmentation and the validation split [default: 0]
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Number of seeds to train with, counting up from --seed [default: 1]
    #[arg(long, value_name = "N", value_parser = count)]
    pub(super) seeds: Option<NonZeroU32>,
    /// Device to train on: cpu, or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(super) device: Place,
    /// Precision of matrix products on a GPU
    #[arg(long, value_name = "PRECISION", default_value = "full")]
    pub(super) precision: Precision,
    /// Memory of a step besides the model: a fraction of what it takes without a budget, such as 0.5, or bytes, such as
    /// 200MiB; the backward pass computes again what is not kept, to the same bits
    #[arg(long, value_name = "BUDGET")]
    pub(super) budget: Option<MemoryBudget>,
    /// Number of threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = options::threads)]
    pub(super) threads: Option<NonZeroU32>,
    /// What to do on SIGUSR1, which Slurm sends before a job's time limit
    #[arg(long, value_name = "WHAT", default_value = "checkpoint")]
    pub(super) on_usr1: OnUsr1,
    /// Folder for the run folders
    #[arg(long, value_name = "FOLDER", default_value = "runs")]
    pub(super) out: PathBuf,
}

/// What to do on SIGUSR1.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum OnUsr1 {
    /// Write a checkpoint after the current step and continue
    Checkpoint,
    /// Write a checkpoint after the current step and stop
    Stop,
}

impl RunOptions {
    pub(super) fn warning(&self) -> Warning {
        match self.on_usr1 {
            OnUsr1::Checkpoint => Warning::Checkpoint,
            OnUsr1::Stop => Warning::Stop,
        }
    }

    pub(super) fn images(&self) -> Option<usize> {
        self.images.map(|images| images.get() as usize)
    }

    pub(super) fn seeds(&self) -> impl Iterator<Item = u64> {
        let first = self.seed.unwrap_or(0);
        let count = self.seeds.map_or(1, NonZeroU32::get);
        (0..count).map(move |i| first.wrapping_add(u64::from(i)))
    }

    /// Whether an option was given that a resumed run takes from its own settings.
    pub(super) fn describes_a_run(&self) -> bool {
        let counts = [
            self.images,
            self.epochs,
            self.steps,
            self.batch,
            self.accumulate,
            self.seeds,
        ];
        counts.iter().any(Option::is_some)
            || self.data.is_some()
            || self.tokens.is_some()
            || self.lr.is_some()
            || !self.train_only.is_empty()
            || self.recipe.is_some()
            || self.seed.is_some()
    }
}
