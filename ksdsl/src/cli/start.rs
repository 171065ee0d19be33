//! The checkpoint from which a training starts, `--weights` and `weights` in studies.

use crate::graph::train::{LoadError, Subject};
use crate::share::select::place;
use ksdsl_checkpoint::{Problem, Problems};
use ksdsl_train_core::program::output::note;
use ksdsl_train_core::program::saved::Saved;
use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

/// Layers that a hint names.
const NAMED: usize = 3;

/// A checkpoint to start from.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) checkpoint: PathBuf,
    pub(super) except: Vec<String>,
}

/// The options for it.
#[derive(clap::Args)]
pub(super) struct StartOptions {
    /// Start from the weights of a checkpoint instead of random ones: a safetensors file, or a run folder for its best model
    #[arg(long, value_name = "CHECKPOINT")]
    weights: Option<PathBuf>,
    /// Start these layers or tensors from random values all the same, whatever --weights has of them: a path as in `share`
    /// clauses, such as head or body[0..2].conv (repeatable)
    #[arg(long, value_name = "PATH", requires = "weights")]
    weights_except: Vec<String>,
}

impl StartOptions {
    /// Whether there is a checkpoint.
    pub(super) fn is_given(&self) -> bool {
        self.weights.is_some()
    }

    /// The checkpoint, if there is one.
    pub(super) fn read(&self) -> Option<Start> {
        Some(Start {
            checkpoint: self.weights.clone()?,
            except: self.weights_except.clone(),
        })
    }
}

/// A checkpoint does not fit.
#[derive(Debug)]
pub(super) struct NoStart {
    checkpoint: PathBuf,
    error: LoadError,
}

impl fmt::Display for NoStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            LoadError::File(error) => write!(f, "weights: {error}"),
            LoadError::Pattern(what) => write!(f, "weights-except: {what}"),
            error => write!(f, "weights `{}`: {error}", self.checkpoint.display()),
        }
    }
}

impl Error for NoStart {}

impl NoStart {
    /// What may help.
    pub(super) fn help(&self) -> Option<String> {
        match &self.error {
            LoadError::Unfit(problems) => help(problems),
            LoadError::NonFinite(_) => Some("choose an earlier checkpoint, from before training diverged".to_owned()),
            _ => None,
        }
    }
}

/// What may help where tensors do not fit.
fn help(Problems(problems): &Problems) -> Option<String> {
    if problems.iter().any(|problem| matches!(problem, Problem::Untied { .. })) {
        return Some("`ksn fuse` makes one tensor of the copies of several layers".to_owned());
    }
    let is_shared = |problem: &Problem| matches!(problem, Problem::Surplus { key } if key.starts_with("shared."));
    if problems.iter().any(is_shared) {
        return Some("`ksn unroll` gives each layer its copy of a shared tensor".to_owned());
    }
    let key = |problem: &Problem| match problem {
        Problem::Missing { key, .. } | Problem::Surplus { key } | Problem::Shape { key, .. } => Some(key.clone()),
        _ => None,
    };
    let layer = |key: String| match key.rsplit_once('.') {
        Some((layer, _)) => place(layer).to_string(),
        None => key,
    };
    let layers: BTreeSet<String> = problems.iter().filter_map(key).map(layer).collect();
    let options = layers.iter().map(|layer| format!("--weights-except '{layer}'"));
    let more = if layers.len() > NAMED { " ..." } else { "" };
    let options = options.take(NAMED).collect::<Vec<_>>().join(" ");
    (!layers.is_empty()).then(|| format!("to start these layers from random values: {options}{more}"))
}

impl Start {
    /// Starts a training from it.
    pub(super) fn apply(&self, subject: &mut Subject) -> Result<(), Box<dyn Error>> {
        let checkpoint = model(&self.checkpoint)?;
        let unstated = subject.start_from(&checkpoint, &self.except).map_err(|error| NoStart {
            checkpoint: checkpoint.clone(),
            error,
        })?;
        if let Some(unstated) = unstated {
            note(format_args!("warning: {}: {unstated}", checkpoint.display()));
        }
        Ok(())
    }
}

/// The file of the model at a path, of a run folder its best one.
fn model(path: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let is_of_run = path.is_dir() || path.file_name().is_some_and(|name| name == "last.safetensors");
    match is_of_run {
        true => Ok(Saved::open(path, false)
            .map_err(|error| format!("weights: {error}"))?
            .file),
        false => Ok(path.to_owned()),
    }
}
