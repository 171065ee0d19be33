//! The data sets that the programs train on.

use crate::catalog::Catalog;
use crate::entry::Entry;
#[cfg(feature = "cifar")]
use ksdsl_train::data::Cifar100;
use ksdsl_train::data::{Cifar10, DataError, Dataset, Digits, Scaling, Shapes};
use ksdsl_train::interrupt::Stop;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// The fraction of the images in the validation set, if the data set has no split of its own.
const VALIDATION_FRACTION: f64 = 0.2;

/// Training set, validation set, and how pixels are scaled.
#[derive(Clone, Debug)]
pub struct Data<const C: usize, const H: usize, const W: usize, const K: usize> {
    /// The training set.
    pub training: Arc<Dataset<C, H, W, K>>,
    /// The validation set.
    pub validation: Dataset<C, H, W, K>,
    /// Mean and standard deviation of the training set.
    pub scaling: Scaling<C>,
}

impl<const C: usize, const H: usize, const W: usize, const K: usize> Data<C, H, W, K> {
    /// A data set with the given training and validation sets.
    pub fn new((training, validation): (Dataset<C, H, W, K>, Dataset<C, H, W, K>)) -> Self {
        Self {
            scaling: Scaling::of(&training),
            training: Arc::new(training),
            validation,
        }
    }

    fn empty() -> Result<Self, DataError> {
        let none = || Dataset::new(Vec::new(), Vec::new());
        Ok(Self::new((none()?, none()?)))
    }

    /// Splits off a validation set chosen by `seed`.
    pub fn split(all: &Dataset<C, H, W, K>, seed: u64) -> Self {
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
    /// Image files, one folder for each of ten classes.
    Folder(PathBuf),
}

impl Kind {
    /// Opens the data set. `seed` chooses the validation set if the data set has no split of its own; only the first
    /// `images` training images are kept. `stop` interrupts the generation of a synthetic data set.
    pub fn open(&self, seed: u64, images: Option<usize>, stop: &Stop) -> Result<Opened, DataError> {
        Ok(match self {
            Self::Digits => Opened::Grey(Data::split(&Digits::embedded(), seed).limited(images)),
            Self::Procedural(None) => Opened::Colour(Data::new(Shapes::default().generate()).limited(images)),
            Self::Procedural(Some(folder)) => Opened::Colour(Data::new(procedural(folder, stop)?).limited(images)),
            Self::Cifar10(path) => Opened::Colour(Data::new(Cifar10::open(path)?).limited(images)),
            #[cfg(feature = "cifar")]
            Self::Cifar100(path) => Opened::Colour100(Data::new(Cifar100::open(path)?).limited(images)),
            #[cfg(not(feature = "cifar"))]
            Self::Cifar100(_) => unreachable!("refused by `from_str`"),
            Self::Folder(path) => {
                let parts = Cifar10::open_folder(path, VALIDATION_FRACTION, seed)?;
                Opened::Colour(Data::new(parts).limited(images))
            }
        })
    }

    /// No images, for callers that bring their own and only need the networks for them.
    pub fn empty(&self) -> Result<Opened, DataError> {
        Ok(match self {
            Self::Digits => Opened::Grey(Data::empty()?),
            #[cfg(feature = "cifar")]
            Self::Cifar100(_) => Opened::Colour100(Data::empty()?),
            _ => Opened::Colour(Data::empty()?),
        })
    }

    /// Its name on the command line.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Procedural(_) => "procedural",
            Self::Cifar10(_) => "cifar10",
            Self::Cifar100(_) => "cifar100",
            Self::Folder(_) => "folder",
        }
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Self::Digits | Self::Procedural(None) => None,
            Self::Procedural(Some(path)) | Self::Cifar10(path) | Self::Cifar100(path) | Self::Folder(path) => {
                Some(path)
            }
        }
    }
}

/// The data set in a folder, which is written first if it does not exist.
fn procedural(folder: &Path, stop: &Stop) -> Result<(Cifar10, Cifar10), DataError> {
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
            "cifar100" if cfg!(not(feature = "cifar")) => {
                Err("networks for CIFAR-100 need the feature `cifar`: cargo run --features cifar ...".to_owned())
            }
            "cifar100" => needed(path).map(Self::Cifar100),
            "folder" => needed(path).map(Self::Folder),
            _ => Err(
                "expected digits, procedural, procedural:FOLDER, cifar10:PATH, cifar100:PATH or folder:PATH".to_owned(),
            ),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self.path() {
            Some(path) => write!(f, ":{}", path.display()),
            None => Ok(()),
        }
    }
}

/// An open data set of one of the supported image sizes.
#[derive(Clone, Debug)]
pub enum Opened {
    /// 8x8 grey images in ten classes.
    Grey(Data<1, 8, 8, 10>),
    /// 32x32 colour images in ten classes.
    Colour(Data<3, 32, 32, 10>),
    /// 32x32 colour images in a hundred classes.
    #[cfg(feature = "cifar")]
    Colour100(Data<3, 32, 32, 100>),
}

/// An operation on a data set of any image size and its networks.
pub trait Visit {
    /// Its result.
    type Output;
    /// Runs it.
    fn visit<const C: usize, const H: usize, const W: usize, const K: usize>(
        self,
        data: &Data<C, H, W, K>,
        entries: Vec<Entry<C, H, W, K>>,
    ) -> Self::Output;
}

impl Opened {
    /// Runs an operation with the data set and all networks for it.
    pub fn visit<V: Visit>(&self, visitor: V) -> V::Output {
        match self {
            Self::Grey(data) => visitor.visit(data, Catalog::entries()),
            Self::Colour(data) => visitor.visit(data, Catalog::entries()),
            #[cfg(feature = "cifar")]
            Self::Colour100(data) => visitor.visit(data, Catalog::entries()),
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
        ] {
            assert_eq!(text.parse::<Kind>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn unknown_data_sets_are_rejected_with_the_alternatives() {
        let error = |text: &str| text.parse::<Kind>().unwrap_err();
        assert!(error("mnist").starts_with("expected digits, procedural"));
        assert_eq!(error("cifar10"), "missing path: expected `cifar10:PATH`");
        assert_eq!(error("folder:"), "missing path after `folder:`");
        assert!(error("digits:here").contains("`digits` without a path"));
        #[cfg(not(feature = "cifar"))]
        assert!(error("cifar100:x").contains("feature `cifar`"));
    }
}
