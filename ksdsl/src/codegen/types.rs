//! Rust types and expressions for shapes, tensors and initial values.

use crate::ir::{Init, Shape};
use crate::plan::NormKind;
use proc_macro2::{Literal, TokenStream};
use quote::quote;

/// A size as a literal without suffix.
pub(super) fn size(value: u64) -> Literal {
    Literal::u64_unsuffixed(value)
}

/// A finite number as a literal without suffix, to full precision.
pub(super) fn real(value: f64) -> Literal {
    Literal::f64_unsuffixed(value)
}

/// `rt::Rank4<64, 64, 3, 3>`.
pub(super) fn rank(shape: &[u64]) -> TokenStream {
    let sizes = shape.iter().map(|value| size(*value));
    match shape.len() {
        1 => quote!(rt::Rank1<#(#sizes),*>),
        2 => quote!(rt::Rank2<#(#sizes),*>),
        _ => quote!(rt::Rank4<#(#sizes),*>),
    }
}

/// `rt::Tensor<rt::Rank4<64, 64, 3, 3>, E, D>`.
pub(super) fn tensor(shape: &[u64]) -> TokenStream {
    let rank = rank(shape);
    quote!(rt::Tensor<#rank, E, D>)
}

/// `rt::BatchNorm<64, E, D>`.
pub(super) fn norm(kind: NormKind, channels: u64) -> TokenStream {
    let channels = size(channels);
    match kind {
        NormKind::Batch => quote!(rt::BatchNorm<#channels, E, D>),
        NormKind::Layer => quote!(rt::LayerNorm<#channels, E, D>),
    }
}

/// The typed activation of a shape: `rt::Map<B, 64, 32, 32, E, D, T>`.
pub(super) fn activation(shape: Shape) -> TokenStream {
    let sizes = shape.sizes().into_iter().map(size);
    match shape {
        Shape::Map { .. } => quote!(rt::Map<B, #(#sizes),*, E, D, T>),
        Shape::Flat(_) => quote!(rt::Flat<B, #(#sizes),*, E, D, T>),
    }
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
