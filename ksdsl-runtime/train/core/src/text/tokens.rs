//! Vocabularies: text to token ids and back.

use super::TextError;
use super::characters::Characters;
use super::fnv;
use super::pairs::Pairs;
use super::whole::Whole;
use crate::json;
use crate::run::Companion;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use std::path::Path;

/// What stands for an id that has no text.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// A vocabulary: what text is as token ids. A run folder keeps that of its network.
#[derive(Clone, Debug)]
pub struct Tokens(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Bytes,
    Characters(Characters),
    Pairs(Box<Pairs>),
}

/// The file of a run folder that says which vocabulary it is.
const NAME: &str = "tokens.json";

/// The vocabulary of a run folder, if it is a tokenizer: a file of the Hugging Face library `tokenizers`.
const TOKENIZER: &str = "tokenizer.json";

/// The content of [`NAME`].
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Stored {
    /// The 256 bytes.
    Bytes {},
    /// Characters in the order of their ids.
    Characters { characters: String },
    /// The vocabulary of [`TOKENIZER`].
    Tokenizer {},
}

impl Tokens {
    /// Bytes: 256 tokens, whose ids are their values. Every text is made of them.
    pub fn bytes() -> Self {
        Self(Kind::Bytes)
    }

    /// The characters of a text, in the order of their code points.
    ///
    /// # Errors
    /// If the text is empty.
    pub fn characters(text: &str) -> Result<Self, TextError> {
        Ok(Self(Kind::Characters(Characters::of(text)?)))
    }

    /// The vocabulary of a file `tokenizer.json` of the library `tokenizers`. Needs the feature `tokenizers`.
    ///
    /// # Errors
    /// If `json` is no such file, or the feature is off; `place` names it in the error.
    pub fn tokenizer(json: &[u8], place: &str) -> Result<Self, TextError> {
        let pairs = Pairs::read(json).map_err(|what| TextError::vocabulary(place, what))?;
        Ok(Self(Kind::Pairs(Box::new(pairs))))
    }

    /// Byte pairs merged by their frequency in a text up to a vocabulary of `size` tokens, of which 256 are the bytes
    /// (Sennrich et al. 2016 on bytes, with GPT-2's splits). Needs the feature `tokenizers`.
    ///
    /// # Errors
    /// If `size` is below 257, the text has fewer pairs to merge, or the feature is off.
    pub fn pairs(text: &str, size: usize) -> Result<Self, TextError> {
        let pairs = Pairs::train(text, size).map_err(|what| TextError::vocabulary(format!("bpe:{size}"), what))?;
        Ok(Self(Kind::Pairs(Box::new(pairs))))
    }

    /// The vocabulary that a run folder keeps.
    ///
    /// # Errors
    /// If the folder has none, or its files cannot be read.
    pub fn load(folder: &Path) -> Result<Self, TextError> {
        let path = folder.join(NAME);
        if !path.exists() {
            let what = "the run has no vocabulary: expected the folder of a run on text";
            return Err(TextError::vocabulary(format!("`{}`", path.display()), what));
        }
        let refused = |what: String| TextError::vocabulary(format!("`{}`", path.display()), what);
        match json::read(&path).map_err(|error| refused(error.to_string()))? {
            Stored::Bytes {} => Ok(Self::bytes()),
            Stored::Characters { characters } => {
                let characters = Characters::listed(&characters).map_err(refused)?;
                Ok(Self(Kind::Characters(characters)))
            }
            Stored::Tokenizer {} => Self::read_tokenizer(&folder.join(TOKENIZER)),
        }
    }

    /// [`Tokens::tokenizer`] of a file.
    ///
    /// # Errors
    /// If it cannot be read, or is no tokenizer.
    pub fn read_tokenizer(path: &Path) -> Result<Self, TextError> {
        /// The largest known files have some 30 MB.
        const MOST: u64 = 1 << 28;
        let bytes = ksdsl_files::read(path, MOST).map_err(|error| TextError::reading(path, error))?;
        Self::tokenizer(&bytes, &format!("`{}`", path.display()))
    }

    /// The files from which [`Tokens::load`] gets it again.
    pub fn companions(&self) -> Vec<Companion> {
        let (stored, tokenizer) = match &self.0 {
            Kind::Bytes => (Stored::Bytes {}, None),
            Kind::Characters(all) => (Stored::Characters { characters: all.text() }, None),
            Kind::Pairs(pairs) => (Stored::Tokenizer {}, Some(pairs.json())),
        };
        let file = |name: &str, content| Companion {
            name: name.to_owned(),
            content,
        };
        let stored = serde_json::to_vec_pretty(&stored).expect("text");
        // What `tokens.json` points to comes first.
        let tokenizer = tokenizer.map(|json| file(TOKENIZER, json));
        tokenizer.into_iter().chain([file(NAME, stored)]).collect()
    }

    /// The number of tokens: all ids are below it.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        match &self.0 {
            Kind::Bytes => 256,
            Kind::Characters(all) => all.len(),
            Kind::Pairs(pairs) => pairs.len(),
        }
    }

    /// The token ids of a text.
    ///
    /// # Errors
    /// If the vocabulary has no token for a part of it.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TextError> {
        match &self.0 {
            Kind::Bytes => Ok(text.bytes().map(u32::from).collect()),
            Kind::Characters(all) => {
                let ids = all.encode(text);
                ids.map_err(|(at, character)| TextError::unknown(None, character, &text[..at]))
            }
            Kind::Pairs(pairs) => {
                let ids = pairs.encode(text);
                ids.map_err(|what| TextError::vocabulary("the tokenizer", what))
            }
        }
    }

    /// The token ids of a part of a text.
    pub(super) fn encode_parts(
        &self,
        whole: &Whole,
        parts: impl IntoIterator<Item = Range<usize>>,
    ) -> Result<(Vec<u32>, Vec<usize>), TextError> {
        let text = match &self.0 {
            Kind::Bytes => "",
            Kind::Characters(_) | Kind::Pairs(_) => whole.utf8()?,
        };
        let of_text = |part: &Range<usize>| text.get(part.clone()).ok_or_else(|| whole.not_utf8(part.start));
        let (mut ids, mut ends) = (Vec::new(), Vec::new());
        for part in parts {
            match &self.0 {
                Kind::Bytes => ids.extend(whole.bytes[part].iter().copied().map(u32::from)),
                Kind::Characters(all) => {
                    let encoded = all.encode(of_text(&part)?);
                    ids.extend(encoded.map_err(|(at, character)| whole.unknown(part.start + at, character))?);
                }
                Kind::Pairs(_) => ids.extend(self.encode(of_text(&part)?)?),
            }
            ends.push(ids.len());
        }
        Ok((ids, ends))
    }

    /// The bytes of token ids; an id without text is U+FFFD. The bytes of one token need not be UTF-8. Those of a list are
    /// those of its parts one after the other, except for tokenizers without a byte-level decoder, whose decoder decides.
    pub fn decode(&self, ids: &[u32]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ids.len());
        let mut add = |character: char| bytes.extend(character.encode_utf8(&mut [0; 4]).bytes());
        match &self.0 {
            Kind::Bytes => {
                for &id in ids {
                    match u8::try_from(id) {
                        Ok(byte) => bytes.push(byte),
                        Err(_) => bytes.extend(REPLACEMENT.encode_utf8(&mut [0; 4]).bytes()),
                    }
                }
                bytes
            }
            Kind::Characters(all) => {
                ids.iter().for_each(|&id| add(all.get(id).unwrap_or(REPLACEMENT)));
                bytes
            }
            Kind::Pairs(pairs) => pairs.decode(ids),
        }
    }

    /// What determines the ids of a text, in words.
    pub(super) fn describe(&self) -> String {
        let files = self.companions();
        let content = files.iter().flat_map(|file| &file.content).copied();
        format!("{self}, {:016x}", fnv(content))
    }
}

/// `bytes`, `65 characters`, `1024 tokens of a tokenizer`.
impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Bytes => f.write_str("bytes"),
            Kind::Characters(all) => write!(f, "{} characters", all.len()),
            Kind::Pairs(pairs) => write!(f, "{} tokens of a tokenizer", pairs.len()),
        }
    }
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
