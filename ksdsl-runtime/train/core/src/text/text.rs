//! Texts as tokens: training and validation.

use super::whole::Whole;
use super::{Choice, Origin, TextError, Tokens};
use std::fmt;

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
        let (at, end) = (boundary(&whole.bytes), whole.bytes.len());
        let tokens = match vocabulary {
            Vocabulary::Known(tokens) => tokens,
            Vocabulary::Chosen(choice) => choice.tokens(whole, at)?,
        };
        let training = tokens.encode_part(whole, 0..at)?;
        let validation = tokens.encode_part(whole, at..end)?;
        Ok(Self {
            bytes_per_token: (end - at) as f64 / validation.len().max(1) as f64,
            training,
            validation,
            tokens,
        })
    }
}

/// Where the validation text begins: not within a character.
fn boundary(bytes: &[u8]) -> usize {
    let at = (bytes.len() as u128 * TRAINING.0 as u128 / TRAINING.1 as u128) as usize;
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
        )
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
