//! Errors and warnings of rustc at given tokens.

use ksdsl::diag::Code;
use proc_macro2::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};
use quote::quote_spanned;

/// The first and the last of the tokens that a message underlines.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) first: Span,
    pub(crate) last: Span,
}

impl Place {
    /// All of these tokens.
    pub(crate) fn of(tokens: TokenStream) -> Self {
        let mut tokens = tokens.into_iter();
        let first = tokens.next().map_or_else(Span::call_site, |token| token.span());
        Place {
            first,
            last: tokens.last().map_or(first, |token| token.span()),
        }
    }
}

impl From<Span> for Place {
    fn from(span: Span) -> Self {
        Place {
            first: span,
            last: span,
        }
    }
}

/// An error that underlines everything from the first to the last token of a place: rustc reports a
/// `compile_error!` from the start of its path to the end of its arguments.
pub(crate) fn error(place: Place, message: &str) -> TokenStream {
    let at = |mut token: TokenTree, span: Span| {
        token.set_span(span);
        token
    };
    let colon = |spacing| at(Punct::new(':', spacing).into(), place.first);
    let mut text = Literal::string(message);
    text.set_span(place.last);
    let argument = TokenStream::from(TokenTree::from(text));
    TokenStream::from_iter([
        colon(Spacing::Joint),
        colon(Spacing::Alone),
        Ident::new("core", place.first).into(),
        colon(Spacing::Joint),
        colon(Spacing::Alone),
        Ident::new("compile_error", place.first).into(),
        at(Punct::new('!', Spacing::Alone).into(), place.first),
        at(Group::new(Delimiter::Brace, argument).into(), place.last),
    ])
}

/// A warning at the first token of a place. Stable Rust gives macros no warnings; the use of a
/// deprecated item, named after the code, makes rustc print one.
pub(crate) fn warning(place: Place, code: Code, message: &str) -> TokenStream {
    let code = Ident::new(&code.to_string(), Span::call_site());
    let used = Ident::new(&code.to_string(), place.first.resolved_at(Span::call_site()));
    quote_spanned! {Span::call_site()=>
        const _: () = {
            #[deprecated(note = #message)]
            const #code: () = ();
            #used
        };
    }
}
