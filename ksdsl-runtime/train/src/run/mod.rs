//! The folder of a run: what it trains and how, its last checkpoint, its best model.
//!
//! | file | what it is |
//! | --- | --- |
//! | `run.json` | the network with its specification, the recipe, the data, the versions |
//! | `last.safetensors` | the last checkpoint, all that is needed to go on |
//! | `best.safetensors` | the model (its average, if one is kept) that was best on the images held out |
//! | `model.safetensors` | the model at the end |
//! | `averaged.safetensors` | its average at the end, if one is kept |
//!
//! The models are files that `checkpoint::load` reads. Every file is written beside its place, brought to the
//! disk and then renamed, so that whoever looks, and whenever the machine stops, finds the old one or the new
//! one. The description is written after the first checkpoint, so a folder that has it without a checkpoint has lost it.
//!
//! Whoever opens a folder locks it before anything is read or written.

mod checkpoint;
mod description;
mod differences;
mod error;

pub use description::Description;
pub use differences::Difference;
pub use error::RunError;

pub(crate) use checkpoint::Checkpoint;

use crate::trainer::Progress;
use ksdsl_checkpoint::{Tensor, to_bytes};
use std::fs;
use std::path::{Path, PathBuf};

/// The file with the description.
const DESCRIPTION: &str = "run.json";
/// The last checkpoint.
const LAST: &str = "last.safetensors";
/// The file that a running run holds locked.
const LOCK: &str = "run.lock";
/// The models.
const MODELS: [&str; 3] = [BEST, MODEL, AVERAGED];
const BEST: &str = "best.safetensors";
const MODEL: &str = "model.safetensors";
const AVERAGED: &str = "averaged.safetensors";
/// The key of the progress in a checkpoint.
const PROGRESS: &str = "progress";

/// What to do about a run that is there, or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Begin a run; one that is there is an error.
    New,
    /// Go on with the run that is there; none is an error.
    Resume,
    /// Go on with the run that is there, or begin one.
    Either,
}

/// A file that a run's folder has beside those of the trainer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Companion {
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// The folder of a run that is under way; nobody else can open it meanwhile.
#[doc(hidden)]
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Of a run that begins, what its description will be.
    begins: Option<Vec<u8>>,
    _lock: fs::File,
}

impl RunFolder {
    /// Opens the folder for a run, which it must describe if there is one. Companions that are missing are written,
    /// of a run that begins all.
    pub fn open(
        path: &Path,
        opening: Opening,
        description: &Description,
        companions: &[Companion],
    ) -> Result<Self, RunError> {
        // Asked before as well, so that nothing is made where there is nothing to do.
        has_run(path, opening)?;
        fs::create_dir_all(path).map_err(|error| RunError::write(path, error))?;
        let lock = lock(&path.join(LOCK))?;
        let has_run = has_run(path, opening)?;
        ksdsl_files::remove_partial(path);
        let mut folder = Self {
            path: path.to_owned(),
            begins: None,
            _lock: lock,
        };
        if has_run {
            folder.resume(description)?;
        } else {
            checkpoint::refuse_remains(path)?;
            folder.begins = Some(description.to_json());
        }
        let wanted = |companion: &&Companion| !has_run || !path.join(&companion.name).exists();
        for companion in companions.iter().filter(wanted) {
            folder.write(&companion.name, &companion.content)?;
        }
        Ok(folder)
    }

    /// Compares the run that is there, and notes that this version works on it.
    fn resume(&self, description: &Description) -> Result<(), RunError> {
        let stored = Description::of(&self.path)?;
        let differences = stored.differences(description);
        if !differences.is_empty() {
            return Err(RunError::Differs(self.path.clone(), differences));
        }
        if !self.last().exists() {
            return Err(RunError::Lost(self.last()));
        }
        let current = description.after(&stored);
        match stored == current {
            true => Ok(()),
            false => self.write(DESCRIPTION, &current.to_json()),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the last checkpoint.
    pub fn last(&self) -> PathBuf {
        self.path.join(LAST)
    }

    /// The path of the best model.
    pub(crate) fn best(&self) -> PathBuf {
        self.path.join(BEST)
    }

    /// The path of the model at the end.
    pub(crate) fn model(&self) -> PathBuf {
        self.path.join(MODEL)
    }

    /// The path of its average.
    pub(crate) fn averaged(&self) -> PathBuf {
        self.path.join(AVERAGED)
    }

    /// Replaces a file of the folder.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), RunError> {
        let path = self.path.join(name);
        ksdsl_files::write(&path, content).map_err(|error| RunError::write(&path, error))?;
        self.sync()
    }

    /// Brings the names of the folder's files to the disk, after one was renamed.
    pub(crate) fn sync(&self) -> Result<(), RunError> {
        #[cfg(unix)]
        {
            let synced = fs::File::open(&self.path).and_then(|folder| ksdsl_files::sync(&folder));
            synced.map_err(|error| RunError::write(&self.path, error))?;
        }
        Ok(())
    }

    /// Replaces the last checkpoint.
    pub(crate) fn save(&self, mut tensors: Vec<Tensor<'_>>, progress: &Progress) -> Result<(), RunError> {
        let json = progress.to_json();
        tensors.push(Tensor {
            key: PROGRESS.to_owned(),
            kind: ksdsl_checkpoint::Kind::U8,
            shape: vec![json.len() as u64],
            data: json.into(),
        });
        self.write(LAST, &to_bytes(&tensors, &[]))
    }

    /// The last checkpoint; none of a run that begins.
    pub(crate) fn load(&self) -> Result<Option<Checkpoint>, RunError> {
        match self.begins {
            Some(_) => Ok(None),
            None => Checkpoint::read(&self.last()).map(Some),
        }
    }

    /// Describes a run that begins, after its first checkpoint.
    pub(crate) fn begin(&mut self) -> Result<(), RunError> {
        match self.begins.take() {
            Some(description) => self.write(DESCRIPTION, &description),
            None => Ok(()),
        }
    }
}

/// Whether there is a run, if that is what is expected.
fn has_run(path: &Path, opening: Opening) -> Result<bool, RunError> {
    let has_run = path.join(DESCRIPTION).exists();
    match opening {
        Opening::New if has_run => Err(RunError::Exists(path.to_owned())),
        Opening::Resume if !has_run => Err(RunError::None(path.to_owned())),
        _ => Ok(has_run),
    }
}

/// Locks the folder as long as the file is open.
fn lock(path: &Path) -> Result<fs::File, RunError> {
    match ksdsl_files::lock(path) {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(RunError::Busy(path.to_owned())),
        Err(error) => Err(RunError::write(path, error)),
    }
}
