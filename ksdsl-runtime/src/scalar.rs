//! The element types models are made of.

use dfdx::dtypes::{Dtype, NotMixedPrecision};
use ksdsl_engine::Real;
use rand_distr::uniform::SampleUniform;

/// A floating-point element type: `f32` to train and run with, `f64` to check gradients with.
pub trait Scalar: Real + Dtype + NotMixedPrecision + SampleUniform {}

impl Scalar for f32 {}
impl Scalar for f64 {}
