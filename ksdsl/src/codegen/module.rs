//! Structs with their tensors: what dfdx builds, updates, saves and moves.

use super::comment;
use super::names;
use super::types;
use crate::plan::docs;
use crate::plan::{Body, Field, Plan};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

/// A field as it is written: comment, type, and how dfdx visits it.
pub(super) struct Entry {
    pub(super) name: Ident,
    pub(super) docs: String,
    pub(super) ty: TokenStream,
    pub(super) visit: TokenStream,
}

/// The entries of a planned struct.
pub(super) fn entries(body: &Body, plan: &Plan<'_>, reserved: &[&str]) -> Vec<Entry> {
    let names = names::fields(body, reserved);
    body.fields
        .iter()
        .zip(names)
        .map(|(field, name)| entry(field, name, plan))
        .collect()
}

fn entry(field: &Field, name: Ident, plan: &Plan<'_>) -> Entry {
    let docs = docs::of_field(field, &plan.types);
    let (ty, visit) = match field {
        Field::Tensor { key, shape, init, .. } => {
            (types::tensor(shape), visit_tensor(key, &name, types::options(*init)))
        }
        Field::Norm { key, of } => (types::module(*of), visit_module(key, &name)),
        Field::Module { key, of } => {
            let of = format_ident!("{}", plan.types[*of].name);
            (quote!(#of<E, D>), visit_module(key, &name))
        }
        Field::Repeat {
            prefix,
            first,
            count,
            of,
        } => {
            let of = format_ident!("{}", plan.types[*of].name);
            let (count, first) = (types::size(*count as u64), types::size(u64::from(*first)));
            let visit = visit_repeat(prefix, &first, &name, quote!(#of<E, D>), &count);
            (quote!(rt::Repeat<#of<E, D>, #count>), visit)
        }
    };
    Entry { name, docs, ty, visit }
}

/// A tensor with its initial values.
pub(super) fn visit_tensor(key: &str, name: &Ident, options: TokenStream) -> TokenStream {
    quote!(Self::tensor(#key, |s| &s.#name, |s| &mut s.#name, #options))
}

/// A struct of tensors.
pub(super) fn visit_module(key: &str, name: &Ident) -> TokenStream {
    quote!(Self::module(#key, |s| &s.#name, |s| &mut s.#name))
}

/// Equal structs in a row.
pub(super) fn visit_repeat(
    prefix: &str,
    first: &proc_macro2::Literal,
    name: &Ident,
    of: TokenStream,
    count: &proc_macro2::Literal,
) -> TokenStream {
    quote!(rt::repeat_field::<Self, #of, #count>(#prefix, #first, |s| &s.#name, |s| &mut s.#name))
}

/// The struct and its `TensorCollection`.
pub(super) fn definition(name: &Ident, comment: TokenStream, entries: &[Entry]) -> TokenStream {
    let fields = entries.iter().map(|entry| {
        let (comment, name, ty) = (comment::line(&entry.docs), &entry.name, &entry.ty);
        quote!(#comment pub #name: #ty)
    });
    // Without a tensor nothing would use the type parameters.
    let (marker, value) = match entries {
        [] => (quote!(_none: rt::PhantomData<(E, D)>), quote!(_none: rt::PhantomData)),
        _ => (quote!(), quote!()),
    };
    let visits = nest(&entries.iter().map(|entry| entry.visit.clone()).collect::<Vec<_>>());
    // Not the names of the fields: `Some` would be a pattern of its own.
    let values: Vec<Ident> = (0..entries.len()).map(|field| format_ident!("f{field}")).collect();
    let pattern = nest(&values.iter().map(|value| quote!(#value)).collect::<Vec<_>>());
    let names = entries.iter().map(|entry| &entry.name);
    quote! {
        #comment
        #[derive(Clone, Debug)]
        pub struct #name<E: rt::Dtype, D: rt::Storage<E>> {
            #(#fields,)*
            #marker
        }

        impl<E: rt::Dtype, D: rt::Device<E>> rt::TensorCollection<E, D> for #name<E, D> {
            type To<E2: rt::Dtype, D2: rt::Device<E2>> = #name<E2, D2>;

            fn iter_tensors<V: rt::ModuleVisitor<Self, E, D>>(
                visitor: &mut V,
            ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
                visitor.visit_fields(#visits, |#pattern| #name { #(#names: #values,)* #value })
            }
        }
    }
}

/// A tuple of tuples: dfdx visits at most six fields at once.
fn nest(items: &[TokenStream]) -> TokenStream {
    match items {
        [one] => one.clone(),
        items if items.len() <= 6 => quote!((#(#items),*)),
        items => nest(&items.chunks(6).map(nest).collect::<Vec<_>>()),
    }
}
