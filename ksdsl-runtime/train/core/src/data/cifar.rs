//! CIFAR-10 and CIFAR-100 (A. Krizhevsky 2009, "Learning multiple layers of features from tiny
//! images") in their binary versions.

use super::archive::members;
use super::dataset::check_names;
use super::gunzip::Gunzip;
use super::{DataError, Dataset, Sizes};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// 32x32 colour images in ten classes.
#[derive(Clone, Copy, Debug)]
pub struct Cifar10;

/// 32x32 colour images in a hundred classes (the fine labels).
#[derive(Clone, Copy, Debug)]
pub struct Cifar100;

/// Values of an image: red, green and blue, each row by row.
const PIXELS: usize = Cifar10::SIZES.values();

/// More bytes than any file of either set has (CIFAR-100's `train.bin`: 153.7 MB).
const MOST_BYTES: u64 = 1 << 28;

/// More bytes than either archive has when unpacked (about 186 MB).
const MOST_UNPACKED: u64 = 1 << 30;

impl Cifar10 {
    /// Three channels of 32 x 32 pixels, ten classes.
    pub const SIZES: Sizes = Sizes::new([3, 32, 32], 10);

    /// The most images of one file.
    pub(super) const MOST_RECORDS: u64 = MOST_BYTES / (1 + PIXELS as u64);

    /// The names of CIFAR-10's classes.
    const NAMES: [&str; 10] = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ];

    /// Reads the images to train with and those to test with from `cifar-10-binary.tar.gz`, or from
    /// the folder it unpacks to. The classes have the names of `batches.meta.txt` if it is there.
    ///
    /// # Errors
    /// If a file is missing or cannot be read, an archive has it twice, it is not a whole number of records, or has
    /// a label that is not a class; also if there are other names than one for each class, all different.
    pub fn open(path: impl AsRef<Path>) -> Result<(Dataset, Dataset), DataError> {
        let names = [
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
            "test_batch.bin",
        ];
        let found = files(path.as_ref(), "cifar-10-batches-bin", &names, "batches.meta.txt")?;
        let (training, test) = found.files.split_at(5);
        let names = found.names(Self::NAMES.map(str::to_owned).into())?;
        named(records(training, &[10])?, records(test, &[10])?, names)
    }
}

impl Cifar100 {
    /// Three channels of 32 x 32 pixels, a hundred classes.
    pub const SIZES: Sizes = Sizes::new([3, 32, 32], 100);

    /// As [`Cifar10::open`], from `cifar-100-binary.tar.gz` or the folder it unpacks to, with the names of
    /// `fine_label_names.txt`.
    ///
    /// # Errors
    /// As [`Cifar10::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<(Dataset, Dataset), DataError> {
        let names = ["train.bin", "test.bin"];
        let found = files(path.as_ref(), "cifar-100-binary", &names, "fine_label_names.txt")?;
        let (training, test) = found.files.split_at(1);
        // A coarse label, of twenty, stands before the fine one.
        let labels = [20, 100];
        let names = found.names((0..100).map(|class: u8| class.to_string()).collect())?;
        named(records(training, &labels)?, records(test, &labels)?, names)
    }
}

/// Both parts with classes of these names.
fn named(training: Dataset, test: Dataset, names: Vec<String>) -> Result<(Dataset, Dataset), DataError> {
    Ok((training.with_names(names.iter().cloned())?, test.with_names(names)?))
}

/// A file's bytes, and how to call it in messages.
struct Content {
    file: PathBuf,
    bytes: Vec<u8>,
}

/// What was requested.
struct Found {
    files: Vec<Content>,
    /// The file of the classes' names.
    meta: Option<Content>,
}

impl Found {
    /// The names of the classes: the lines of the file that are not blank, or if there is no such file, `default`.
    fn names(&self, default: Vec<String>) -> Result<Vec<String>, DataError> {
        let Some(Content { file, bytes }) = &self.meta else {
            return Ok(default);
        };
        let wrong = |reason: String| DataError::Classes {
            folder: file.clone(),
            reason,
        };
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("the class names are not UTF-8".to_owned()))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let names: Vec<String> = lines.map(str::to_owned).collect();
        check_names(&names, default.len()).map_err(|error| wrong(error.to_string()))?;
        Ok(names)
    }
}

/// The files `names` and, if it is there, `meta`, of an archive or of a folder or its folder `inner`.
fn files(path: &Path, inner: &str, names: &[&'static str], meta: &'static str) -> Result<Found, DataError> {
    if !path.is_dir() {
        return unpacked(path, names, meta);
    }
    let nested = path.join(inner);
    let folder = if nested.is_dir() { &nested } else { path };
    let files = names.iter().map(|name| read(folder.join(name)));
    let meta = folder.join(meta);
    Ok(Found {
        files: files.collect::<Result<_, _>>()?,
        meta: if meta.exists() { Some(read(meta)?) } else { None },
    })
}

/// A file of a folder.
fn read(file: PathBuf) -> Result<Content, DataError> {
    match ksdsl_files::read(&file, MOST_BYTES) {
        Ok(bytes) => Ok(Content { file, bytes }),
        Err(error) => Err(DataError::reading(&file, MOST_BYTES, error)),
    }
}

/// The files of a `.tar.gz` archive, in whichever folder of it.
fn unpacked(path: &Path, names: &[&'static str], meta: &'static str) -> Result<Found, DataError> {
    let failed = |source| DataError::File {
        file: path.to_owned(),
        source,
    };
    let packed = BufReader::new(ksdsl_files::open(path).map_err(failed)?);
    let mut unzipped = Gunzip::new(packed).take(MOST_UNPACKED);
    let found = members(&mut unzipped, path, MOST_BYTES, &|name| {
        names
            .iter()
            .copied()
            .chain([meta])
            .find(|wanted| name == wanted.as_bytes())
    });
    // The checksum stands at the end, behind what the archive's own end is.
    let rest = io::copy(&mut unzipped, &mut io::sink());
    if unzipped.limit() == 0 {
        return Err(DataError::FileTooLarge {
            file: path.to_owned(),
            limit: MOST_UNPACKED,
        });
    }
    let mut found = found?;
    rest.map_err(failed)?;
    let files = names.iter().map(|&name| match found.remove(name) {
        Some(bytes) => Ok(Content {
            file: path.join(name),
            bytes,
        }),
        None => Err(DataError::Missing {
            archive: path.to_owned(),
            name: name.to_owned(),
        }),
    });
    Ok(Found {
        files: files.collect::<Result<_, _>>()?,
        meta: found.remove(meta).map(|bytes| Content {
            file: path.join(meta),
            bytes,
        }),
    })
}

/// The records of all files: labels, one for each of `labels`, which says how many classes there are, and pixels.
/// The last label is the image's.
fn records(files: &[Content], labels: &[usize]) -> Result<Dataset, DataError> {
    let len = labels.len() + PIXELS;
    let (mut pixels, mut found) = (Vec::new(), Vec::new());
    for Content { file, bytes } in files {
        if bytes.is_empty() || bytes.len() % len != 0 {
            return Err(DataError::Records {
                file: file.clone(),
                bytes: bytes.len(),
                record: len,
            });
        }
        for (record, values) in bytes.chunks_exact(len).enumerate() {
            let (own, values) = values.split_at(labels.len());
            let wrong = own
                .iter()
                .zip(labels)
                .find(|&(&label, &classes)| usize::from(label) >= classes);
            if let Some((&label, &classes)) = wrong {
                return Err(DataError::Class {
                    file: file.clone(),
                    record,
                    found: label,
                    classes,
                });
            }
            found.extend(own.last().map(|&label| u16::from(label)));
            pixels.extend(values);
        }
    }
    let classes = labels.last().copied().unwrap_or_default();
    Dataset::new(Sizes::new([3, 32, 32], classes), pixels, found)
}

#[cfg(test)]
#[path = "cifar_tests.rs"]
mod tests;
