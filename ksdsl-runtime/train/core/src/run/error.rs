//! Errors of run folders.

use super::{DESCRIPTION, Difference};
use ksdsl_checkpoint::{FileError, Problems};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An error that prevents a run from starting, resuming or being saved.
#[derive(Debug)]
pub enum RunError {
    /// The folder already contains a run.
    Exists(PathBuf),
    /// The folder contains no run.
    None(PathBuf),
    /// Another process has locked the run.
    Busy(PathBuf),
    /// The folder contains a different run.
    Differs(PathBuf, Vec<Difference>),
    /// The folder contains files of a run, but no description.
    Remains(PathBuf),
    /// A file needed to resume the run is missing.
    Lost(PathBuf),
    /// The description is invalid.
    Description(PathBuf, String),
    /// A checkpoint cannot be read.
    Damaged(PathBuf, FileError),
    /// The file is not a checkpoint, or contradicts itself or the run.
    NoCheckpoint(PathBuf, String),
    /// The checkpoint's tensors do not match the model.
    Unfit(PathBuf, Problems),
    /// A file cannot be written. Existing files are unchanged.
    Write(PathBuf, io::Error),
}

impl RunError {
    pub(super) fn write(path: &Path, error: io::Error) -> Self {
        Self::Write(path.to_owned(), error)
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(path) => write!(
                f,
                "`{}` already contains a run: resume it, or choose another folder",
                path.display()
            ),
            Self::None(path) => write!(
                f,
                "`{}` contains no run to resume: it has no `{DESCRIPTION}`",
                path.display()
            ),
            Self::Busy(path) => write!(
                f,
                "another process is training this run: it has locked `{}`",
                path.display()
            ),
            Self::Differs(path, differences) => {
                write!(
                    f,
                    "the run in `{}` cannot be resumed with different settings:",
                    path.display()
                )?;
                differences
                    .iter()
                    .try_for_each(|difference| write!(f, "\n- {difference}"))
            }
            Self::Remains(path) => write!(
                f,
                "`{}` belongs to a run, but its folder has no `{DESCRIPTION}`: restore that file, move this one away, or \
                 choose another folder",
                path.display()
            ),
            Self::Lost(path) => write!(
                f,
                "the run cannot be resumed: `{}` is missing; restore it, or start a new run in another folder",
                path.display()
            ),
            Self::Description(path, what) => write!(f, "`{}` is not a valid run description: {what}", path.display()),
            Self::Damaged(_, error) => error.fmt(f),
            Self::NoCheckpoint(path, what) => {
                write!(f, "cannot resume from the checkpoint `{}`: {what}", path.display())
            }
            Self::Unfit(path, problems) => write!(f, "`{}`: {problems}", path.display()),
            Self::Write(path, error) => write!(
                f,
                "cannot write `{}`: {error}; earlier checkpoints are unchanged",
                path.display()
            ),
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Damaged(_, error) => Some(error),
            Self::Unfit(_, problems) => Some(problems),
            Self::Write(_, error) => Some(error),
            _ => None,
        }
    }
}
