//! Mish (Misra 2019).

use super::pointwise::Pointwise;
use super::{Call, Softplus};
use crate::loops::{Expr, Unary, constant, operand};

/// `x tanh(ln(1 + e^x))`: PyTorch's `mish`.
#[derive(Clone, Copy, Debug)]
pub struct Mish;

/// `value` where that is not 0 but for rounding: e^-1000 is 0, and minus infinity times 0 would be NaN.
fn above_the_least(value: Expr) -> Expr {
    (constant(-1e3) - operand(0)).if_positive(constant(0.0), value)
}

/// `tanh(ln(1 + e^x))`.
fn factor() -> Expr {
    Softplus.value().map(Unary::Tanh)
}

impl Pointwise for Mish {
    const NAMES: &'static [&'static str] = &["mish"];

    fn of(_: &Call<'_>) -> Option<Self> {
        Some(Self)
    }

    fn value(&self) -> Expr {
        above_the_least(operand(0) * factor())
    }

    fn derivative(&self) -> Expr {
        // With t = tanh(softplus(x)): t + x (1 - t^2) softplus'(x).
        let curved = operand(0) * (constant(1.0) - factor() * factor()) * Softplus.derivative();
        let far = (operand(0) - constant(1e3)).if_positive(constant(1.0), factor() + curved);
        above_the_least(far)
    }
}
