//! Structs with their tensors, which dfdx builds, updates, saves and moves: the runtime's macro `model!`.

use super::comment;
use super::names;
use super::types;
use crate::ir::Init;
use crate::plan::docs;
use crate::plan::{Body, Field, Plan};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

/// A field as it is written: comment, type, and the attribute that says how dfdx visits it.
pub(super) struct StructField {
    pub(super) name: Ident,
    pub(super) docs: String,
    pub(super) ty: TokenStream,
    pub(super) visit: TokenStream,
}

/// The entries of a planned struct.
pub(super) fn entries(body: &Body, plan: &Plan<'_>, reserved: &[&str]) -> Vec<StructField> {
    let names = names::fields(body, reserved);
    body.fields
        .iter()
        .zip(names)
        .map(|(field, name)| entry(field, name, plan))
        .collect()
}

fn entry(field: &Field, name: Ident, plan: &Plan<'_>) -> StructField {
    let docs = docs::of_field(field, &plan.types);
    let (ty, visit) = match field {
        Field::Tensor { key, shape, init, .. } => (types::tensor(shape), visit_tensor(key, *init)),
        Field::Norm { key, of } => (types::module(*of), visit_module(key)),
        Field::Module { key, of } => {
            let of = format_ident!("{}", plan.types[*of].name);
            (quote!(#of<E, D>), visit_module(key))
        }
        Field::Repeat {
            prefix,
            first,
            count,
            of,
        } => {
            let of = format_ident!("{}", plan.types[*of].name);
            let count = types::size(*count as u64);
            (
                quote!(rt::Repeat<#of<E, D>, #count>),
                visit_repeat(prefix, u64::from(*first)),
            )
        }
    };
    StructField { name, docs, ty, visit }
}

/// A tensor with its initial values.
pub(super) fn visit_tensor(key: &str, init: Init) -> TokenStream {
    let init = types::initial(init);
    quote!(#[tensor(#key, #init)])
}

/// A struct of tensors.
pub(super) fn visit_module(key: &str) -> TokenStream {
    quote!(#[module(#key)])
}

/// Equal structs in a row.
pub(super) fn visit_repeat(prefix: &str, first: u64) -> TokenStream {
    let first = types::size(first);
    quote!(#[repeat(#prefix, #first)])
}

/// The struct and its `TensorCollection`.
pub(super) fn definition(name: &Ident, comment: TokenStream, entries: &[StructField]) -> TokenStream {
    let fields = entries.iter().map(|entry| {
        let StructField { name, ty, visit, .. } = entry;
        let comment = comment::line(&entry.docs);
        quote!(#comment #visit pub #name: #ty)
    });
    quote! {
        rt::model! {
            #comment
            pub struct #name<E, D> {
                #(#fields,)*
            }
        }
    }
}
