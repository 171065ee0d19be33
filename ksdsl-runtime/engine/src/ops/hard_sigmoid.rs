//! A sigmoid of straight lines (Howard et al. 2019).

use super::pointwise::Pointwise;
use super::{Call, Clamp};
use crate::loops::{Expr, constant};

/// `min(max(x + 3, 0), 6) / 6`: PyTorch's `hardsigmoid`, whose derivative at -3 and 3 is 0.
#[derive(Clone, Copy, Debug)]
pub struct HardSigmoid;

/// Where it is no constant.
const SLOPED: Clamp = Clamp { min: -3.0, max: 3.0 };

impl Pointwise for HardSigmoid {
    const NAMES: &'static [&'static str] = &["hard_sigmoid"];

    fn of(_: &Call<'_>) -> Option<Self> {
        Some(Self)
    }

    fn value(&self) -> Expr {
        (SLOPED.value() + constant(3.0)) / constant(6.0)
    }

    fn derivative(&self) -> Expr {
        SLOPED.derivative() / constant(6.0)
    }
}
