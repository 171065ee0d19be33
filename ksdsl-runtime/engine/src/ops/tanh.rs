//! The hyperbolic tangent.

use super::Call;
use super::pointwise::Pointwise;
use crate::loops::{Expr, Unary, constant, operand};

/// `tanh(x)`, with the derivative `1 - tanh(x)^2`.
#[derive(Clone, Copy, Debug)]
pub struct Tanh;

impl Pointwise for Tanh {
    const NAMES: &'static [&'static str] = &["tanh"];

    fn of(_: &Call<'_>) -> Option<Self> {
        Some(Self)
    }

    fn value(&self) -> Expr {
        operand(0).map(Unary::Tanh)
    }

    fn derivative(&self) -> Expr {
        constant(1.0) - self.value() * self.value()
    }
}
