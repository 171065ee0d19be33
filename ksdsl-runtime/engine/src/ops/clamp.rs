//! Clamping to an interval.

use super::Call;
use super::pointwise::Pointwise;
use crate::loops::{Expr, constant, operand};

/// `min(max(x, min), max)`: PyTorch's `hardtanh`, whose derivative at both ends is 0. NaN stays NaN.
#[derive(Clone, Copy, Debug)]
pub struct Clamp {
    /// The least value.
    pub min: f64,
    /// The greatest value.
    pub max: f64,
}

impl Clamp {
    /// `inside` between the ends, otherwise one of the others.
    fn where_inside(&self, below: Expr, inside: Expr, above: Expr) -> Expr {
        let rest = (operand(0) - constant(self.max)).if_positive(above, inside);
        (constant(self.min) - operand(0)).if_positive(below, rest)
    }
}

impl Pointwise for Clamp {
    const NAMES: &'static [&'static str] = &["clamp"];

    fn of(call: &Call<'_>) -> Option<Self> {
        let (min, max) = (call.real("min")?, call.real("max")?);
        (min <= max).then_some(Self { min, max })
    }

    fn value(&self) -> Expr {
        self.where_inside(constant(self.min), operand(0), constant(self.max))
    }

    fn derivative(&self) -> Expr {
        let below_max = (constant(self.max) - operand(0)).if_positive(constant(1.0), constant(0.0));
        (operand(0) - constant(self.min)).if_positive(below_max, constant(0.0))
    }
}
