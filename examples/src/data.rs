//! The images that the programs train on.

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

/// The share of the images that training does not see, of a set that is not split already.
const HELD_OUT: f64 = 0.2;

/// Images to train with and images to hold out, and how their pixels become numbers.
#[derive(Clone, Debug)]
pub struct Data<const C: usize, const H: usize, const W: usize, const K: usize> {
    /// Those to train with.
    pub training: Arc<Dataset<C, H, W, K>>,
    /// Those to hold out.
    pub held_out: Dataset<C, H, W, K>,
    /// Of the images to train with.
    pub scaling: Scaling<C>,
}

impl<const C: usize, const H: usize, const W: usize, const K: usize> Data<C, H, W, K> {
    /// Two parts that are given.
    pub fn new((training, held_out): (Dataset<C, H, W, K>, Dataset<C, H, W, K>)) -> Self {
        Self {
            scaling: Scaling::of(&training),
            training: Arc::new(training),
            held_out,
        }
    }

    fn empty() -> Result<Self, DataError> {
        let none = || Dataset::new(Vec::new(), Vec::new());
        Ok(Self::new((none()?, none()?)))
    }

    /// A part of all images, chosen by `seed`, is held out.
    pub fn split(all: &Dataset<C, H, W, K>, seed: u64) -> Self {
        Self::new(all.split(HELD_OUT, seed))
    }

    /// With only the first `images` to train on.
    fn limited(self, images: Option<usize>) -> Self {
        match images {
            Some(images) if images < self.training.len() => {
                Self::new((self.training.part(|index| index < images), self.held_out))
            }
            _ => self,
        }
    }
}

/// Which images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The handwritten digits that come with this program.
    Digits,
    /// Made images: in memory, or in a folder that is written if it is not there.
    Procedural(Option<PathBuf>),
    /// CIFAR-10, its binary archive or the folder it unpacks to.
    Cifar10(PathBuf),
    /// CIFAR-100, likewise.
    Cifar100(PathBuf),
    /// Pictures in a folder for each of ten classes.
    Folder(PathBuf),
}

impl Kind {
    /// Opens the images; `seed` decides on what is held out where the set does not say so itself, and only the
    /// first `images` are trained on. A set that is to be made is left alone when somebody wishes to stop.
    pub fn open(&self, seed: u64, images: Option<usize>, stop: &Stop) -> Result<Opened, DataError> {
        Ok(match self {
            Self::Digits => Opened::Grey(Data::split(&Digits::embedded(), seed).limited(images)),
            Self::Procedural(None) => Opened::Colour(Data::new(Shapes::default().generate()).limited(images)),
            Self::Procedural(Some(folder)) => Opened::Colour(Data::new(procedural(folder, stop)?).limited(images)),
            Self::Cifar10(path) => Opened::Colour(Data::new(Cifar10::open(path)?).limited(images)),
            #[cfg(feature = "cifar")]
            Self::Cifar100(path) => Opened::Colour100(Data::new(Cifar100::open(path)?).limited(images)),
            #[cfg(not(feature = "cifar"))]
            Self::Cifar100(_) => unreachable!("refused where the words are read"),
            Self::Folder(path) => {
                let parts = Cifar10::open_folder(path, HELD_OUT, seed)?;
                Opened::Colour(Data::new(parts).limited(images))
            }
        })
    }

    /// No images, for those who know theirs already and ask only which networks take them.
    pub fn empty(&self) -> Result<Opened, DataError> {
        Ok(match self {
            Self::Digits => Opened::Grey(Data::empty()?),
            #[cfg(feature = "cifar")]
            Self::Cifar100(_) => Opened::Colour100(Data::empty()?),
            _ => Opened::Colour(Data::empty()?),
        })
    }

    /// The word that names it.
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

/// The set in a folder, which is written first if it is not there.
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
            Some((word, _)) => return Err(format!("a path is missing after `{word}:`")),
            None => (text, None),
        };
        let needed = |path: Option<PathBuf>| path.ok_or_else(|| format!("where is it? expected `{word}:PATH`"));
        match word {
            "digits" if path.is_some() => Err("the digits come with the program: expected `digits` alone".to_owned()),
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

/// Images of one of the kinds that there are networks for.
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

/// Something to do with images of whatever kind, and the networks for them.
pub trait Visit {
    /// What it comes to.
    type Output;
    /// Does it.
    fn visit<const C: usize, const H: usize, const W: usize, const K: usize>(
        self,
        data: &Data<C, H, W, K>,
        entries: Vec<Entry<C, H, W, K>>,
    ) -> Self::Output;
}

impl Opened {
    /// Does something with the images and all networks that take them.
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
    fn words_name_data() {
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
    fn other_words_are_refused_with_what_is_meant() {
        let error = |text: &str| text.parse::<Kind>().unwrap_err();
        assert!(error("mnist").starts_with("expected digits, procedural"));
        assert_eq!(error("cifar10"), "where is it? expected `cifar10:PATH`");
        assert_eq!(error("folder:"), "a path is missing after `folder:`");
        assert!(error("digits:here").contains("`digits` alone"));
        #[cfg(not(feature = "cifar"))]
        assert!(error("cifar100:x").contains("feature `cifar`"));
    }
}
