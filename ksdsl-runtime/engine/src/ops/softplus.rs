//! Softplus.

use super::Call;
use super::pointwise::Pointwise;
use crate::loops::{Expr, Unary, constant, operand};

/// `ln(1 + e^x)`, with the derivative `1 / (1 + e^-x)`: PyTorch's `softplus`, which is `x` itself above 20, where both
/// are the same in `f32`.
#[derive(Clone, Copy, Debug)]
pub struct Softplus;

impl Pointwise for Softplus {
    const NAMES: &'static [&'static str] = &["softplus"];

    fn of(_: &Call<'_>) -> Option<Self> {
        Some(Self)
    }

    fn value(&self) -> Expr {
        let logarithm = operand(0).map(Unary::Exp).map(Unary::Ln1P);
        (operand(0) - constant(20.0)).if_positive(operand(0), logarithm)
    }

    fn derivative(&self) -> Expr {
        let sigmoid = constant(1.0) / (constant(1.0) + (constant(0.0) - operand(0)).map(Unary::Exp));
        (operand(0) - constant(20.0)).if_positive(constant(1.0), sigmoid)
    }
}
