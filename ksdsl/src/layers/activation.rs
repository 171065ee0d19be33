//! Activation functions.

use super::{LayerDef, Resolve};
use crate::ir::{Activation, Op};

macro_rules! activations {
    ($($constant:ident $name:literal $variant:ident $doc:literal,)+) => {
        $(pub(super) const $constant: LayerDef = LayerDef {
            name: $name,
            doc: $doc,
            params: &[],
            resolve: Resolve::One(|_, _| Ok(Op::Activation(Activation::$variant))),
        };)+
    };
}

activations! {
    RELU "relu" Relu "max(x, 0)",
    GELU "gelu" Gelu "x times the standard normal CDF of x (Hendrycks & Gimpel 2016)",
    GELU_TANH "gelu_tanh" GeluTanh "tanh approximation of GELU",
    SILU "silu" Silu "x sigmoid(x)",
    SIGMOID "sigmoid" Sigmoid "1 / (1 + exp(-x))",
    HARD_SWISH "hard_swish" HardSwish "x min(max(x + 3, 0), 6) / 6 (Howard et al. 2019)",
}
