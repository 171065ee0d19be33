//! Texts as tokens: training and validation.

use super::whole::Whole;
use super::{Choice, Documents, Origin, TextError, Tokens};
use std::fmt;
use std::ops::Range;

/// The fraction of a text to train on; the rest is for validation, as in nanoGPT.
const TRAINING: (usize, usize) = (9, 10);

/// A text as tokens: its first nine tenths to train on, the rest to validate.
#[derive(Clone, Debug)]
pub struct Text {
    /// The vocabulary.
    pub tokens: Tokens,
    /// The tokens of the training text.
    pub training: Vec<u32>,
    /// The tokens of the validation text.
    pub validation: Vec<u32>,
    /// The mean bytes of a token of the validation text.
    pub bytes_per_token: f64,
    /// Its documents, if it is of several.
    pub documents: Option<Documents>,
}

/// The vocabulary that a text is to have.
#[derive(Clone, Debug)]
pub enum Vocabulary<'v> {
    /// One that is made for it, or read.
    Chosen(&'v Choice),
    /// That of a run.
    Known(Tokens),
}

impl Text {
    /// Reads a text. Characters are those of all of it; byte pairs are merged by their frequency in the training text.
    ///
    /// # Errors
    /// If it cannot be read, is empty, or the vocabulary cannot be had or lacks a part of it.
    pub fn open(origin: &Origin, vocabulary: Vocabulary<'_>) -> Result<Self, TextError> {
        Self::split(&origin.read()?, vocabulary)
    }

    /// A text in memory.
    ///
    /// # Errors
    /// As [`Text::open`].
    pub fn of(bytes: &[u8], vocabulary: Vocabulary<'_>) -> Result<Self, TextError> {
        match bytes.is_empty() {
            true => Err(TextError::Empty("the text".to_owned())),
            false => Self::split(&Whole::of(bytes), vocabulary),
        }
    }

    fn split(whole: &Whole, vocabulary: Vocabulary<'_>) -> Result<Self, TextError> {
        let (at, end) = (boundary(whole), whole.bytes.len());
        let tokens = match vocabulary {
            Vocabulary::Known(tokens) => tokens,
            Vocabulary::Chosen(choice) => choice.tokens(whole, at)?,
        };
        let (training, of_training) = tokens.encode_parts(whole, parts(whole, 0..at))?;
        let (validation, of_validation) = tokens.encode_parts(whole, parts(whole, at..end))?;
        let documents = Documents {
            training: of_training,
            validation: of_validation,
        };
        Ok(Self {
            documents: (!whole.documents.is_empty()).then_some(documents),
            bytes_per_token: (end - at) as f64 / validation.len().max(1) as f64,
            training,
            validation,
            tokens,
        })
    }
}

/// The documents within a part of a text, or the part as a whole.
fn parts(whole: &Whole, part: Range<usize>) -> Vec<Range<usize>> {
    if whole.documents.is_empty() {
        return vec![part];
    }
    let ends = whole.documents.iter().copied();
    let starts = [0].into_iter().chain(ends.clone());
    let documents = starts.zip(ends).map(|(start, end)| start..end);
    documents.filter(|document| part.contains(&document.start)).collect()
}

/// Where the validation text begins: not within a character or a document.
fn boundary(whole: &Whole) -> usize {
    let bytes = &whole.bytes;
    let at = (bytes.len() as u128 * TRAINING.0 as u128 / TRAINING.1 as u128) as usize;
    if let [ends @ .., _] = whole.documents.as_slice()
        && let Some(last) = ends.last()
    {
        // The last document is for validation in any case.
        let first = ends.partition_point(|end| *end < at);
        return ends.get(first).copied().unwrap_or(*last);
    }
    let is_within = |at: &usize| bytes.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    // A character has at most four bytes; other bytes stay where they are.
    (at.saturating_sub(3)..=at)
        .rev()
        .find(|at| !is_within(at))
        .unwrap_or(at)
}

/// `1003854 tokens for training, 111540 for validation (65 characters)`.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (training, validation) = (self.training.len(), self.validation.len());
        let tokens = &self.tokens;
        write!(
            f,
            "{training} tokens for training, {validation} for validation ({tokens})"
        )?;
        match &self.documents {
            Some(Documents { training, validation }) => {
                write!(f, " in {} and {} documents", training.len(), validation.len())
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
