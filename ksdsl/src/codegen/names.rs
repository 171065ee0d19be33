//! Rust names for what the writer named.

use crate::plan::{Body, Field};
use proc_macro2::{Ident, Span};
use std::collections::HashSet;

/// Words that Rust has for itself in some edition, but syn lets pass.
const MORE_KEYWORDS: &[&str] = &["gen"];

/// An identifier for a name of the language, raw where Rust has the word for itself in any edition. (The
/// names Rust does not allow even so are refused by the checks.)
pub(super) fn ident(name: &str) -> Ident {
    match syn::parse_str::<Ident>(name) {
        Ok(ident) if !MORE_KEYWORDS.contains(&name) => ident,
        _ => Ident::new_raw(name, Span::call_site()),
    }
}

/// Hands out identifiers, each once.
#[derive(Default)]
pub(super) struct Names {
    taken: HashSet<String>,
}

impl Names {
    /// An identifier like `name` that was not handed out before.
    pub(super) fn fresh(&mut self, name: &str) -> Ident {
        let name = if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            format!("_{name}")
        } else {
            name.to_owned()
        };
        let candidates = std::iter::once(name.clone()).chain((2..).map(|n| format!("{name}_{n}")));
        for candidate in candidates {
            if self.taken.insert(candidate.clone()) {
                return ident(&candidate);
            }
        }
        ident(&name)
    }
}

/// The variables of a struct's values with names. None of them is a variable that generated code has for itself.
pub(super) fn values(body: &Body) -> Vec<Ident> {
    let mut names = Names::default();
    let values = body.values.iter();
    values
        .map(|value| names.fresh(&format!("kept_{}", value.name)))
        .collect()
}

/// The field names of a struct, in the order of its fields.
pub(super) fn fields(body: &Body, reserved: &[&str]) -> Vec<Ident> {
    let mut names = Names::default();
    for name in reserved {
        names.taken.insert((*name).to_owned());
    }
    body.fields
        .iter()
        .map(|field| {
            let name = match field {
                Field::Tensor { key, .. } | Field::Norm { key, .. } => key.replace('.', "_"),
                Field::Module { key, .. } => match key.parse::<u32>() {
                    Ok(_) => format!("block_{key}"),
                    Err(_) => key.replace('.', "_"),
                },
                Field::Repeat { prefix, first, .. } => {
                    let base = match prefix.trim_end_matches('.') {
                        "" => "blocks".to_owned(),
                        prefix => prefix.replace('.', "_"),
                    };
                    if *first == 0 {
                        base
                    } else {
                        format!("{base}_from_{first}")
                    }
                }
            };
            names.fresh(&name)
        })
        .collect()
}
