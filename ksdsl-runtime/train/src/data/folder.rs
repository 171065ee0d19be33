//! Pictures in a folder per class.

use super::{DataError, Dataset, picture};
use std::fs;
use std::path::{Path, PathBuf};

/// How many names of classes an error lists.
const SHOWN: usize = 20;

impl<const C: usize, const H: usize, const W: usize, const K: usize> Dataset<C, H, W, K> {
    /// Reads the pictures of a folder, those to train with and those to hold out. It has the folders `train` and
    /// `test`, each with a folder of pictures per class; or it has a folder per class itself, then `held_out` of
    /// each class is held out, chosen by `seed` as in [`Dataset::split`].
    ///
    /// See [`Dataset::read_folder`] for the pictures.
    ///
    /// # Errors
    /// As [`Dataset::read_folder`]; also if `train` and `test` have different classes.
    ///
    /// # Panics
    /// If `held_out` is not within 0 to 1.
    pub fn open_folder(path: impl AsRef<Path>, held_out: f64, seed: u64) -> Result<(Self, Self), DataError> {
        let path = path.as_ref();
        let (training, test) = (path.join("train"), path.join("test"));
        if !(training.is_dir() && test.is_dir()) {
            return Ok(Self::read_folder(path)?.split(held_out, seed));
        }
        let (training, test) = (Self::read_folder(training)?, Self::read_folder(test)?);
        if training.names() != test.names() {
            let reason = format!(
                "`train` has the classes {}, `test` has {}: expected the same",
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

    /// Reads the pictures of a folder that has a folder of PNG, JPEG or BMP files per class. Classes are sorted by
    /// name, and so are the files of each; names that begin with a point are skipped, as are files beside the
    /// folders of the classes.
    ///
    /// Pictures may have any size: of each, the middle with the proportions of `H x W` is taken and resized to it
    /// with a triangle filter. With `C = 3` they are read as red, green and blue, with `C = 1` as grey (ITU-R 601-2);
    /// what is transparent counts as if it were not. An orientation in EXIF data is not applied, as in PIL and in
    /// torchvision's `ImageFolder`.
    ///
    /// # Errors
    /// If there are not `K` classes, a class has no pictures or a name that is not UTF-8, or a file cannot be read as a
    /// picture, is cut off, or has more than 89 million pixels; also for other `C` than 1 and 3, and sizes of 0; also
    /// without the feature `pictures`.
    pub fn read_folder(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let classes = Self::classes(path)?;
        let names = classes
            .iter()
            .map(|class| utf8_name(class))
            .collect::<Result<Vec<_>, _>>()?;
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for (label, class) in classes.iter().enumerate() {
            let files = sorted(class)?;
            if files.is_empty() {
                return Err(wrong(class, "the class has no pictures".to_owned()));
            }
            for file in files {
                pixels.extend(Self::pixels(&file)?);
                labels.push(label as u16);
            }
        }
        Self::new(pixels, labels)?.with_names(names)
    }

    /// Reads one picture as [`Dataset::read_folder`] does: its values, channel by channel, each row by row.
    ///
    /// # Errors
    /// If the file cannot be read as a picture; also for other `C` than 1 and 3, and sizes of 0.
    pub fn read_picture(file: impl AsRef<Path>) -> Result<Vec<u8>, DataError> {
        Self::check_sizes(file.as_ref())?;
        Self::pixels(file.as_ref())
    }

    /// The folders of the classes.
    fn classes(path: &Path) -> Result<Vec<PathBuf>, DataError> {
        Self::check_sizes(path)?;
        let mut classes = sorted(path)?;
        classes.retain(|entry| entry.is_dir());
        if classes.len() != K {
            let names: Vec<String> = classes.iter().map(|class| name(class)).collect();
            let reason = format!(
                "expected a folder for each of {K} classes, found {}: {}",
                names.len(),
                listed(&names)
            );
            return Err(wrong(path, reason));
        }
        Ok(classes)
    }

    /// Whether pictures can be read with these sizes.
    fn check_sizes(path: &Path) -> Result<(), DataError> {
        if !(C == 1 || C == 3) || H == 0 || W == 0 || K > usize::from(u16::MAX) + 1 {
            let reason = format!("pictures are read as 1 or 3 channels and at least one pixel, not as {C} x {H} x {W}");
            return Err(wrong(path, reason));
        }
        Ok(())
    }

    /// The values of a picture.
    fn pixels(file: &Path) -> Result<Vec<u8>, DataError> {
        picture::read(file, [C, H, W])
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

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The name of a class, which is told by it alone.
fn utf8_name(class: &Path) -> Result<String, DataError> {
    let name = class.file_name().unwrap_or_default();
    let reason = || "the name of a class must be UTF-8; rename the folder".to_owned();
    Ok(name.to_str().ok_or_else(|| wrong(class, reason()))?.to_owned())
}

#[cfg(all(test, feature = "pictures"))]
#[path = "folder_tests.rs"]
mod tests;
