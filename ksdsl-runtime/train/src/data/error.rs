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
    /// There is not a single line.
    Empty,
    /// A line has too few or too many fields.
    Columns {
        /// The line, from 1.
        line: usize,
        /// How many fields it has.
        found: usize,
        /// How many it should have.
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
        /// How many values there are.
        found: usize,
        /// How many images.
        images: usize,
        /// The values of an image.
        expected: usize,
    },
    /// An image has a label that is no class.
    Label {
        /// The image, from 0.
        image: usize,
        /// Its label.
        found: u16,
        /// How many classes there are.
        classes: usize,
    },
    /// There are not as many names as classes.
    Names {
        /// How many names there are.
        found: usize,
        /// How many classes.
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
    /// A record of a file has a label (in CIFAR-100, one of its two) that is no class.
    Class {
        /// The file.
        file: PathBuf,
        /// The record, from 0.
        record: usize,
        /// Its label.
        found: u8,
        /// How many classes there are.
        classes: usize,
    },
    /// A file is no picture that can be read.
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
            Self::Unpack(error) => write!(f, "cannot unpack the data: {error}"),
            Self::TooLarge { limit } => write!(f, "the data is larger than {limit} bytes when unpacked"),
            Self::Empty => f.write_str("there is no data: expected one image in each line"),
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
            } => write!(f, "{found} values for {images} images of {expected} values each"),
            Self::Label { image, found, classes } => {
                write!(
                    f,
                    "image {image} has label {found}; there are {classes} classes, counted from 0"
                )
            }
            Self::Names { found, classes } => write!(f, "{found} names for {classes} classes"),
            Self::Name { name } => write!(
                f,
                "a class is called {name:?}: expected a name without control characters"
            ),
            Self::SameName { name } => write!(f, "two classes are called {name:?}: each needs a name of its own"),
            Self::File { file, source } => write!(f, "cannot read `{}`: {source}", file.display()),
            Self::Missing { archive, name } => write!(f, "`{}` has no file `{name}`", archive.display()),
            Self::Twice { archive, name } => write!(f, "`{}` has the file `{name}` twice", archive.display()),
            Self::FileTooLarge { file, limit } => write!(
                f,
                "`{}` has more than {limit} bytes: too many for a file of this kind",
                file.display()
            ),
            Self::Records { file, bytes, record } => write!(
                f,
                "`{}`: {bytes} bytes are no whole number of records of {record} bytes",
                file.display()
            ),
            Self::Class {
                file,
                record,
                found,
                classes,
            } => write!(
                f,
                "`{}`: record {record} has label {found}; there are {classes} classes, counted from 0",
                file.display()
            ),
            Self::Picture { file, reason } => write!(f, "cannot read `{}` as a picture: {reason}", file.display()),
            Self::Classes { folder, reason } => write!(f, "`{}`: {reason}", folder.display()),
            Self::Write { file, source } => write!(f, "cannot write `{}`: {source}", file.display()),
            Self::Panicked { epoch, step, message } => {
                write!(
                    f,
                    "the batch of epoch {epoch}, step {step} could not be made: {message}"
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
