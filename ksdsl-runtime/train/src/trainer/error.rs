//! Why training stopped.

use crate::data::DataError;
use crate::recipe::Unfit;
use crate::run::RunError;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why training stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum TrainError {
    /// The recipe makes no sense.
    Recipe(Unfit),
    /// There are no images to train on.
    NoImages,
    /// The source gave fewer or other batches than it said.
    Source {
        /// The epoch, from 1.
        epoch: u32,
        /// The step of the epoch, from 1.
        step: u64,
        /// What was wrong.
        what: String,
    },
    /// Images cannot be read.
    Data(DataError),
    /// The loss or the gradients are no longer numbers.
    Diverged(Box<Diverged>),
    /// The run's folder cannot be used.
    Run(RunError),
    /// An observer failed.
    Observer(io::Error),
    /// The device failed.
    Device(String),
}

/// The step at which training broke down.
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
    /// The norm of all gradients: of this step if the loss is finite, of the one before (if there is one) if not.
    pub gradient_norm: Option<f64>,
    /// Whether the step's images are finite.
    pub images_finite: bool,
    /// The tensors of the model that hold a value that is not finite.
    pub tensors: Vec<String>,
    /// The last good checkpoint.
    pub checkpoint: Option<PathBuf>,
}

impl Diverged {
    /// Which tensors are not finite, the first few by name.
    fn fmt_tensors(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMED: usize = 8;
        match self.tensors.as_slice() {
            [] if !self.images_finite => write!(f, "\nthe step's images are not finite: look at the data"),
            [] => write!(f, "\nall tensors of the model are still finite"),
            tensors => {
                let named = &tensors[..tensors.len().min(NAMED)];
                write!(f, "\nnot finite: `{}`", named.join("`, `"))?;
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
            Some(norm) if !norm.is_finite() => {
                write!(f, "the norm of the gradients became {norm} at a loss of {loss}")?
            }
            _ => write!(f, "the parameters are no longer finite after a loss of {loss}")?,
        }
        write!(f, " in epoch {epoch}, step {step}, at a learning rate of {rate}")?;
        if let Some(norm) = norm.filter(|norm| norm.is_finite()) {
            write!(f, "; the norm of the last gradients was {norm}")?;
        }
        self.fmt_tensors(f)?;
        write!(f, "\ntry a lower rate, a warm-up, or clipped gradients")?;
        match &self.checkpoint {
            Some(path) => write!(f, "; the last good state is in `{}`", path.display()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recipe(error) => error.fmt(f),
            Self::NoImages => f.write_str("there are no images to train on"),
            Self::Source { epoch, step, what } => write!(f, "epoch {epoch}, step {step}: {what}"),
            Self::Data(error) => error.fmt(f),
            Self::Diverged(error) => error.fmt(f),
            Self::Run(error) => error.fmt(f),
            Self::Observer(error) => write!(f, "what the run tells cannot be written: {error}"),
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
