//! The vocabularies to choose from.

use super::whole::Whole;
use super::{TextError, Tokens};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The choice of a vocabulary, as on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The 256 bytes.
    #[default]
    Bytes,
    /// The characters of the text.
    Characters,
    /// This many tokens, merged from byte pairs of the training text.
    Pairs(usize),
    /// A file `tokenizer.json`.
    File(PathBuf),
}

impl Choice {
    /// The vocabulary of a text whose first bytes are for training.
    pub(super) fn tokens(&self, whole: &Whole, training: usize) -> Result<Tokens, TextError> {
        match self {
            Self::Bytes => Ok(Tokens::bytes()),
            Self::Characters => Tokens::characters(whole.utf8()?),
            Self::Pairs(size) => {
                let text = whole.utf8()?.get(..training);
                // A document may end within a character.
                Tokens::pairs(text.ok_or_else(|| whole.not_utf8(training))?, *size)
            }
            Self::File(path) => Tokens::read_tokenizer(path),
        }
    }
}

const EXPECTED: &str = "expected bytes, characters, bpe:N (such as bpe:1024) or the path of a tokenizer.json";

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(size) = text.strip_prefix("bpe:") {
            let size = size
                .parse()
                .map_err(|_| format!("`{size}` is no number of tokens: {EXPECTED}"))?;
            return Ok(Self::Pairs(size));
        }
        match text {
            "bytes" => Ok(Self::Bytes),
            "characters" => Ok(Self::Characters),
            _ if text.ends_with(".json") => Ok(Self::File(PathBuf::from(text))),
            _ => Err(EXPECTED.to_owned()),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes => f.write_str("bytes"),
            Self::Characters => f.write_str("characters"),
            Self::Pairs(size) => write!(f, "bpe:{size}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}
