//! Image folders.

use super::augment::lightness;
use super::{DataError, Dataset};
use super::{jpeg, png};
use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, ImageDecoder as _, ImageFormat, ImageReader, Limits, Luma};
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// The maximum number of class names in an error.
const SHOWN: usize = 20;
/// More rows or columns than any picture of a training set has.
const MOST_SIDE: u32 = 1 << 15;
/// More pixels than any has: beyond these PIL warns of a decompression bomb.
const MOST_PIXELS: u64 = 89_478_485;
/// The most bytes of a file, and of a decoded picture.
const MOST_BYTES: u64 = 1 << 29;

impl<const C: usize, const H: usize, const W: usize, const K: usize> Dataset<C, H, W, K> {
    /// Reads an image folder into a training and a validation set. The folder contains either `train` and `test`, each
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
    pub fn open_folder(path: impl AsRef<Path>, fraction: f64, seed: u64) -> Result<(Self, Self), DataError> {
        let path = path.as_ref();
        let (training, test) = (path.join("train"), path.join("test"));
        if !(training.is_dir() && test.is_dir()) {
            return Ok(Self::read_folder(path)?.split(fraction, seed));
        }
        let (training, test) = (Self::read_folder(training)?, Self::read_folder(test)?);
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
    /// Images may have any size: each is centre-cropped to the aspect ratio of `H x W` and resized with a triangle
    /// (bilinear) filter. With `C = 3` they are read as RGB, with `C = 1` as greyscale (ITU-R 601-2); transparency is
    /// ignored. EXIF orientation is not applied, as in PIL and torchvision's `ImageFolder`.
    ///
    /// # Errors
    /// If there are not `K` classes, a class has no pictures or a name that is not UTF-8, or a file cannot be read as a
    /// picture, is truncated, or has more than 89 million pixels; also for other `C` than 1 and 3, and sizes of 0.
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
                return Err(wrong(class, "the class has no images".to_owned()));
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
            let reason = format!("images must have 1 or 3 channels and at least one pixel, not {C} x {H} x {W}");
            return Err(wrong(path, reason));
        }
        Ok(())
    }

    /// The values of a picture.
    fn pixels(file: &Path) -> Result<Vec<u8>, DataError> {
        let picture = decoded(file)?;
        let (rows, columns) = (H as u32, W as u32);
        let (x, y, width, height) = middle((picture.width(), picture.height()), (columns, rows));
        let color = picture.into_rgb8();
        Ok(if C == 1 {
            let grey = GrayImage::from_fn(color.width(), color.height(), |x, y| {
                Luma([lightness(color.get_pixel(x, y).0)])
            });
            let part = imageops::crop_imm(&grey, x, y, width, height);
            imageops::resize(&*part, columns, rows, FilterType::Triangle).into_raw()
        } else {
            let part = imageops::crop_imm(&color, x, y, width, height);
            let resized = imageops::resize(&*part, columns, rows, FilterType::Triangle).into_raw();
            (0..3)
                .flat_map(|channel| resized.iter().copied().skip(channel).step_by(3))
                .collect()
        })
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

/// The name of a class, which identifies it.
fn utf8_name(class: &Path) -> Result<String, DataError> {
    let name = class.file_name().unwrap_or_default();
    let reason = || "class names must be UTF-8; rename the folder".to_owned();
    Ok(name.to_str().ok_or_else(|| wrong(class, reason()))?.to_owned())
}

/// The picture in a file, whatever its name says.
fn decoded(file: &Path) -> Result<DynamicImage, DataError> {
    let no_picture = |reason| DataError::Picture {
        file: file.to_owned(),
        reason,
    };
    if file.is_dir() {
        return Err(no_picture(
            "it is a directory; class folders may contain only files".to_owned(),
        ));
    }
    let bytes = ksdsl_files::read(file, MOST_BYTES).map_err(|error| DataError::reading(file, MOST_BYTES, error))?;
    decode(&bytes).map_err(no_picture)
}

/// The picture of these bytes, or why there is none. Its orientation in EXIF data is not applied.
fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    let words = |error: image::ImageError| error.to_string();
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let mut reader = reader.map_err(|error| error.to_string())?;
    if reader.format() == Some(ImageFormat::Jpeg) && !jpeg::is_whole(bytes) {
        return Err("the file is truncated: it has no end marker".to_owned());
    }
    if reader.format() == Some(ImageFormat::Png) && !png::has_whole_palettes(bytes) {
        return Err("invalid palette: expected 1 to 256 colours of 3 bytes".to_owned());
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MOST_SIDE);
    limits.max_image_height = Some(MOST_SIDE);
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(words)?;
    let (columns, rows) = decoder.dimensions();
    if columns == 0 || rows == 0 {
        return Err("it has no pixels".to_owned());
    }
    if u64::from(columns) * u64::from(rows) > MOST_PIXELS || decoder.total_bytes() > MOST_BYTES {
        return Err(format!(
            "{rows} x {columns} pixels exceed the limit of {MOST_PIXELS}; resize the image"
        ));
    }
    DynamicImage::from_decoder(decoder).map_err(words)
}

/// The greatest part in the middle of a picture with the proportions of `to`: its corner and its size. Sizes are
/// (columns, rows).
fn middle(from: (u32, u32), to: (u32, u32)) -> (u32, u32, u32, u32) {
    // In 64 bits, since sides are below 2^15 and 2^32.
    let [width, height, columns, rows] = [from.0, from.1, to.0, to.1].map(u64::from);
    let part = |a: u64, b: u64, c: u64| ((2 * a * b + c) / (2 * c)).max(1);
    let (width_taken, height_taken) = if width * rows > height * columns {
        (part(height, columns, rows).min(width), height)
    } else {
        (width, part(width, rows, columns).min(height))
    };
    let (x, y) = ((width - width_taken) / 2, (height - height_taken) / 2);
    (x as u32, y as u32, width_taken as u32, height_taken as u32)
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
