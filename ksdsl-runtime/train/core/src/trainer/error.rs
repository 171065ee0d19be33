//! Training errors.

use crate::data::{DataError, Sizes};
use crate::recipe::InvalidRecipe;
use crate::run::RunError;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// An error that stopped training.
#[derive(Debug)]
#[non_exhaustive]
pub enum TrainError {
    /// The recipe is invalid.
    Recipe(InvalidRecipe),
    /// The training set is empty.
    NoImages,
    /// A data set has other images or classes than the network.
    Sizes {
        /// `training` or `validation`.
        set: &'static str,
        /// The sizes of the data set.
        found: Sizes,
        /// What the network takes and gives.
        network: Sizes,
    },
    /// The source's batches contradict its own description.
    Source {
        /// The epoch, from 1.
        epoch: u32,
        /// The step of the epoch, from 1.
        step: u64,
        /// What is wrong.
        what: String,
    },
    /// The validation data does not fit the model.
    Validation(String),
    /// The data cannot be read.
    Data(DataError),
    /// A run begins as another network and would end as it.
    Beginning {
        /// The epochs with the other network.
        epochs: u32,
        /// The epochs of the run.
        of: u32,
    },
    /// The run's network cannot take over from the one as which the run began.
    Unlike(String),
    /// The recipe's `train_only` selects no parameter, or a part of a shared one.
    Selection(String),
    /// Training diverged: the loss, gradients or parameters are not finite.
    Diverged(Box<Diverged>),
    /// A step does not fit into its memory.
    Memory(String),
    /// The run folder cannot be used.
    Run(RunError),
    /// An observer failed.
    Observer(io::Error),
    /// The device failed.
    Device(String),
}

/// The state of training when it diverged.
#[derive(Clone, Debug, PartialEq)]
pub struct Diverged {
    /// The epoch, from 1.
    pub epoch: u32,
    /// The step of the run, from 1.
    pub step: u64,
    /// The loss.
    pub loss: f64,
    /// The learning rate of the last update.
    pub rate: f64,
    /// The global gradient norm: of this step if the loss is finite, otherwise of the previous step, if there is one.
    pub gradient_norm: Option<f64>,
    /// Whether the batch is finite.
    pub images_finite: bool,
    /// The model's tensors with non-finite values.
    pub tensors: Vec<String>,
    /// The last finite checkpoint.
    pub checkpoint: Option<PathBuf>,
}

impl Diverged {
    /// Lists the non-finite tensors, the first few by name.
    fn fmt_tensors(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMED: usize = 8;
        match self.tensors.as_slice() {
            [] if !self.images_finite => write!(f, "\nthe batch contains non-finite values: check the data"),
            [] => write!(f, "\nall tensors of the model are finite"),
            tensors => {
                let named = &tensors[..tensors.len().min(NAMED)];
                write!(f, "\nnon-finite tensors: `{}`", named.join("`, `"))?;
                match tensors.len() - named.len() {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
        }
    }
}

impl fmt::Display for Diverged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            loss,
            epoch,
            step,
            rate,
            ..
        } = self;
        let norm = self.gradient_norm;
        f.write_str("training diverged: ")?;
        match norm {
            _ if !loss.is_finite() => write!(f, "the loss became {loss}")?,
            Some(norm) if !norm.is_finite() => write!(f, "the gradient norm became {norm} at a loss of {loss}")?,
            _ => write!(f, "the parameters became non-finite after a loss of {loss}")?,
        }
        write!(f, " in epoch {epoch}, step {step}, at a learning rate of {rate}")?;
        if let Some(norm) = norm.filter(|norm| norm.is_finite()) {
            write!(f, "; the last gradient norm was {norm}")?;
        }
        self.fmt_tensors(f)?;
        write!(f, "\ntry a lower learning rate, a warm-up, or gradient clipping")?;
        match &self.checkpoint {
            Some(path) => write!(f, "; the last finite checkpoint is `{}`", path.display()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recipe(error) => error.fmt(f),
            Self::NoImages => f.write_str("the training set is empty"),
            Self::Sizes { set, found, network } => {
                write!(f, "the {set} set has {found}; the network is for {network}")
            }
            Self::Beginning { epochs, of } => write!(
                f,
                "the run has {of} {}: it cannot begin with {epochs} of another network; give it fewer",
                if *of == 1 { "epoch" } else { "epochs" }
            ),
            Self::Unlike(what) | Self::Memory(what) => f.write_str(what),
            Self::Selection(what) => write!(f, "train-only: {what}"),
            Self::Validation(what) => write!(f, "validation: {what}"),
            Self::Source { epoch, step, what } => write!(f, "epoch {epoch}, step {step}: {what}"),
            Self::Data(error) => error.fmt(f),
            Self::Diverged(error) => error.fmt(f),
            Self::Run(error) => error.fmt(f),
            Self::Observer(error) => write!(f, "an observer failed: {error}"),
            Self::Device(what) => write!(f, "the device failed: {what}"),
        }
    }
}

impl std::error::Error for TrainError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Recipe(error) => Some(error),
            Self::Data(error) => Some(error),
            Self::Run(error) => Some(error),
            Self::Observer(error) => Some(error),
            _ => None,
        }
    }
}

impl From<RunError> for TrainError {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

/// Whether a data set, if its sizes are known, has those of the network.
pub(super) fn check_sizes(set: &'static str, found: Option<Sizes>, network: Sizes) -> Result<(), TrainError> {
    match found.filter(|found| *found != network) {
        Some(found) => Err(TrainError::Sizes { set, found, network }),
        None => Ok(()),
    }
}
