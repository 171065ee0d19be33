//! SELU (Klambauer et al. 2017).

use super::Call;
use super::pointwise::Pointwise;
use crate::loops::{Expr, Unary, constant, operand};

/// `SCALE * x` where it is positive, `SCALE * ALPHA * (e^x - 1)` elsewhere: PyTorch's `selu`.
#[derive(Clone, Copy, Debug)]
pub struct Selu;

/// α and λ of Klambauer et al. 2017, equation 14: mean 0 and variance 1 are a fixed point.
const ALPHA: f64 = 1.673_263_242_354_377_2;
const SCALE: f64 = 1.050_700_987_355_480_5;

impl Pointwise for Selu {
    const NAMES: &'static [&'static str] = &["selu"];

    fn of(_: &Call<'_>) -> Option<Self> {
        Some(Self)
    }

    fn value(&self) -> Expr {
        let below = constant(SCALE * ALPHA) * operand(0).map(Unary::ExpM1);
        operand(0).if_positive(constant(SCALE) * operand(0), below)
    }

    fn derivative(&self) -> Expr {
        let below = constant(SCALE * ALPHA) * operand(0).map(Unary::Exp);
        operand(0).if_positive(constant(SCALE), below)
    }
}
