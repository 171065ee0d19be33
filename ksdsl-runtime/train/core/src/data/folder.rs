//! Image folders.

use super::{DataError, Dataset, Sizes, picture};
use std::fs;
use std::path::{Path, PathBuf};

/// The maximum number of class names in an error.
const SHOWN: usize = 20;

/// The most classes: labels have 16 bits.
const MOST_CLASSES: usize = 1 << 16;

impl Dataset {
    /// Reads an image folder into a training and a validation set of images of a size, `[channels, height, width]`. The
    /// folder contains either `train` and `test`, each
    /// with one folder per class, or one folder per class; in the latter case `fraction` of each class,
    /// chosen by `seed` as in [`Dataset::split`], is the validation set.
    ///
    /// See [`Dataset::read_folder`] for the images.
    ///
    /// # Errors
    /// As [`Dataset::read_folder`]; also if `train` and `test` have different classes.
    ///
    /// # Panics
    /// If `fraction` is not from 0 to 1.
    pub fn open_folder(
        path: impl AsRef<Path>,
        image: [usize; 3],
        fraction: f64,
        seed: u64,
    ) -> Result<(Self, Self), DataError> {
        let path = path.as_ref();
        let (training, test) = (path.join("train"), path.join("test"));
        if !(training.is_dir() && test.is_dir()) {
            return Ok(Self::read_folder(path, image)?.split(fraction, seed));
        }
        let (training, test) = (Self::read_folder(training, image)?, Self::read_folder(test, image)?);
        if training.names() != test.names() {
            let reason = format!(
                "`train` has the classes {}, but `test` has {}",
                listed(training.names()),
                listed(test.names())
            );
            return Err(DataError::Classes {
                folder: path.to_owned(),
                reason,
            });
        }
        Ok((training, test))
    }

    /// Reads an image folder with one folder of PNG, JPEG or BMP files per class. Classes and files are sorted by name;
    /// hidden files, and files next to the class folders, are ignored.
    ///
    /// Images may have any size: each is centre-cropped to the aspect ratio of `image`, `[channels, height, width]`, and
    /// resized to it with a triangle (bilinear) filter. With three channels they are read as RGB, with one as greyscale
    /// (ITU-R 601-2); transparency is ignored. EXIF orientation is not applied, as in PIL and torchvision's
    /// `ImageFolder`.
    ///
    /// # Errors
    /// If there are no classes, or more than 65,536; if a class has no pictures or a name that is not UTF-8, or a file
    /// cannot be read as a picture, is truncated, or has more than 89 million pixels; also for another number of channels
    /// than 1 and 3, sizes of 0, and without the feature `pictures`.
    pub fn read_folder(path: impl AsRef<Path>, image: [usize; 3]) -> Result<Self, DataError> {
        let path = path.as_ref();
        check_image(path, image)?;
        let classes = classes(path)?;
        let names = classes
            .iter()
            .map(|class| utf8_name(class))
            .collect::<Result<Vec<_>, _>>()?;
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for (label, class) in classes.iter().enumerate() {
            let files = sorted(class)?;
            if files.is_empty() {
                return Err(wrong(class, "the class has no images".to_owned()));
            }
            for file in files {
                pixels.extend(picture::read(&file, image)?);
                labels.push(label as u16);
            }
        }
        Self::new(Sizes::new(image, classes.len()), pixels, labels)?.with_names(names)
    }
}

/// Reads one picture as [`Dataset::read_folder`] does: its values, channel by channel, each row by row.
///
/// # Errors
/// If the file cannot be read as a picture; also for another number of channels than 1 and 3, and sizes of 0.
pub fn read_picture(file: impl AsRef<Path>, image: [usize; 3]) -> Result<Vec<u8>, DataError> {
    check_image(file.as_ref(), image)?;
    picture::read(file.as_ref(), image)
}

/// The folders of the classes.
fn classes(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut classes = sorted(path)?;
    classes.retain(|entry| entry.is_dir());
    match classes.len() {
        1..=MOST_CLASSES => Ok(classes),
        found => Err(wrong(
            path,
            format!("expected a folder of images for each class, 1 to {MOST_CLASSES}; found {found} folders"),
        )),
    }
}

/// Whether pictures can be read with these sizes.
fn check_image(path: &Path, [channels, height, width]: [usize; 3]) -> Result<(), DataError> {
    match (channels == 1 || channels == 3) && height > 0 && width > 0 {
        true => Ok(()),
        false => Err(wrong(
            path,
            format!("images must have 1 or 3 channels and at least one pixel, not {channels} x {height} x {width}"),
        )),
    }
}

/// Names, of which many are left out where there are many.
fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        _ if names.len() <= SHOWN => names.join(", "),
        _ => format!("{} and {} more", names[..SHOWN].join(", "), names.len() - SHOWN),
    }
}

fn wrong(folder: &Path, reason: String) -> DataError {
    DataError::Classes {
        folder: folder.to_owned(),
        reason,
    }
}

/// What is in a folder, sorted by name, without what is hidden.
fn sorted(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let failed = |source| DataError::File {
        file: folder.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// The name of a class, which identifies it.
fn utf8_name(class: &Path) -> Result<String, DataError> {
    let name = class.file_name().unwrap_or_default();
    let reason = || "class names must be UTF-8; rename the folder".to_owned();
    Ok(name.to_str().ok_or_else(|| wrong(class, reason()))?.to_owned())
}

#[cfg(all(test, feature = "pictures"))]
#[path = "folder_tests.rs"]
mod tests;
