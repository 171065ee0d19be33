//! The exponential function.

use super::Call;
use super::pointwise::Pointwise;
use crate::loops::{Expr, Unary, operand};

/// `e^x`.
#[derive(Clone, Copy, Debug)]
pub struct Exp;

impl Pointwise for Exp {
    const NAMES: &'static [&'static str] = &["exp"];

    fn of(_: &Call<'_>) -> Option<Self> {
        Some(Self)
    }

    fn value(&self) -> Expr {
        operand(0).map(Unary::Exp)
    }

    fn derivative(&self) -> Expr {
        self.value()
    }
}
