//! What generated code calls the runtime.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use std::fmt;

/// The path of the crate `ksdsl-runtime` in generated code: `::ksdsl_runtime`, or another one where the
/// user's `Cargo.toml` renames it or another crate exports it.
#[derive(Clone, Debug)]
pub struct Runtime(pub(super) TokenStream);

/// A text that is not a path of a crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPath(String);

impl Default for Runtime {
    fn default() -> Self {
        Runtime(quote!(::ksdsl_runtime))
    }
}

impl Runtime {
    /// The runtime at a path such as `ks` or `crate::vendored::ks`.
    ///
    /// # Errors
    /// If it is none, or begins with `self` or `super`, which mean something else in the module of a network.
    pub fn at(path: TokenStream) -> Result<Self, InvalidPath> {
        let invalid = || InvalidPath(path.to_string().replace(' ', ""));
        let parsed: syn::Path = syn::parse2(path.clone()).map_err(|_| invalid())?;
        let plain = parsed.segments.iter().all(|segment| segment.arguments.is_empty());
        match parsed.segments.first() {
            Some(first) if plain && first.ident != "self" && first.ident != "super" => {
                Ok(Runtime(parsed.into_token_stream()))
            }
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for InvalidPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a path of the crate `ksdsl-runtime`: use its name, or a path that starts with `crate` or `::`",
            self.0
        )
    }
}

impl std::error::Error for InvalidPath {}
