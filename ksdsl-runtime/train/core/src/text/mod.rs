//! Text for language models: vocabularies, files, windows, and how a language model is judged.
//!
//! ```
//! # extern crate ksdsl_train_core as ksdsl_train;
//! use ksdsl_train::text::Tokens;
//!
//! let tokens = Tokens::characters("hello")?;
//! assert_eq!(tokens.encode("hole")?, [1, 3, 2, 0]); // e, h, l, o
//! assert_eq!(tokens.decode(&[1, 3, 2, 0]), b"hole");
//! # Ok::<(), ksdsl_train::text::TextError>(())
//! ```

mod characters;
mod choice;
mod documents;
mod error;
mod held_out;
mod origin;
#[cfg(feature = "tokenizers")]
mod pairs;
#[cfg(not(feature = "tokenizers"))]
#[path = "no_pairs.rs"]
mod pairs;
#[allow(clippy::module_inception)]
mod text;
mod tokens;
mod whole;
mod windows;

pub use choice::Choice;
pub use documents::Documents;
pub use error::TextError;
pub use held_out::HeldOut;
pub use origin::Origin;
pub use text::{Text, Vocabulary};
pub use tokens::Tokens;
pub use windows::{Windows, windows};

/// Whether a text has a window and the token after it.
fn fits(part: &'static str, found: usize, window: usize) -> Result<(), TextError> {
    match found > window {
        true => Ok(()),
        false => Err(TextError::Short {
            part,
            found,
            expected: window + 1,
            window,
        }),
    }
}

/// Whether documents that end at these places have a token to predict.
fn have_targets(part: &'static str, ends: &[usize]) -> Result<(), TextError> {
    let starts = [0].iter().chain(ends);
    match starts.zip(ends).any(|(start, end)| end - start > 1) {
        true => Ok(()),
        false => Err(TextError::NoTargets(part)),
    }
}

/// Tokens in words: how many, and a fingerprint.
fn describe(tokens: &[u32]) -> String {
    let bytes = tokens.iter().flat_map(|id| id.to_le_bytes());
    format!("{} tokens, {:016x}", tokens.len(), fnv(bytes))
}

/// A fingerprint of places.
fn fingerprint(places: impl Iterator<Item = u64>) -> u64 {
    fnv(places.flat_map(u64::to_le_bytes))
}

/// FNV-1a.
fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
