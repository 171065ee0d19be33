//! Networks to Rust: the model struct, its builder and its forward pass on `ksdsl-runtime`.

use crate::ir::Network;
use proc_macro2::TokenStream;

/// The module of one network.
pub fn network(network: &Network) -> TokenStream {
    let _ = network;
    TokenStream::new()
}

/// What stands in for a network that has errors, so that code that names it gives no errors of its
/// own; `network` is given where its shapes could be resolved.
pub fn stub(name: &str, network: Option<&Network>) -> TokenStream {
    let _ = (name, network);
    TokenStream::new()
}

/// Formats generated code; the same tokens always give the same text.
pub fn format(tokens: TokenStream) -> String {
    match syn::parse2(tokens.clone()) {
        Ok(file) => prettyplease::unparse(&file),
        Err(_) => tokens.to_string(),
    }
}
