//! The algorithm of a convolution as a type, for [`Conv`](super::Conv): what `algorithm = ...` says
//! in a specification. The compiler refuses a choice that the sizes do not allow.
//!
//! ```compile_fail,E0080
//! use ksdsl_runtime::generated::*;
//! use ksdsl_runtime::prelude::*;
//!
//! let device = Cpu::default();
//! let weight: Tensor<Rank4<2, 3, 5, 5>, f32, _> = device.sample_normal();
//! let x: Tensor<Rank4<1, 3, 8, 8>, f32, _> = device.sample_normal();
//! // A 5x5 kernel.
//! let y: Map<Const<1>, 2, 4, 4, _, _> =
//!     op::Conv::<Stride<1, 1>, Pad<0, 0, 0, 0>, Dilation<1, 1>, 1, op::algorithm::Winograd>::apply(
//!         Act::read(x).unwrap(),
//!         &weight,
//!         NoBias,
//!     )
//!     .unwrap();
//! ```

use ksdsl_engine::size::Algorithm;

/// How a convolution is computed.
pub trait AlgorithmArg {
    /// The same as a value.
    const ALGORITHM: Algorithm;
}

macro_rules! algorithms {
    ($($(#[doc = $doc:literal])+ $name:ident)+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name;

        impl AlgorithmArg for $name {
            const ALGORITHM: Algorithm = Algorithm::$name;
        }
    )+};
}

algorithms! {
    /// [`Algorithm::Auto`].
    Auto
    /// [`Algorithm::Direct`].
    Direct
    /// [`Algorithm::Winograd`].
    Winograd
    /// [`Algorithm::ToomCook`].
    ToomCook
}
