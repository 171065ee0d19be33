//! Reading checkpoints, and detecting files of a run without a description.

use super::{LAST, MODELS, PROGRESS, RunError};
use crate::json;
use crate::progress::Progress;
use ksdsl_checkpoint::{Expected, File, resolve};
use std::path::{Path, PathBuf};

/// A checkpoint that has been read.
pub struct Checkpoint {
    path: PathBuf,
    file: File,
    /// The progress of the run.
    pub progress: Progress,
}

impl Checkpoint {
    pub(super) fn read(path: &Path) -> Result<Self, RunError> {
        let file = File::read(path).map_err(|error| RunError::Damaged(path.to_owned(), error))?;
        let progress = file.get(PROGRESS).ok_or("it has no `progress`".to_owned());
        let progress = progress
            .and_then(|view| json::from_slice(view.data).map_err(|error| format!("its `{PROGRESS}`: {error}")))
            .map_err(|what| RunError::NoCheckpoint(path.to_owned(), what))?;
        let path = path.to_owned();
        Ok(Self { path, file, progress })
    }

    /// Checks that it contains exactly these tensors besides the progress.
    pub fn check(&self, mut expected: Vec<Expected>) -> Result<(), RunError> {
        let shape = self.file.get(PROGRESS).map(|view| view.shape.to_vec());
        expected.push(Expected {
            key: PROGRESS.to_owned(),
            shape: shape.unwrap_or_default(),
            kind: Some(ksdsl_checkpoint::Kind::U8),
        });
        let fits = resolve(&self.file, &expected, &[]).map(|_| ());
        fits.map_err(|problems| RunError::Unfit(self.path.clone(), problems))
    }

    /// The error that the run cannot be resumed from it.
    pub fn refused(&self, what: String) -> RunError {
        RunError::NoCheckpoint(self.path.clone(), what)
    }

    /// The bytes of a checked tensor.
    pub fn bytes(&self, key: &str) -> &[u8] {
        self.file.get(key).map_or(&[], |view| view.data)
    }
}

/// Refuses a folder without a description that contains files of a run, which a new run would overwrite.
pub(super) fn refuse_remains(folder: &Path) -> Result<(), RunError> {
    // Writing to a device or a pipe (also through a link) overwrites nothing.
    if let Some(name) = MODELS.into_iter().find(|name| folder.join(name).is_file()) {
        return Err(RunError::Remains(folder.join(name)));
    }
    let last = folder.join(LAST);
    // Left by a run that was killed before its description was written.
    let is_beginning = || Checkpoint::read(&last).is_ok_and(|last| last.progress.steps == 0);
    match last.is_file() && !is_beginning() {
        true => Err(RunError::Remains(last)),
        false => Ok(()),
    }
}
