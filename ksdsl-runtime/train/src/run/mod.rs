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
//! one.

mod description;
mod differences;

pub use description::Description;
pub use differences::Difference;

use crate::trainer::Progress;
use ksdsl_checkpoint::{Expected, File, FileError, Problems, Tensor, resolve, to_bytes, write_file};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file with the description.
const DESCRIPTION: &str = "run.json";
/// The last checkpoint.
const LAST: &str = "last.safetensors";
/// The file that a running run holds locked.
const LOCK: &str = "run.lock";
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

/// The folder of a run that is under way; nobody else can open it meanwhile.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: fs::File,
}

impl RunFolder {
    /// Opens the folder for a run, which it must describe if there is one.
    pub fn open(path: &Path, opening: Opening, description: &Description) -> Result<Self, RunError> {
        let at = |name: &str| path.join(name);
        let exists = at(DESCRIPTION).exists();
        match opening {
            Opening::New if exists => return Err(RunError::Exists(path.to_owned())),
            Opening::Resume if !exists => return Err(RunError::None(path.to_owned())),
            _ => fs::create_dir_all(path).map_err(|error| RunError::write(path, error))?,
        }
        let lock = lock(&at(LOCK))?;
        remove_left_over(path);
        let folder = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        let stored = match exists {
            true => Some(Description::read(&at(DESCRIPTION))?),
            false => None,
        };
        if let Some(stored) = &stored {
            let differences = differences::between(stored, description);
            if !differences.is_empty() {
                return Err(RunError::Differs(path.to_owned(), differences));
            }
        }
        let current = description.after(stored.as_ref());
        if stored.as_ref() != Some(&current) {
            folder.write(DESCRIPTION, &current.to_json())?;
        }
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the last checkpoint.
    pub fn last(&self) -> PathBuf {
        self.path.join(LAST)
    }

    /// Replaces a file of the folder.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), RunError> {
        let path = self.path.join(name);
        write_file(&path, content).map_err(|error| RunError::write(&path, error))?;
        self.sync()
    }

    /// Brings the names of the folder's files to the disk, after one was renamed.
    pub(crate) fn sync(&self) -> Result<(), RunError> {
        #[cfg(unix)]
        {
            let synced = fs::File::open(&self.path).and_then(|folder| folder.sync_all());
            // Some file systems have it otherwise.
            if let Err(error) = synced.or_else(|error| match error.kind() {
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => Ok(()),
                _ => Err(error),
            }) {
                return Err(RunError::write(&self.path, error));
            }
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

    /// The last checkpoint, if one was written.
    pub(crate) fn load(&self) -> Result<Option<Checkpoint>, RunError> {
        let path = self.last();
        if !path.exists() {
            return Ok(None);
        }
        let file = File::read(&path).map_err(|error| RunError::Damaged(path.clone(), error))?;
        let progress = file.get(PROGRESS).and_then(|view| Progress::from_json(view.data));
        match progress {
            Some(progress) => Ok(Some(Checkpoint { path, file, progress })),
            None => Err(RunError::NoCheckpoint(path)),
        }
    }
}

/// A checkpoint that was read.
pub(crate) struct Checkpoint {
    path: PathBuf,
    file: File,
    /// How far the run was.
    pub(crate) progress: Progress,
}

impl Checkpoint {
    /// Whether it has exactly these tensors beside the progress.
    pub(crate) fn check(&self, mut expected: Vec<Expected>) -> Result<(), RunError> {
        let shape = self.file.get(PROGRESS).map(|view| view.shape.to_vec());
        expected.push(Expected {
            key: PROGRESS.to_owned(),
            shape: shape.unwrap_or_default(),
            kind: Some(ksdsl_checkpoint::Kind::U8),
        });
        let fits = resolve(&self.file, &expected, &[]).map(|_| ());
        fits.map_err(|problems| RunError::Unfit(self.path.clone(), problems))
    }

    /// The bytes of a tensor that was checked.
    pub(crate) fn bytes(&self, key: &str) -> &[u8] {
        self.file.get(key).map_or(&[], |view| view.data)
    }
}

/// Locks a file as long as it is open; the system gives it free whatever becomes of the program.
fn lock(path: &Path) -> Result<fs::File, RunError> {
    let file = fs::File::create(path).map_err(|error| RunError::write(path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(RunError::Busy(path.to_owned())),
        // Some file systems have no locks.
        Err(fs::TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(fs::TryLockError::Error(error)) => Err(RunError::write(path, error)),
    }
}

/// Removes what a killed run had not renamed yet.
fn remove_left_over(folder: &Path) {
    // As the crate `tempfile` calls them.
    let is_left_over = |name: &str| {
        let random = name.strip_prefix(".tmp");
        random.is_some_and(|random| random.len() == 6 && random.chars().all(|c| c.is_ascii_alphanumeric()))
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        if entry.file_name().to_str().is_some_and(is_left_over) {
            // If it stays, it is only in the way.
            let _ = fs::remove_file(entry.path());
        }
    }
}

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
    /// The description is none.
    Description(PathBuf, String),
    /// A checkpoint cannot be read.
    Damaged(PathBuf, FileError),
    /// The file is no checkpoint of a run.
    NoCheckpoint(PathBuf),
    /// The checkpoint holds other tensors.
    Unfit(PathBuf, Problems),
    /// A file cannot be written. Those that were there are as they were.
    Write(PathBuf, io::Error),
}

impl RunError {
    fn write(path: &Path, error: io::Error) -> Self {
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
            Self::Description(path, what) => write!(f, "`{}` describes no run: {what}", path.display()),
            Self::Damaged(_, error) => error.fmt(f),
            Self::NoCheckpoint(path) => write!(
                f,
                "`{}` is no checkpoint of a run: it has no readable `{PROGRESS}`",
                path.display()
            ),
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
