//! Functions of one value: a line for each, in Rust and in C.

use std::f32::consts::{FRAC_1_SQRT_2, PI};

/// A function with its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Its numbers; unused ones are 0.
    pub numbers: [f32; 2],
}

/// What is known of a function.
#[derive(Debug)]
pub struct Known {
    /// Its name.
    pub name: &'static str,
    /// How many numbers it has.
    pub numbers: usize,
    /// It, in Rust.
    pub run: fn(f32, [f32; 2]) -> f32,
    /// It, in C, of `v` with the numbers `a` and `b`.
    pub c: &'static str,
    /// Its values for inputs far below and far above 0.
    pub tails: [Tail; 2],
}

/// What a function is far from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Its last value.
    Constant,
    /// Its input.
    Identity,
    /// Something else, which a table does not continue.
    Other,
}

use Tail::{Constant, Identity, Other};

macro_rules! functions {
    ($($name:literal $numbers:literal $tails:expr, $run:expr, $c:literal;)+) => {
        /// All functions.
        pub const FUNCTIONS: &[Known] = &[$(Known { name: $name, numbers: $numbers, run: $run, c: $c, tails: $tails },)+];
    };
}

functions! {
    "relu" 0 [Constant, Identity], |v, _| if v > 0.0 { v } else { 0.0 }, "v > 0 ? v : 0";
    "relu6" 0 [Constant, Constant], |v, _| v.clamp(0.0, 6.0), "v < 0 ? 0 : v > 6 ? 6 : v";
    "clamp" 2 [Constant, Constant], |v, [a, b]| if v < a { a } else if v > b { b } else { v }, "v < a ? a : v > b ? b : v";
    "leaky_relu" 1 [Other, Identity], |v, [a, _]| if v > 0.0 { v } else { a * v }, "v > 0 ? v : a * v";
    "elu" 1 [Constant, Identity], |v, [a, _]| if v > 0.0 { v } else { a * v.exp_m1() }, "v > 0 ? v : a * expm1f(v)";
    "gelu" 0 [Constant, Identity], |v, _| 0.5 * v * (1.0 + erf(v * FRAC_1_SQRT_2)), "0.5f * v * (1 + erff(v * 0.70710678f))";
    "gelu_tanh" 0 [Constant, Identity], |v, _| 0.5 * v * (1.0 + gelu_inner(v).tanh()),
        "0.5f * v * (1 + tanhf(0.79788456f * (v + 0.044715f * v * v * v)))";
    "silu" 0 [Constant, Identity], |v, _| v / (1.0 + (-v).exp()), "v / (1 + expf(-v))";
    "sigmoid" 0 [Constant, Constant], |v, _| 1.0 / (1.0 + (-v).exp()), "1 / (1 + expf(-v))";
    "tanh" 0 [Constant, Constant], |v, _| v.tanh(), "tanhf(v)";
    "softplus" 0 [Constant, Identity], |v, _| softplus(v), "(v > 0 ? v : 0) + log1pf(expf(v > 0 ? -v : v))";
    "mish" 0 [Constant, Identity], |v, _| v * softplus(v).tanh(), "v * tanhf((v > 0 ? v : 0) + log1pf(expf(v > 0 ? -v : v)))";
    "selu" 0 [Constant, Other], |v, _| if v > 0.0 { 1.050_701 * v } else { 1.758_099_3 * v.exp_m1() },
        "v > 0 ? 1.050701f * v : 1.7580993f * expm1f(v)";
    "hard_sigmoid" 0 [Constant, Constant], |v, _| (v + 3.0).clamp(0.0, 6.0) / 6.0,
        "v < -3 ? 0 : v > 3 ? 1 : (v + 3) / 6";
    "hard_swish" 0 [Constant, Identity], |v, _| v * (v + 3.0).clamp(0.0, 6.0) / 6.0,
        "v < -3 ? 0 : v > 3 ? v : v * (v + 3) / 6";
    "exp" 0 [Constant, Other], |v, _| v.exp(), "expf(v)";
    "scale_and_shift" 2 [Other, Other], |v, [a, b]| a * v + b, "a * v + b";
}

impl Function {
    /// The function of this name without numbers.
    pub fn new(name: &'static str) -> Self {
        Self::with(name, [0.0; 2])
    }

    /// The function of this name with numbers.
    pub fn with(name: &'static str, numbers: [f32; 2]) -> Self {
        Function { name, numbers }
    }

    /// What is known of it.
    pub fn known(&self) -> &'static Known {
        let known = FUNCTIONS.iter().find(|known| known.name == self.name);
        known.unwrap_or(&FUNCTIONS[0])
    }

    /// Whether there is a function of this name.
    pub fn is_known(name: &str) -> bool {
        FUNCTIONS.iter().any(|known| known.name == name)
    }

    /// Its value.
    pub fn at(&self, v: f32) -> f32 {
        (self.known().run)(v, self.numbers)
    }
}

fn gelu_inner(v: f32) -> f32 {
    (2.0 / PI).sqrt() * (v + 0.044715 * v * v * v)
}

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

#[cfg(test)]
mod tests {
    use super::{Function, erf};

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

    #[test]
    fn every_activation_without_numbers_is_known() {
        assert_eq!(Function::with("clamp", [0.0, 6.0]).at(7.0), 6.0);
        let activations = crate::ops::layers().filter(|layer| layer.family == crate::ops::Family::Activation);
        for layer in activations.filter(|layer| layer.params.is_empty()) {
            assert!(Function::is_known(layer.name), "{}", layer.name);
        }
        assert!(Function::is_known("gelu") && !Function::is_known("nothing"));
    }
}
