//! Why data cannot be read.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why data cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum DataError {
    /// The gzip container is damaged or ends too early.
    Unpack(io::Error),
    /// Unpacked, the data is larger than any file of its kind.
    TooLarge {
        /// The most bytes that are read.
        limit: u64,
    },
    /// The data set is a text.
    NoImages,
    /// There is not a single line.
    Empty,
    /// A line has too few or too many fields.
    Columns {
        /// The line, from 1.
        line: usize,
        /// The number of fields it has.
        found: usize,
        /// The expected number.
        expected: usize,
    },
    /// A field is not a number, or a number out of its range.
    Field {
        /// The line, from 1.
        line: usize,
        /// The field within the line, from 1.
        column: usize,
        /// The beginning of its text.
        text: String,
        /// What it should be.
        expected: &'static str,
    },
    /// There are not as many values as the images need.
    Pixels {
        /// The number of values.
        found: usize,
        /// The number of images.
        images: usize,
        /// The values of an image.
        expected: usize,
    },
    /// An image has a label that is not a class.
    Label {
        /// The image, from 0.
        image: usize,
        /// Its label.
        found: u16,
        /// The number of classes.
        classes: usize,
    },
    /// There are not as many names as classes.
    Names {
        /// The number of names.
        found: usize,
        /// The number of classes.
        classes: usize,
    },
    /// A class's name is empty or has a control character.
    Name {
        /// The name.
        name: String,
    },
    /// Two classes have the same name.
    SameName {
        /// The name.
        name: String,
    },
    /// A file or folder cannot be read.
    File {
        /// The file or folder.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An archive lacks a file.
    Missing {
        /// The archive.
        archive: PathBuf,
        /// The file's name.
        name: String,
    },
    /// An archive has a file twice.
    Twice {
        /// The archive.
        archive: PathBuf,
        /// The file's name.
        name: String,
    },
    /// A file, or an archive when unpacked, is larger than any of its kind.
    FileTooLarge {
        /// The file.
        file: PathBuf,
        /// The most bytes that are read.
        limit: u64,
    },
    /// A file is empty or ends within a record.
    Records {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: usize,
        /// The size of a record.
        record: usize,
    },
    /// A record of a file has a label (in CIFAR-100, one of its two) that is not a class.
    Class {
        /// The file.
        file: PathBuf,
        /// The record, from 0.
        record: usize,
        /// Its label.
        found: u8,
        /// The number of classes.
        classes: usize,
    },
    /// A file is not a picture that can be read.
    Picture {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// A folder of classes is not as it should be.
    Classes {
        /// The folder.
        folder: PathBuf,
        /// What is wrong, and what it should be.
        reason: String,
    },
    /// A file or folder cannot be written.
    Write {
        /// The file or folder.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A batch does not fit the network.
    Batch {
        /// The number of its images.
        images: usize,
        /// The number of their values.
        values: usize,
        /// The number of their target probabilities.
        targets: usize,
        /// What the network takes for each image.
        expected: String,
    },
    /// The device failed.
    Device(String),
    /// A step's batch could not be made because the thread that made it panicked.
    Panicked {
        /// The epoch, from 1.
        epoch: u32,
        /// The step of the epoch, from 0.
        step: u64,
        /// What the panic said.
        message: String,
    },
}

impl DataError {
    /// The error of reading a file of at most `limit` bytes.
    pub(super) fn reading(file: &Path, limit: u64, source: io::Error) -> Self {
        let file = file.to_owned();
        match source.kind() {
            io::ErrorKind::FileTooLarge => Self::FileTooLarge { file, limit },
            _ => Self::File { file, source },
        }
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpack(error) => write!(f, "cannot decompress the data: {error}"),
            Self::TooLarge { limit } => write!(f, "the decompressed data is larger than {limit} bytes"),
            Self::NoImages => f.write_str("the data set has no images"),
            Self::Empty => f.write_str("the file is empty: expected one image per line"),
            Self::Columns { line, found, expected } => {
                write!(f, "line {line}: expected {expected} fields, found {found}")
            }
            Self::Field {
                line,
                column,
                text,
                expected,
            } => write!(f, "line {line}, field {column}: expected {expected}, found `{text}`"),
            Self::Pixels {
                found,
                images,
                expected,
            } => write!(
                f,
                "found {found} values, expected {images} images of {expected} values each"
            ),
            Self::Label { image, found, classes } => {
                write!(
                    f,
                    "image {image} has label {found}, but there are {classes} classes (labels start at 0)"
                )
            }
            Self::Names { found, classes } => write!(f, "found {found} class names, expected {classes}"),
            Self::Name { name } => write!(
                f,
                "invalid class name {name:?}: names must be non-empty and without control characters"
            ),
            Self::SameName { name } => write!(f, "duplicate class name {name:?}"),
            Self::File { file, source } => write!(f, "cannot read `{}`: {source}", file.display()),
            Self::Missing { archive, name } => write!(f, "`{}` does not contain the file `{name}`", archive.display()),
            Self::Twice { archive, name } => write!(f, "`{}` contains the file `{name}` twice", archive.display()),
            Self::FileTooLarge { file, limit } => write!(
                f,
                "`{}` is larger than {limit} bytes, the limit for this kind of file",
                file.display()
            ),
            Self::Records { file, bytes, record } => write!(
                f,
                "`{}`: the size, {bytes} bytes, is not a multiple of the record size, {record} bytes",
                file.display()
            ),
            Self::Class {
                file,
                record,
                found,
                classes,
            } => write!(
                f,
                "`{}`: record {record} has label {found}, but there are {classes} classes (labels start at 0)",
                file.display()
            ),
            Self::Picture { file, reason } => write!(f, "cannot read the image `{}`: {reason}", file.display()),
            Self::Classes { folder, reason } => write!(f, "`{}`: {reason}", folder.display()),
            Self::Write { file, source } => write!(f, "cannot write `{}`: {source}", file.display()),
            Self::Batch {
                images,
                values,
                targets,
                expected,
            } => write!(
                f,
                "the batch has {values} values and {targets} targets for {images} images; the network takes {expected} for each"
            ),
            Self::Device(what) => write!(f, "the device failed: {what}"),
            Self::Panicked { epoch, step, message } => {
                write!(
                    f,
                    "the batch of epoch {epoch}, step {step} could not be created: {message}"
                )
            }
        }
    }
}

impl std::error::Error for DataError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unpack(error) | Self::File { source: error, .. } | Self::Write { source: error, .. } => Some(error),
            _ => None,
        }
    }
}
