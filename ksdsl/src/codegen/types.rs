//! Rust types and expressions for shapes, tensors and initial values.

use crate::ir::{Init, Shape};
use crate::ops::Module;
pub(super) use crate::ops::rust::{activation, real, size};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

/// `rt::Rank4<64, 64, 3, 3>`.
pub(super) fn rank(shape: &[u64]) -> TokenStream {
    let sizes = shape.iter().map(|value| size(*value));
    let rank = format_ident!("Rank{}", shape.len());
    quote!(rt::#rank<#(#sizes),*>)
}

/// `rt::Tensor<rt::Rank4<64, 64, 3, 3>, E, D>`.
pub(super) fn tensor(shape: &[u64]) -> TokenStream {
    let rank = rank(shape);
    quote!(rt::Tensor<#rank, E, D>)
}

/// `rt::BatchNorm<64, E, D>`.
pub(super) fn module(of: Module) -> TokenStream {
    let (name, channels) = (format_ident!("{}", of.name), size(of.channels));
    quote!(rt::#name<#channels, E, D>)
}

/// The dfdx tensor of a batch: `rt::Tensor<(B, rt::Const<3>, ...), E, D, tape>`.
pub(super) fn batch(shape: Shape, tape: TokenStream) -> TokenStream {
    let sizes = shape.sizes().into_iter().map(size);
    quote!(rt::Tensor<(B, #(rt::Const<#sizes>),*), E, D, #tape>)
}

/// Initial values as a function of the runtime's `init`, without the tensor.
pub(super) fn initial(init: Init) -> TokenStream {
    match init {
        Init::Constant(value) if value.0 == 0.0 => quote!(zeros),
        Init::Constant(value) if value.0 == 1.0 => quote!(ones),
        Init::Constant(value) => {
            let value = signed(value.0);
            quote!(constant(#value))
        }
        Init::Uniform(bound) => {
            let bound = real(bound.0);
            quote!(uniform(#bound))
        }
        Init::Normal(std) => {
            let std = real(std.0);
            quote!(normal(#std))
        }
    }
}

/// Literals have no sign of their own.
fn signed(value: f64) -> TokenStream {
    let literal = real(value.abs());
    if value < 0.0 {
        quote!(-#literal)
    } else {
        quote!(#literal)
    }
}
