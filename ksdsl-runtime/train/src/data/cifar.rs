//! CIFAR-10 and CIFAR-100 (A. Krizhevsky 2009, "Learning multiple layers of features from tiny
//! images") in their binary versions.

use super::{DataError, Dataset};
use flate2::read::GzDecoder;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// 32x32 colour images in ten classes.
pub type Cifar10 = Dataset<3, 32, 32, 10>;

/// 32x32 colour images in a hundred classes (the fine labels).
pub type Cifar100 = Dataset<3, 32, 32, 100>;

/// Values of an image: red, green and blue, each row by row.
const PIXELS: usize = 3 * 32 * 32;

/// More bytes than any file of either set has (CIFAR-100's `train.bin`: 153.7 MB).
const MOST_BYTES: u64 = 1 << 28;

impl Cifar10 {
    /// Reads the images to train with and those to test with from `cifar-10-binary.tar.gz`, or from
    /// the folder it unpacks to.
    ///
    /// # Errors
    /// If a file is missing or cannot be read, is no whole number of records, or has a label that
    /// is no class.
    pub fn open(path: impl AsRef<Path>) -> Result<(Self, Self), DataError> {
        let names = [
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
            "test_batch.bin",
        ];
        let files = files(path.as_ref(), "cifar-10-batches-bin", &names)?;
        let (training, test) = files.split_at(5);
        Ok((records(training, 0)?, records(test, 0)?))
    }
}

impl Cifar100 {
    /// As [`Cifar10::open`], from `cifar-100-binary.tar.gz` or the folder it unpacks to.
    ///
    /// # Errors
    /// As [`Cifar10::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<(Self, Self), DataError> {
        let files = files(path.as_ref(), "cifar-100-binary", &["train.bin", "test.bin"])?;
        // A coarse label stands before the fine one.
        Ok((records(&files[..1], 1)?, records(&files[1..], 1)?))
    }
}

/// A file's bytes, and how to call it in messages.
struct Content {
    file: PathBuf,
    bytes: Vec<u8>,
}

/// The files `names`, of an archive or of a folder or its folder `inner`.
fn files(path: &Path, inner: &str, names: &[&str]) -> Result<Vec<Content>, DataError> {
    if !path.is_dir() {
        return unpacked(path, names);
    }
    let nested = path.join(inner);
    let folder = if nested.is_dir() { &nested } else { path };
    names
        .iter()
        .map(|name| {
            let file = folder.join(name);
            match fs::read(&file) {
                Ok(bytes) => Ok(Content { file, bytes }),
                Err(source) => Err(DataError::File { file, source }),
            }
        })
        .collect()
}

/// The files `names` of a `.tar.gz` archive, in whichever folder of it.
fn unpacked(path: &Path, names: &[&str]) -> Result<Vec<Content>, DataError> {
    let failed = |source| DataError::File {
        file: path.to_owned(),
        source,
    };
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(path).map_err(failed)?));
    let mut found = HashMap::new();
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let name = entry.path().map_err(failed)?.file_name().map(|name| name.to_owned());
        let Some(name) = names.iter().find(|wanted| name.as_deref() == Some(wanted.as_ref())) else {
            continue;
        };
        let mut bytes = Vec::new();
        entry
            .by_ref()
            .take(MOST_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(DataError::TooLarge { limit: MOST_BYTES });
        }
        found.insert(*name, bytes);
    }
    names
        .iter()
        .map(|&name| match found.remove(name) {
            Some(bytes) => Ok(Content {
                file: path.join(name),
                bytes,
            }),
            None => Err(DataError::Missing {
                archive: path.to_owned(),
                name: name.to_owned(),
            }),
        })
        .collect()
}

/// The records of all files: `skipped` bytes, the label, the pixels.
fn records<const K: usize>(files: &[Content], skipped: usize) -> Result<Dataset<3, 32, 32, K>, DataError> {
    let len = skipped + 1 + PIXELS;
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for Content { file, bytes } in files {
        if bytes.is_empty() || bytes.len() % len != 0 {
            return Err(DataError::Records {
                file: file.clone(),
                bytes: bytes.len(),
                record: len,
            });
        }
        for (record, values) in bytes.chunks_exact(len).enumerate() {
            let label = values[skipped];
            if usize::from(label) >= K {
                return Err(DataError::Class {
                    file: file.clone(),
                    record,
                    found: label,
                    classes: K,
                });
            }
            labels.push(u16::from(label));
            pixels.extend(&values[skipped + 1..]);
        }
    }
    Dataset::new(pixels, labels)
}

#[cfg(test)]
#[path = "cifar_tests.rs"]
mod tests;
