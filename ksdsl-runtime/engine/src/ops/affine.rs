//! Multiplication by a constant, and addition of one.

use super::Call;
use super::pointwise::Pointwise;
use crate::loops::{Expr, constant, operand};

/// `factor * x + offset`.
#[derive(Clone, Copy, Debug)]
pub struct Affine {
    /// What each element is multiplied by.
    pub factor: f64,
    /// What is added to it.
    pub offset: f64,
}

impl Pointwise for Affine {
    const NAMES: &'static [&'static str] = &["affine"];

    fn of(call: &Call<'_>) -> Option<Self> {
        let (factor, offset) = (call.real("factor")?, call.real("offset")?);
        Some(Self { factor, offset })
    }

    fn value(&self) -> Expr {
        constant(self.factor) * operand(0) + constant(self.offset)
    }

    fn derivative(&self) -> Expr {
        constant(self.factor)
    }
}
