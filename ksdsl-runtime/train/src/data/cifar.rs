//! CIFAR-10 and CIFAR-100 (A. Krizhevsky 2009, "Learning multiple layers of features from tiny
//! images") in their binary versions.

use super::{DataError, Dataset};
use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// 32x32 colour images in ten classes.
pub type Cifar10 = Dataset<3, 32, 32, 10>;

/// 32x32 colour images in a hundred classes (the fine labels).
pub type Cifar100 = Dataset<3, 32, 32, 100>;

/// Values of an image: red, green and blue, each row by row.
const PIXELS: usize = 3 * 32 * 32;

/// More bytes than any file of either set has (CIFAR-100's `train.bin`: 153.7 MB).
const MOST_BYTES: u64 = 1 << 28;

/// More bytes than either archive has when unpacked (about 186 MB).
const MOST_UNPACKED: u64 = 1 << 30;

impl Cifar10 {
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
    /// If a file is missing or cannot be read, an archive has it twice, it is no whole number of records, or has
    /// a label that is no class; also if there are other names than one for each class.
    pub fn open(path: impl AsRef<Path>) -> Result<(Self, Self), DataError> {
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
        let names = found.names(&Self::NAMES);
        named(records(training, &[10])?, records(test, &[10])?, names)
    }
}

impl Cifar100 {
    /// As [`Cifar10::open`], from `cifar-100-binary.tar.gz` or the folder it unpacks to, with the names of
    /// `fine_label_names.txt`.
    ///
    /// # Errors
    /// As [`Cifar10::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<(Self, Self), DataError> {
        let names = ["train.bin", "test.bin"];
        let found = files(path.as_ref(), "cifar-100-binary", &names, "fine_label_names.txt")?;
        let (training, test) = found.files.split_at(1);
        // A coarse label, of twenty, stands before the fine one.
        let labels = [20, 100];
        let default = (0..100).map(|class| class.to_string());
        let names = found.meta.as_deref().map_or_else(|| default.collect(), lines);
        named(records(training, &labels)?, records(test, &labels)?, names)
    }
}

/// Both parts with classes of these names.
fn named<const K: usize>(
    training: Dataset<3, 32, 32, K>,
    test: Dataset<3, 32, 32, K>,
    names: Vec<String>,
) -> Result<(Dataset<3, 32, 32, K>, Dataset<3, 32, 32, K>), DataError> {
    Ok((training.with_names(names.iter().cloned())?, test.with_names(names)?))
}

/// The lines that are not blank.
fn lines(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

/// A file's bytes, and how to call it in messages.
struct Content {
    file: PathBuf,
    bytes: Vec<u8>,
}

/// What was asked for.
struct Found {
    files: Vec<Content>,
    /// The file of the classes' names.
    meta: Option<Vec<u8>>,
}

impl Found {
    fn names(&self, default: &[&str]) -> Vec<String> {
        let default = || default.iter().map(|&name| name.to_owned()).collect();
        self.meta.as_deref().map_or_else(default, lines)
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
        meta: if meta.exists() { Some(read(meta)?.bytes) } else { None },
    })
}

/// A file of a folder.
fn read(file: PathBuf) -> Result<Content, DataError> {
    let read = || {
        let mut opened = File::open(&file)?;
        if opened.metadata()?.len() > MOST_BYTES {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        opened.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    };
    match read() {
        Ok(Some(bytes)) => Ok(Content { file, bytes }),
        Ok(None) => Err(DataError::FileTooLarge {
            file,
            limit: MOST_BYTES,
        }),
        Err(source) => Err(DataError::File { file, source }),
    }
}

/// The files of a `.tar.gz` archive, in whichever folder of it.
fn unpacked(path: &Path, names: &[&'static str], meta: &'static str) -> Result<Found, DataError> {
    let failed = |source| DataError::File {
        file: path.to_owned(),
        source,
    };
    let mut unzipped = GzDecoder::new(File::open(path).map_err(failed)?).take(MOST_UNPACKED);
    let found = members(&mut unzipped, path, &|name| {
        names.iter().copied().chain([meta]).find(|&wanted| name == wanted)
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
        meta: found.remove(meta),
    })
}

/// The bytes of the files of an archive that are wanted.
fn members(
    archive: impl Read,
    path: &Path,
    wanted: &dyn Fn(&OsStr) -> Option<&'static str>,
) -> Result<BTreeMap<&'static str, Vec<u8>>, DataError> {
    let failed = |source| DataError::File {
        file: path.to_owned(),
        source,
    };
    let mut archive = tar::Archive::new(archive);
    let mut found = BTreeMap::new();
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let member = entry.path().map_err(failed)?.into_owned();
        let is_file = entry.header().entry_type().is_file();
        let Some(name) = member.file_name().and_then(wanted).filter(|_| is_file) else {
            continue;
        };
        if entry.size() > MOST_BYTES {
            return Err(DataError::FileTooLarge {
                file: path.join(name),
                limit: MOST_BYTES,
            });
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(failed)?;
        if found.insert(name, bytes).is_some() {
            return Err(DataError::Twice {
                archive: path.to_owned(),
                name: name.to_owned(),
            });
        }
    }
    Ok(found)
}

/// The records of all files: labels, one for each of `labels`, which says how many classes there are, and pixels.
/// The last label is the image's.
fn records<const K: usize>(files: &[Content], labels: &[usize]) -> Result<Dataset<3, 32, 32, K>, DataError> {
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
    Dataset::new(pixels, found)
}

#[cfg(test)]
#[path = "cifar_tests.rs"]
mod tests;
