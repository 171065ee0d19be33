//! The data sets that the programs train on.

use crate::data::{Cifar10, Cifar100, DataError, Dataset, Digits, Scaling, Shapes};
use crate::interrupt::Stop;
use crate::puzzle::Sudoku;
use crate::text::{Origin, Text};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// The fraction of the images in the validation set, if the data set has no split of its own.
const VALIDATION_FRACTION: f64 = 0.2;

/// Training set, validation set, and how pixels are scaled.
#[derive(Clone, Debug)]
pub struct Data {
    /// The training set.
    pub training: Arc<Dataset>,
    /// The validation set.
    pub validation: Dataset,
    /// Mean and standard deviation of the training set.
    pub scaling: Scaling,
}

impl Data {
    /// A data set with the given training and validation sets.
    pub fn new((training, validation): (Dataset, Dataset)) -> Self {
        Self {
            scaling: Scaling::of(&training),
            training: Arc::new(training),
            validation,
        }
    }

    /// Splits off a validation set chosen by `seed`.
    pub fn split(all: &Dataset, seed: u64) -> Self {
        Self::new(all.split(VALIDATION_FRACTION, seed))
    }

    /// Keeps only the first `images` of the training set.
    fn limited(self, images: Option<usize>) -> Self {
        match images {
            Some(images) if images < self.training.len() => {
                Self::new((self.training.part(|index| index < images), self.validation))
            }
            _ => self,
        }
    }
}

/// What is trained on.
#[derive(Clone, Debug)]
pub enum Sets {
    /// Labelled images.
    Images(Data),
    /// A text.
    Text(Text),
    /// Puzzles.
    Puzzles(Sudoku),
}

/// A data set, as named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The handwritten digits that come with this program.
    Digits,
    /// Synthetic images: generated in memory, or in a folder that is written if it does not exist.
    Procedural(Option<PathBuf>),
    /// CIFAR-10: its binary archive, or the folder it unpacks to.
    Cifar10(PathBuf),
    /// CIFAR-100, likewise.
    Cifar100(PathBuf),
    /// Image files, one folder for each class.
    Folder(PathBuf),
    /// A text, for language models.
    Text(Origin),
    /// Generated puzzles, for networks that solve them.
    Sudoku(Sudoku),
}

impl Kind {
    /// Opens a data set of images. `seed` chooses the validation set if the data set has no split of its own; only the first
    /// `images` training images are kept; the images of a folder are cropped and resized to `size`. `stop` interrupts the
    /// generation of a synthetic data set.
    ///
    /// # Errors
    /// If the data set cannot be read, or has no images.
    pub fn open(&self, (seed, images): (u64, Option<usize>), size: [usize; 3], stop: &Stop) -> Result<Data, DataError> {
        let data = match self {
            Self::Digits => Data::split(&Digits::embedded(), seed),
            Self::Procedural(None) => Data::new(Shapes::default().generate()),
            Self::Procedural(Some(folder)) => Data::new(procedural(folder, stop)?),
            Self::Cifar10(path) => Data::new(Cifar10::open(path)?),
            Self::Cifar100(path) => Data::new(Cifar100::open(path)?),
            Self::Folder(path) => Data::new(Dataset::open_folder(path, size, VALIDATION_FRACTION, seed)?),
            Self::Text(_) | Self::Sudoku(_) => return Err(DataError::NoImages),
        };
        Ok(data.limited(images))
    }

    /// Whether the seed chooses the validation set.
    pub(super) fn is_split_by_seed(&self) -> bool {
        matches!(self, Self::Digits | Self::Folder(_))
    }

    /// The same with paths from this folder on.
    #[must_use]
    pub fn from_folder(self, folder: &Path) -> Self {
        match self {
            Self::Procedural(Some(path)) => Self::Procedural(Some(folder.join(path))),
            Self::Cifar10(path) => Self::Cifar10(folder.join(path)),
            Self::Cifar100(path) => Self::Cifar100(folder.join(path)),
            Self::Folder(path) => Self::Folder(folder.join(path)),
            Self::Text(Origin::Path(path)) => Self::Text(Origin::Path(folder.join(path))),
            Self::Text(Origin::Documents(path)) => Self::Text(Origin::Documents(folder.join(path))),
            other => other,
        }
    }

    /// Its name on the command line.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Procedural(_) => "procedural",
            Self::Cifar10(_) => "cifar10",
            Self::Cifar100(_) => "cifar100",
            Self::Folder(_) => "folder",
            Self::Text(Origin::Shakespeare) => "shakespeare",
            Self::Text(Origin::Path(_)) => "text",
            Self::Text(Origin::Documents(_)) => "documents",
            Self::Sudoku(_) => "sudoku",
        }
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Self::Digits | Self::Procedural(None) | Self::Text(_) | Self::Sudoku(_) => None,
            Self::Procedural(Some(path)) | Self::Cifar10(path) | Self::Cifar100(path) | Self::Folder(path) => {
                Some(path)
            }
        }
    }
}

/// The data set in a folder, which is written first if it does not exist.
fn procedural(folder: &Path, stop: &Stop) -> Result<(Dataset, Dataset), DataError> {
    if !folder.exists() {
        Shapes::default().write_until(folder, stop)?;
    }
    Cifar10::open(folder)
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, path) = match text.split_once(':') {
            Some((word, path)) if !path.is_empty() => (word, Some(PathBuf::from(path))),
            Some((word, _)) => return Err(format!("missing path after `{word}:`")),
            None => (text, None),
        };
        let needed = |path: Option<PathBuf>| path.ok_or_else(|| format!("missing path: expected `{word}:PATH`"));
        match word {
            "digits" if path.is_some() => {
                Err("the digits are part of the program: expected `digits` without a path".to_owned())
            }
            "digits" => Ok(Self::Digits),
            "procedural" => Ok(Self::Procedural(path)),
            "cifar10" => needed(path).map(Self::Cifar10),
            "cifar100" => needed(path).map(Self::Cifar100),
            "folder" => needed(path).map(Self::Folder),
            "text" => match path {
                Some(path) if path.as_os_str() == "shakespeare" => Ok(Self::Text(Origin::Shakespeare)),
                Some(path) => Ok(Self::Text(Origin::Path(path))),
                None => Err("missing path: expected `text:shakespeare` or `text:PATH`".to_owned()),
            },
            "documents" => needed(path).map(|path| Self::Text(Origin::Documents(path))),
            "sudoku" => match path.as_deref().and_then(Path::to_str).map(str::parse) {
                Some(Ok(size)) => Ok(Self::Sudoku(Sudoku::of_size(size)?)),
                _ => Err("expected `sudoku:4` or `sudoku:6`".to_owned()),
            },
            _ => Err(
                "expected digits, procedural, procedural:FOLDER, cifar10:PATH, cifar100:PATH, folder:PATH, \
                 text:shakespeare, text:PATH, documents:PATH, sudoku:4 or sudoku:6"
                    .to_owned(),
            ),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(Origin::Documents(path)) => return write!(f, "documents:{}", path.display()),
            Self::Text(origin) => return write!(f, "text:{origin}"),
            Self::Sudoku(sudoku) => return sudoku.fmt(f),
            _ => {}
        }
        f.write_str(self.word())?;
        match self.path() {
            Some(path) => write!(f, ":{}", path.display()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn data_sets_are_parsed() {
        for text in [
            "digits",
            "procedural",
            "procedural:a/b",
            "cifar10:c:d",
            "folder:pictures",
            "text:shakespeare",
            "text:./shakespeare",
            "documents:a/b:c",
            "sudoku:4",
            "sudoku:6",
        ] {
            assert_eq!(text.parse::<Kind>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn unknown_data_sets_are_rejected_with_the_alternatives() {
        let error = |text: &str| text.parse::<Kind>().unwrap_err();
        assert!(error("mnist").starts_with("expected digits, procedural"));
        assert_eq!(
            error("text"),
            "missing path: expected `text:shakespeare` or `text:PATH`"
        );
        assert_eq!(error("sudoku"), "expected `sudoku:4` or `sudoku:6`");
        assert_eq!(error("sudoku:four"), "expected `sudoku:4` or `sudoku:6`");
        assert_eq!(error("sudoku:9"), "expected a Sudoku of size 4 or 6, not 9");
        assert_eq!(error("documents"), "missing path: expected `documents:PATH`");
        assert_eq!(error("cifar10"), "missing path: expected `cifar10:PATH`");
        assert_eq!(error("folder:"), "missing path after `folder:`");
        assert!(error("digits:here").contains("`digits` without a path"));
    }
}
