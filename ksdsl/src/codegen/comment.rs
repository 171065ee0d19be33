//! Doc comments as attributes.

use proc_macro2::TokenStream;
use quote::quote;

/// `#[doc]` attributes, one per line.
pub(super) fn attributes(lines: &[String]) -> TokenStream {
    let lines = lines.iter().flat_map(|text| text.split('\n')).map(|line| match line {
        "" => String::new(),
        line => format!(" {line}"),
    });
    quote!(#(#[doc = #lines])*)
}

/// One doc comment.
pub(super) fn line(text: impl Into<String>) -> TokenStream {
    attributes(&[text.into()])
}
