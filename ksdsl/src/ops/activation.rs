//! Activation functions without parameters: a line for each.

use super::prelude::*;
use crate::steps::Function;
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
    /// What writes it as ONNX.
    onnx: fn(&mut Onnx<'_>) -> String,
}

macro_rules! activations {
    ($($name:literal $doc:literal $function:literal $args:tt $composed:expr, $onnx:expr;)+) => {
        /// The names of these functions.
        pub(super) const NAMES: &[&str] = &[$($name,)+];

        pub(super) const LAYERS: &[LayerDef] = &[$(LayerDef {
            name: $name,
            doc: $doc,
            params: &[],
            family: Family::Activation,
            resolve: Resolve::One(|_, _| {
                Ok(Some(Op::new(Activation {
                    name: $name, function: $function, args: &$args, composed: $composed, onnx: $onnx,
                })))
            }),
        },)+];
    };
}

activations! {
    "relu" "max(x, 0)" "F.relu" [] None, |to| plain("Relu", to);
    "gelu" "x times the standard normal CDF of x (Hendrycks & Gimpel 2016)" "F.gelu" [] None, gelu;
    "gelu_tanh" "tanh approximation of GELU" "F.gelu" ["approximate=\"tanh\""] None, gelu_tanh;
    "silu" "x sigmoid(x)" "F.silu" [] None, |to| gated("Sigmoid", to);
    "sigmoid" "1 / (1 + exp(-x))" "torch.sigmoid" [] None, |to| plain("Sigmoid", to);
    "tanh" "the hyperbolic tangent" "torch.tanh" [] Some("Tanh"), |to| plain("Tanh", to);
    "softplus" "log(1 + exp(x))" "F.softplus" [] Some("Softplus"), |to| plain("Softplus", to);
    "mish" "x tanh(log(1 + exp(x))) (Misra 2019)" "F.mish" [] Some("Mish"), mish;
    "selu" "1.0507 x, and 1.7581 (exp(x) - 1) below 0 (Klambauer et al. 2017)" "F.selu" [] Some("Selu"), |to| plain("Selu", to);
    "hard_sigmoid" "min(max(x + 3, 0), 6) / 6 (Howard et al. 2019)" "F.hardsigmoid" [] Some("HardSigmoid"), hard_sigmoid;
    "exp" "the exponential function" "torch.exp" [] Some("Exp"), |to| plain("Exp", to);
    "hard_swish" "x min(max(x + 3, 0), 6) / 6 (Howard et al. 2019)" "F.hardswish" [] None, |to| plain("HardSwish", to);
    "relu6" "min(max(x, 0), 6) (Sandler et al. 2018)" "F.relu6" [] None, relu6;
}

/// A node of its own.
fn plain(op: &'static str, to: &mut Onnx<'_>) -> String {
    let x = to.x();
    to.apply(op, &[&x])
}

/// x times a function of it.
fn gated(op: &'static str, to: &mut Onnx<'_>) -> String {
    let (x, y) = (to.x(), plain(op, to));
    to.apply("Mul", &[&x, &y])
}

/// x (1 + erf(x / sqrt(2))) / 2, which ONNX has as one operator since opset 20.
fn gelu(to: &mut Onnx<'_>) -> String {
    let (x, root) = (to.x(), to.real(std::f64::consts::SQRT_2));
    let y = to.apply("Div", &[&x, &root]);
    let y = to.apply("Erf", &[&y]);
    half_of_one_more(&y, to)
}

/// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.
fn gelu_tanh(to: &mut Onnx<'_>) -> String {
    let (x, three, small) = (to.x(), to.real(3.0), to.real(0.044715));
    let cube = to.apply("Pow", &[&x, &three]);
    let cube = to.apply("Mul", &[&cube, &small]);
    let sum = to.apply("Add", &[&x, &cube]);
    let root = to.real((2.0 / std::f64::consts::PI).sqrt());
    let y = to.apply("Mul", &[&sum, &root]);
    let y = to.apply("Tanh", &[&y]);
    half_of_one_more(&y, to)
}

/// x (1 + y) / 2.
fn half_of_one_more(y: &str, to: &mut Onnx<'_>) -> String {
    let (x, one, half) = (to.x(), to.real(1.0), to.real(0.5));
    let y = to.apply("Add", &[y, &one]);
    let y = to.apply("Mul", &[&x, &y]);
    to.apply("Mul", &[&y, &half])
}

/// Mish is an operator since opset 18.
fn mish(to: &mut Onnx<'_>) -> String {
    let (x, y) = (to.x(), plain("Softplus", to));
    let y = to.apply("Tanh", &[&y]);
    to.apply("Mul", &[&x, &y])
}

fn hard_sigmoid(to: &mut Onnx<'_>) -> String {
    let x = to.x();
    to.node(
        "HardSigmoid",
        &[&x],
        vec![onnx::real("alpha", Real(1.0 / 6.0)), onnx::real("beta", Real(0.5))],
    )
}

fn relu6(to: &mut Onnx<'_>) -> String {
    let (x, zero, six) = (to.x(), to.real(0.0), to.real(6.0));
    to.apply("Clip", &[&x, &zero, &six])
}

impl Operation for Activation {
    fn call(&self) -> Call {
        Call::new(self.name)
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let name = format_ident!("{}", self.composed.unwrap_or(self.name));
        match self.composed {
            Some(_) => to.composed(quote!(rt::op::#name), &[]),
            None => to.call(quote!(rt::op::#name(x))),
        }
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        (self.onnx)(to)
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        match Function::is_known(self.name) {
            true => Ok(to.function(Function::new(self.name))),
            false => Err(Unsupported::all()),
        }
    }

    fn python(&self, to: &mut Python) {
        to.call(self.function, self.args.iter().map(|arg| (*arg).to_owned()).collect());
    }
}
