// Its example is a test of the package `ksdsl-tests`: here it would have all kernels compiled for the host once more.
#![cfg_attr(not(doctest), doc = include_str!("../README.md"))]
#![forbid(unsafe_code)]

mod expand;
mod file;
mod inline;
mod message;
mod runtime;
mod text;

/// Defines networks from the text between the braces, the same text as in a `.ksn` file.
///
/// ```ignore
/// use ksdsl_runtime::ksnet;
///
/// ksnet! {
///     /// A small convolutional network.
///     net small(classes = 10) {
///         input 1 x 8 x 8
///         stage s1 { repeat 2 { conv(8, kernel = 3, pad = 1); relu } }
///         stage head { global_avg_pool; linear(classes) }
///     }
/// }
/// ```
///
/// An error underlines the tokens it speaks of, in several places where several have a part in it.
/// Where `Cargo.toml` gives the runtime another name, `ks = { package = "ksdsl-runtime", ... }`, the text begins
/// with `crate = ks;`.
///
/// A warning appears as rustc's `deprecated` lint with the message of the compiler, because
/// procedural macros cannot give warnings of their own on stable Rust.
#[proc_macro]
pub fn ksnet(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    inline::expand(input.into()).into()
}

/// Defines the networks of a `.ksn` file; its path starts at the folder of the crate's `Cargo.toml`.
///
/// ```ignore
/// ksdsl_runtime::include_ksn!("models/small.ksn");
/// ```
///
/// Where `Cargo.toml` gives the runtime another name, write `include_ksn!("models/small.ksn", crate = ks)`.
///
/// An error shows file, line, column and the place in the file. Cargo builds the crate again when
/// the file changes.
#[proc_macro]
pub fn include_ksn(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    file::expand(input.into()).into()
}
