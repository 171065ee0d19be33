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
mod error;
#[cfg(feature = "tokenizers")]
mod pairs;
#[cfg(not(feature = "tokenizers"))]
#[path = "no_pairs.rs"]
mod pairs;
mod tokens;

pub use error::TextError;
pub use tokens::Tokens;
