//! ELU (Clevert et al. 2016).

use super::Call;
use super::pointwise::Pointwise;
use crate::loops::{Expr, Unary, constant, operand};

/// `x` where it is positive, `alpha * (e^x - 1)` elsewhere: PyTorch's `elu`.
#[derive(Clone, Copy, Debug)]
pub struct Elu {
    /// The limit of very negative values is its negative.
    pub alpha: f64,
}

impl Pointwise for Elu {
    const NAMES: &'static [&'static str] = &["elu"];

    fn of(call: &Call<'_>) -> Option<Self> {
        call.real("alpha").map(|alpha| Self { alpha })
    }

    fn value(&self) -> Expr {
        let below = constant(self.alpha) * operand(0).map(Unary::ExpM1);
        operand(0).if_positive(operand(0), below)
    }

    fn derivative(&self) -> Expr {
        let below = constant(self.alpha) * operand(0).map(Unary::Exp);
        operand(0).if_positive(constant(1.0), below)
    }
}
