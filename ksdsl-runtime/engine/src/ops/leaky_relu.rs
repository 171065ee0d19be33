//! Leaky ReLU (Maas et al. 2013).

use super::Call;
use super::pointwise::Pointwise;
use crate::loops::{Expr, constant, operand};

/// `x` where it is positive, `slope * x` elsewhere: PyTorch's `leaky_relu`, whose derivative at 0 is the slope.
#[derive(Clone, Copy, Debug)]
pub struct LeakyRelu {
    /// The factor of values that are not positive.
    pub slope: f64,
}

impl Pointwise for LeakyRelu {
    const NAMES: &'static [&'static str] = &["leaky_relu"];

    fn of(call: &Call<'_>) -> Option<Self> {
        call.real("slope").map(|slope| Self { slope })
    }

    fn value(&self) -> Expr {
        operand(0).if_positive(operand(0), constant(self.slope) * operand(0))
    }

    fn derivative(&self) -> Expr {
        operand(0).if_positive(constant(1.0), constant(self.slope))
    }
}
