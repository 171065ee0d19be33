//! `crate = ks`: what the user's crate calls the runtime.

use crate::message::{self, Place};
use ksdsl::codegen::Runtime;
use proc_macro2::{TokenStream, TokenTree};

/// The runtime of `crate = ks;` at the beginning of a macro's tokens, and what follows it. An error is the
/// message for rustc.
pub(crate) fn leading(input: TokenStream) -> Result<(Runtime, TokenStream), TokenStream> {
    if !is_setting(&input) {
        return Ok((Runtime::default(), input));
    }
    let (setting, rest) = split(input, ';');
    Ok((read(setting)?, rest))
}

/// The runtime of `crate = ks` after another argument.
pub(crate) fn trailing(input: TokenStream) -> Result<Runtime, TokenStream> {
    let (setting, rest) = split(input, ',');
    if !rest.is_empty() || !setting.is_empty() && !is_setting(&setting) {
        let text = "expected `crate = ...` with the path of the crate `ksdsl-runtime`, and nothing else";
        return Err(message::error(Place::of(setting), text));
    }
    match setting.is_empty() {
        true => Ok(Runtime::default()),
        false => read(setting),
    }
}

/// The tokens before and after the first such sign.
pub(crate) fn split(input: TokenStream, sign: char) -> (TokenStream, TokenStream) {
    let mut tokens = input.into_iter();
    let is_sign = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign);
    let before = tokens.by_ref().take_while(|token| !is_sign(token)).collect();
    (before, tokens.collect())
}

fn is_setting(tokens: &TokenStream) -> bool {
    let mut tokens = tokens.clone().into_iter();
    let word = matches!(tokens.next(), Some(TokenTree::Ident(word)) if word == "crate");
    word && matches!(tokens.next(), Some(TokenTree::Punct(punct)) if punct.as_char() == '=')
}

/// The path after `crate =`.
fn read(setting: TokenStream) -> Result<Runtime, TokenStream> {
    let path: TokenStream = setting.clone().into_iter().skip(2).collect();
    Runtime::at(path).map_err(|error| message::error(Place::of(setting), &error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::{leading, trailing};
    use proc_macro2::TokenStream;

    fn tokens(text: &str) -> TokenStream {
        text.parse().expect("tokens of Rust")
    }

    #[test]
    fn settings_are_taken_off() {
        let rest = |text| leading(tokens(text)).map(|(_, rest)| rest.to_string());
        assert_eq!(rest("crate = ks; net a { }").unwrap(), "net a { }");
        assert_eq!(rest("crate = crate::inner::ks; net a { }").unwrap(), "net a { }");
        assert_eq!(rest("net a { crate; }").unwrap(), "net a { crate ; }");
        for wrong in [
            "crate = super::ks; net a { }",
            "crate = ; net a { }",
            "crate = 3; net a { }",
            "crate = ks<u8>;",
        ] {
            assert!(leading(tokens(wrong)).is_err(), "{wrong}");
        }
        assert!(trailing(tokens("crate = ::ks,")).is_ok() && trailing(tokens("")).is_ok());
        assert!(trailing(tokens("ks")).is_err() && trailing(tokens("crate = ks, 3")).is_err());
    }
}
