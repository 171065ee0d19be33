//! Why a run cannot begin, go on or be saved.

use super::{DESCRIPTION, Difference};
use ksdsl_checkpoint::{FileError, Problems};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a run cannot begin, go on or be saved.
#[derive(Debug)]
pub enum RunError {
    /// The folder has a run.
    Exists(PathBuf),
    /// The folder has none.
    None(PathBuf),
    /// Another program works on the run.
    Busy(PathBuf),
    /// The folder has a run of something else.
    Differs(PathBuf, Vec<Difference>),
    /// The folder has models of a run that it does not describe.
    Remains(PathBuf),
    /// A file is gone that the run needs to go on.
    Lost(PathBuf),
    /// The description is none.
    Description(PathBuf, String),
    /// A checkpoint cannot be read.
    Damaged(PathBuf, FileError),
    /// The file is no checkpoint of a run, or one that contradicts itself or the run.
    NoCheckpoint(PathBuf, String),
    /// The checkpoint holds other tensors.
    Unfit(PathBuf, Problems),
    /// A file cannot be written. Those that were there are as they were.
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
                "`{}` has a run already: resume it, or choose another folder",
                path.display()
            ),
            Self::None(path) => write!(
                f,
                "`{}` has no run to resume: it has no `{DESCRIPTION}`",
                path.display()
            ),
            Self::Busy(path) => write!(f, "another program works on this run: it holds `{}`", path.display()),
            Self::Differs(path, differences) => {
                write!(f, "the run in `{}` cannot be resumed as another one:", path.display())?;
                differences
                    .iter()
                    .try_for_each(|difference| write!(f, "\n- {difference}"))
            }
            Self::Remains(path) => write!(
                f,
                "`{}` is of a run, but its folder has no `{DESCRIPTION}` that says of which: restore that, move the \
                 file away, or choose another folder",
                path.display()
            ),
            Self::Lost(path) => write!(
                f,
                "the run cannot go on: `{}` is gone; restore it, or begin a run in another folder",
                path.display()
            ),
            Self::Description(path, what) => write!(f, "`{}` describes no run: {what}", path.display()),
            Self::Damaged(_, error) => error.fmt(f),
            Self::NoCheckpoint(path, what) => {
                write!(
                    f,
                    "`{}` is no checkpoint of a run that can go on: {what}",
                    path.display()
                )
            }
            Self::Unfit(path, problems) => write!(f, "`{}`: {problems}", path.display()),
            Self::Write(path, error) => write!(
                f,
                "cannot write `{}`: {error}; what was saved before is untouched",
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
