//! A text as read, with the files that it is of, so that errors can name places.

use super::TextError;
use std::path::PathBuf;

/// A text, of one file or of several, one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Whole {
    pub(super) bytes: Vec<u8>,
    /// The files with the places at which they end; none for a text in memory.
    files: Vec<(PathBuf, usize)>,
    /// The places at which documents end; none if the text is one.
    pub(super) documents: Vec<usize>,
}

impl Whole {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, file: PathBuf, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.files.push((file, self.bytes.len()));
    }

    /// Each file is a document, or each line of the only one.
    pub(super) fn split_into_documents(&mut self, by_lines: bool) {
        let end = self.bytes.len();
        self.documents = match by_lines {
            true => {
                let lines = self.bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
                lines.map(|(at, _)| at + 1).collect()
            }
            false => self.files.iter().map(|(_, end)| *end).collect(),
        };
        if self.documents.last().is_none_or(|last| *last < end) {
            self.documents.push(end);
        }
        self.documents.dedup();
        self.documents.retain(|end| *end > 0);
    }

    /// The text, if it is UTF-8.
    pub(super) fn utf8(&self) -> Result<&str, TextError> {
        std::str::from_utf8(&self.bytes).map_err(|error| self.not_utf8(error.valid_up_to()))
    }

    /// The error that the text is not UTF-8 from a place on.
    pub(super) fn not_utf8(&self, at: usize) -> TextError {
        let (file, start) = self.file(at);
        TextError::NotUtf8 {
            file,
            offset: at - start,
        }
    }

    /// The error that the vocabulary lacks the character at a place.
    pub(super) fn unknown(&self, at: usize, character: char) -> TextError {
        let (file, start) = self.file(at);
        let before = String::from_utf8_lossy(&self.bytes[start..at]);
        TextError::unknown(Some(file), character, &before)
    }

    /// The file at a place, and where it starts.
    fn file(&self, at: usize) -> (PathBuf, usize) {
        let index = self.files.partition_point(|(_, end)| *end <= at);
        let start = index.checked_sub(1).map_or(0, |before| self.files[before].1);
        let file = self.files.get(index).map(|(file, _)| file.clone());
        (file.unwrap_or_else(|| PathBuf::from("the text")), start)
    }
}
