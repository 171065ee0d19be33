//! Saved models: a run folder, or a checkpoint in one.

use super::settings::Origin;
use crate::run::Description;
use std::error::Error;
use std::path::{Path, PathBuf};

/// A model in a run folder.
pub struct Saved {
    /// The checkpoint.
    pub file: PathBuf,
    /// The run.
    pub(super) origin: Origin,
}

impl Saved {
    /// The model at `path`: a checkpoint, or of a run folder its best model (with `last` the final one).
    ///
    /// # Errors
    /// If there is none.
    pub fn open(path: &Path, last: bool) -> Result<Self, Box<dyn Error>> {
        let (folder, file) = if path.is_dir() {
            (
                path,
                path.join(if last { "model.safetensors" } else { "best.safetensors" }),
            )
        } else {
            (path.parent().unwrap_or(Path::new("")), path.to_owned())
        };
        if !path.exists() {
            return Err(format!("no run or checkpoint at `{}`", path.display()).into());
        }
        if file.file_name().is_some_and(|name| name == "last.safetensors") {
            let best = folder.join("best.safetensors");
            return Err(format!(
                "`{}` is the checkpoint for resuming the run; the models to use are `{}` and `model.safetensors`",
                file.display(),
                best.display()
            )
            .into());
        }
        let origin = Origin::read(folder)?;
        if !file.exists() {
            let what = if last {
                "it has not finished"
            } else {
                "no epoch has finished"
            };
            return Err(format!("the run `{}` has no model yet: {what}", folder.display()).into());
        }
        Ok(Self { file, origin })
    }

    /// What the run folder says of the run.
    pub fn description(&self) -> &Description {
        &self.origin.description
    }

    /// The seed of the run.
    pub(super) fn seed(&self) -> u64 {
        self.origin.description.recipe.seed
    }
}
