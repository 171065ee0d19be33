//! Activation functions without parameters: a line for each.

use super::prelude::*;
use quote::{format_ident, quote};

/// An activation function without parameters.
#[derive(Clone, Copy, Debug)]
pub struct Activation {
    /// Its name.
    name: &'static str,
    /// PyTorch's function.
    function: &'static str,
    /// The arguments of that.
    args: &'static [&'static str],
}

macro_rules! activations {
    ($($name:literal $doc:literal $function:literal $args:tt,)+) => {
        pub(super) const LAYERS: &[LayerDef] = &[$(LayerDef {
            name: $name,
            doc: $doc,
            params: &[],
            family: Family::Activation,
            resolve: Resolve::One(|_, _| {
                Ok(Some(Op::new(Activation { name: $name, function: $function, args: &$args })))
            }),
        },)+];
    };
}

activations! {
    "relu" "max(x, 0)" "F.relu" [],
    "gelu" "x times the standard normal CDF of x (Hendrycks & Gimpel 2016)" "F.gelu" [],
    "gelu_tanh" "tanh approximation of GELU" "F.gelu" ["approximate=\"tanh\""],
    "silu" "x sigmoid(x)" "F.silu" [],
    "sigmoid" "1 / (1 + exp(-x))" "torch.sigmoid" [],
    "tanh" "the hyperbolic tangent" "torch.tanh" [],
    "softplus" "log(1 + exp(x))" "F.softplus" [],
    "hard_swish" "x min(max(x + 3, 0), 6) / 6 (Howard et al. 2019)" "F.hardswish" [],
}

impl Operation for Activation {
    fn call(&self) -> Call {
        Call::new(self.name)
    }

    fn rust(&self, to: &mut Rust) {
        let function = format_ident!("{}", self.name);
        to.call(quote!(rt::op::#function(x)));
    }

    fn python(&self, to: &mut Python) {
        to.call(self.function, self.args.iter().map(|arg| (*arg).to_owned()).collect());
    }
}
