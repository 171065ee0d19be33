//! The vocabulary of the characters that a text has.

use super::TextError;
use std::collections::BTreeSet;

/// Characters in the order of their code points, as in nanoGPT's `sorted(list(set(data)))`. An id is a place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Characters(Vec<char>);

impl Characters {
    /// Those of a text.
    pub(super) fn of(text: &str) -> Result<Self, TextError> {
        let all: BTreeSet<char> = text.chars().collect();
        match all.is_empty() {
            true => Err(TextError::Empty("the text".to_owned())),
            false => Ok(Self(all.into_iter().collect())),
        }
    }

    /// Those that a file lists.
    pub(super) fn listed(text: &str) -> Result<Self, String> {
        let all: Vec<char> = text.chars().collect();
        match !all.is_empty() && all.is_sorted_by(|a, b| a < b) {
            true => Ok(Self(all)),
            false => Err("`characters` must be distinct characters in the order of their code points".to_owned()),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, as one text.
    pub(super) fn text(&self) -> String {
        self.0.iter().collect()
    }

    /// The ids of a text, or the first character that is not among them, and its place.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, (usize, char)> {
        let id = |(at, character): (usize, char)| match self.0.binary_search(&character) {
            Ok(id) => Ok(id as u32),
            Err(_) => Err((at, character)),
        };
        text.char_indices().map(id).collect()
    }

    pub(super) fn get(&self, id: u32) -> Option<char> {
        self.0.get(id as usize).copied()
    }
}
