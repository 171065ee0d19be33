//! Activation functions without parameters: a line for each.

use super::prelude::*;
use crate::steps::{Function, Known, Tail};
use quote::{format_ident, quote};
use std::f32::consts::{FRAC_1_SQRT_2, PI};

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

macro_rules! functions {
    ($($name:literal [$below:ident, $above:ident] $limits:expr, $run:expr, $c:literal;)+) => {
        /// What export to C and quantisation know of them: the functions, in Rust and in C.
        const FUNCTIONS: &[Known] = &[$(Known {
            name: $name,
            numbers: 0,
            tails: [Tail::$below, Tail::$above],
            limits: $limits,
            run: $run,
            c: $c,
        },)+];
    };
}

functions! {
    "relu" [Constant, Identity] Some(|_| [0.0, f64::INFINITY]), |v, _| if v > 0.0 { v } else { 0.0 }, "v > 0 ? v : 0";
    "relu6" [Constant, Constant] Some(|_| [0.0, 6.0]), |v, _| v.clamp(0.0, 6.0), "v < 0 ? 0 : v > 6 ? 6 : v";
    "gelu" [Constant, Identity] None, |v, _| 0.5 * v * (1.0 + erf(v * FRAC_1_SQRT_2)), "0.5f * v * (1 + erff(v * 0.70710678f))";
    "gelu_tanh" [Constant, Identity] None, |v, _| 0.5 * v * (1.0 + gelu_inner(v).tanh()), "0.5f * v * (1 + tanhf(0.79788456f * (v + 0.044715f * v * v * v)))";
    "silu" [Constant, Identity] None, |v, _| v / (1.0 + (-v).exp()), "v / (1 + expf(-v))";
    "sigmoid" [Constant, Constant] None, |v, _| 1.0 / (1.0 + (-v).exp()), "1 / (1 + expf(-v))";
    "tanh" [Constant, Constant] None, |v, _| v.tanh(), "tanhf(v)";
    "softplus" [Constant, Identity] None, |v, _| softplus(v), "(v > 0 ? v : 0) + log1pf(expf(v > 0 ? -v : v))";
    "mish" [Constant, Identity] None, |v, _| v * softplus(v).tanh(), "v * tanhf((v > 0 ? v : 0) + log1pf(expf(v > 0 ? -v : v)))";
    "selu" [Constant, Other] None, |v, _| if v > 0.0 { 1.050_701 * v } else { 1.758_099_3 * v.exp_m1() }, "v > 0 ? 1.050701f * v : 1.7580993f * expm1f(v)";
    "hard_sigmoid" [Constant, Constant] None, |v, _| (v + 3.0).clamp(0.0, 6.0) / 6.0, "v < -3 ? 0 : v > 3 ? 1 : (v + 3) / 6";
    "hard_swish" [Constant, Identity] None, |v, _| v * (v + 3.0).clamp(0.0, 6.0) / 6.0, "v < -3 ? 0 : v > 3 ? v : v * (v + 3) / 6";
    "exp" [Constant, Other] None, |v, _| v.exp(), "expf(v)";
}

/// What GELU's tanh form takes the tanh of (Hendrycks & Gimpel 2016).
fn gelu_inner(v: f32) -> f32 {
    (2.0 / PI).sqrt() * (v + 0.044715 * v * v * v)
}

/// log(1 + exp(v)).
fn softplus(v: f32) -> f32 {
    v.max(0.0) + (-v.abs()).exp().ln_1p()
}

/// The error function: its series near 0, and beyond it the continued fraction of its complement (Abramowitz & Stegun
/// 7.1.6 and 7.1.14).
fn erf(v: f32) -> f32 {
    let x = f64::from(v.abs());
    let value = if x < 2.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..60 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
        }
        sum * (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI
    } else if x < 6.0 {
        let fraction = (1..60).rev().fold(x, |below, n| x + f64::from(n) / 2.0 / below);
        1.0 - (-x * x).exp() / fraction / std::f64::consts::PI.sqrt()
    } else {
        1.0
    };
    if v < 0.0 { -value as f32 } else { value as f32 }
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
        let known = FUNCTIONS.iter().find(|known| known.name == self.name);
        match known {
            Some(known) => Ok(to.function(Function::new(known, [0.0; 2]))),
            None => Err(Unsupported::all()),
        }
    }

    fn python(&self, to: &mut Python) {
        to.call(self.function, self.args.iter().map(|arg| (*arg).to_owned()).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::erf;

    /// `torch.special.erf(torch.tensor([...], dtype=torch.float64))`.
    #[test]
    fn the_error_function_is_that_of_pytorch() {
        for (x, value) in [
            (0.0, 0.0),
            (0.1, 0.112_462_916_018_284_9),
            (-0.7, -0.677_801_193_837_418_5),
            (1.5, 0.966_105_146_475_310_7),
            (2.49, 0.999_570_712_132_266_1),
            (2.51, 0.999_614_294_518_275_9),
            (4.0, 0.999_999_984_582_742_1),
            (7.0, 1.0),
        ] {
            assert!((f64::from(erf(x as f32)) - value).abs() < 1e-7, "{x}");
        }
    }
}
