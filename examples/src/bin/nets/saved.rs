//! Models that were saved: a run's folder, or a file of one.

use crate::settings::Origin;
use std::error::Error;
use std::path::{Path, PathBuf};

/// A model in a run's folder.
pub(crate) struct Saved {
    /// The checkpoint.
    pub(crate) file: PathBuf,
    /// The run.
    pub(crate) origin: Origin,
}

impl Saved {
    /// The model that `path` names: a checkpoint, or a run, of which the best model is meant, or with `last` that at
    /// the end.
    pub(crate) fn open(path: &Path, last: bool) -> Result<Self, Box<dyn Error>> {
        let (folder, file) = if path.is_dir() {
            (
                path,
                path.join(if last { "model.safetensors" } else { "best.safetensors" }),
            )
        } else {
            (path.parent().unwrap_or(Path::new("")), path.to_owned())
        };
        if !path.exists() {
            return Err(format!("there is no run or checkpoint `{}`", path.display()).into());
        }
        if file.file_name().is_some_and(|name| name == "last.safetensors") {
            let best = folder.join("best.safetensors");
            return Err(format!(
                "`{}` is what a run goes on from; its models are `{}` and `model.safetensors`",
                file.display(),
                best.display()
            )
            .into());
        }
        let origin = Origin::read(folder)?;
        if !file.exists() {
            let what = if last {
                "it has not ended"
            } else {
                "no epoch of it is done"
            };
            return Err(format!("the run `{}` has no model yet: {what}", folder.display()).into());
        }
        Ok(Self { file, origin })
    }

    /// The seed of the run.
    pub(crate) fn seed(&self) -> u64 {
        self.origin.description.recipe.seed
    }
}
