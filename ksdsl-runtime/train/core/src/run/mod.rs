//! Run folders: description, last checkpoint, models.
//!
//! | file | content |
//! | --- | --- |
//! | `run.json` | network with specification, recipe, data settings, versions |
//! | `last.safetensors` | the last checkpoint, for resuming |
//! | `best.safetensors` | the model (or its average, if there is one) with the best validation accuracy |
//! | `model.safetensors` | the final model |
//! | `averaged.safetensors` | its final average, if there is one |
//!
//! `checkpoint::load` reads the models. Every file is written to a temporary file, fsynced and renamed, so that after a
//! crash either the old or the new one exists. The description is written after the first checkpoint: a folder with a
//! description but no checkpoint has lost it.
//!
//! An open folder is locked (`run.lock`).

mod checkpoint;
mod description;
mod differences;
mod error;

pub use description::{Beginning, Description, Facts, Weights};
pub use differences::Difference;
pub use error::RunError;

#[doc(hidden)]
pub use checkpoint::Checkpoint;

use crate::progress::Progress;
use ksdsl_checkpoint::{Tensor, to_bytes};
use std::fs;
use std::path::{Path, PathBuf};

/// The file name of the description.
const DESCRIPTION: &str = "run.json";
/// The last checkpoint.
const LAST: &str = "last.safetensors";
/// The lock file.
const LOCK: &str = "run.lock";
/// The models.
const MODELS: [&str; 3] = [BEST, MODEL, AVERAGED];
const BEST: &str = "best.safetensors";
const MODEL: &str = "model.safetensors";
const AVERAGED: &str = "averaged.safetensors";
/// The key of the progress in a checkpoint.
const PROGRESS: &str = "progress";

/// How to open a run folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Start a run; an existing run is an error.
    New,
    /// Resume the run; a missing run is an error.
    Resume,
    /// Resume the run, or start one.
    Either,
}

/// An additional file in a run folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Companion {
    /// The file name.
    pub name: String,
    /// The content.
    pub content: Vec<u8>,
}

/// An open, locked run folder.
#[doc(hidden)]
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// The description of a new run, until it is written.
    begins: Option<Vec<u8>>,
    _lock: fs::File,
}

impl RunFolder {
    /// Opens and locks the folder. An existing run must match `description`. Writes missing companions, and all
    /// companions of a new run.
    pub fn open(
        path: &Path,
        opening: Opening,
        description: &Description,
        companions: &[Companion],
    ) -> Result<Self, RunError> {
        // Checked before locking too, so that a refused folder is not created.
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

    /// Compares the descriptions, and adds this version to the stored one.
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

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the last checkpoint.
    pub fn last(&self) -> PathBuf {
        self.path.join(LAST)
    }

    /// The path of the best model.
    pub fn best(&self) -> PathBuf {
        self.path.join(BEST)
    }

    /// The path of the final model.
    pub fn model(&self) -> PathBuf {
        self.path.join(MODEL)
    }

    /// The path of the final average.
    pub fn averaged(&self) -> PathBuf {
        self.path.join(AVERAGED)
    }

    /// Replaces a file in the folder.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), RunError> {
        let path = self.path.join(name);
        ksdsl_files::write(&path, content).map_err(|error| RunError::write(&path, error))?;
        self.sync()
    }

    /// Fsyncs the folder after a rename.
    pub fn sync(&self) -> Result<(), RunError> {
        #[cfg(unix)]
        {
            let synced = fs::File::open(&self.path).and_then(|folder| ksdsl_files::sync(&folder));
            synced.map_err(|error| RunError::write(&self.path, error))?;
        }
        Ok(())
    }

    /// Replaces the last checkpoint.
    pub fn save(&self, mut tensors: Vec<Tensor<'_>>, progress: &Progress) -> Result<(), RunError> {
        let json = progress.to_json();
        tensors.push(Tensor {
            key: PROGRESS.to_owned(),
            kind: ksdsl_checkpoint::Kind::U8,
            shape: vec![json.len() as u64],
            data: json.into(),
        });
        self.write(LAST, &to_bytes(&tensors, &[]))
    }

    /// Reads the last checkpoint; `None` for a new run.
    pub fn load(&self) -> Result<Option<Checkpoint>, RunError> {
        match self.begins {
            Some(_) => Ok(None),
            None => Checkpoint::read(&self.last()).map(Some),
        }
    }

    /// Writes the description of a new run, after its first checkpoint.
    pub fn begin(&mut self) -> Result<(), RunError> {
        match self.begins.take() {
            Some(description) => self.write(DESCRIPTION, &description),
            None => Ok(()),
        }
    }
}

/// Whether there is a run; an error if `opening` does not allow it.
fn has_run(path: &Path, opening: Opening) -> Result<bool, RunError> {
    let has_run = path.join(DESCRIPTION).exists();
    match opening {
        Opening::New if has_run => Err(RunError::Exists(path.to_owned())),
        Opening::Resume if !has_run => Err(RunError::None(path.to_owned())),
        _ => Ok(has_run),
    }
}

/// Locks the folder for as long as the file is open.
fn lock(path: &Path) -> Result<fs::File, RunError> {
    match ksdsl_files::lock(path) {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(RunError::Busy(path.to_owned())),
        Err(error) => Err(RunError::write(path, error)),
    }
}
