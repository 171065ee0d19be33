//! The element types.

use num_traits::{Float, NumAssignOps};
use std::fmt::{Debug, Display};

/// A floating-point element type: `f32` to train and run with, `f64` to check gradients with.
pub trait Real: Float + NumAssignOps + Default + Debug + Display + std::iter::Sum + Send + Sync + 'static {
    /// The error function, exact to rounding.
    fn erf(self) -> Self;
    /// Rounds a constant to this type.
    fn of(value: f64) -> Self;
    /// Widens to `f64`, exactly.
    fn wide(self) -> f64;
}

macro_rules! real {
    ($float:ty, $erf:path) => {
        impl Real for $float {
            fn erf(self) -> Self {
                $erf(self)
            }
            #[inline(always)]
            fn of(value: f64) -> Self {
                value as $float
            }
            #[inline(always)]
            fn wide(self) -> f64 {
                f64::from(self)
            }
        }
    };
}

real!(f32, libm::erff);
real!(f64, libm::erf);
