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
    /// The engine's operation, if it is made of loops.
    composed: Option<&'static str>,
}

macro_rules! activations {
    ($($name:literal $doc:literal $function:literal $args:tt $composed:expr,)+) => {
        /// The names of these functions.
        pub(super) const NAMES: &[&str] = &[$($name,)+];

        pub(super) const LAYERS: &[LayerDef] = &[$(LayerDef {
            name: $name,
            doc: $doc,
            params: &[],
            family: Family::Activation,
            resolve: Resolve::One(|_, _| {
                Ok(Some(Op::new(Activation { name: $name, function: $function, args: &$args, composed: $composed })))
            }),
        },)+];
    };
}

activations! {
    "relu" "max(x, 0)" "F.relu" [] None,
    "gelu" "x times the standard normal CDF of x (Hendrycks & Gimpel 2016)" "F.gelu" [] None,
    "gelu_tanh" "tanh approximation of GELU" "F.gelu" ["approximate=\"tanh\""] None,
    "silu" "x sigmoid(x)" "F.silu" [] None,
    "sigmoid" "1 / (1 + exp(-x))" "torch.sigmoid" [] None,
    "tanh" "the hyperbolic tangent" "torch.tanh" [] Some("Tanh"),
    "softplus" "log(1 + exp(x))" "F.softplus" [] Some("Softplus"),
    "mish" "x tanh(log(1 + exp(x))) (Misra 2019)" "F.mish" [] Some("Mish"),
    "selu" "1.0507 x, and 1.7581 (exp(x) - 1) below 0 (Klambauer et al. 2017)" "F.selu" [] Some("Selu"),
    "hard_sigmoid" "min(max(x + 3, 0), 6) / 6 (Howard et al. 2019)" "F.hardsigmoid" [] Some("HardSigmoid"),
    "exp" "the exponential function" "torch.exp" [] Some("Exp"),
    "hard_swish" "x min(max(x + 3, 0), 6) / 6 (Howard et al. 2019)" "F.hardswish" [] None,
}

impl Operation for Activation {
    fn call(&self) -> Call {
        Call::new(self.name)
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn rust(&self, to: &mut Rust) {
        let name = format_ident!("{}", self.composed.unwrap_or(self.name));
        match self.composed {
            Some(_) => to.composed(quote!(rt::op::#name), &[]),
            None => to.call(quote!(rt::op::#name(x))),
        }
    }

    fn python(&self, to: &mut Python) {
        to.call(self.function, self.args.iter().map(|arg| (*arg).to_owned()).collect());
    }
}
