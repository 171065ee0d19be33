//! 2-d convolution.

use super::window::{DilationArg, PadArg, StrideArg, output_size};
use crate::act::{Act, ActShape, Map};
use crate::backend::Backend;
use crate::param::{BiasArg, WeightArg};
use crate::scalar::Scalar;
use dfdx::shapes::{Const, Dim, Rank4};
use dfdx::tensor::Tape;
use ksdsl_engine::ops;
use ksdsl_engine::size::{Algorithm, ConvSize, Window};
use std::marker::PhantomData;

/// A 2-d convolution with stride `S`, padding `P`, dilation `L` (see [`Stride`](super::Stride),
/// [`Pad`](super::Pad), [`Dilation`](super::Dilation)) and `GROUPS` groups: PyTorch's `conv2d`.
pub struct Conv<S, P, L, const GROUPS: usize>(PhantomData<(S, P, L)>);

impl<S: StrideArg, P: PadArg, L: DilationArg, const GROUPS: usize> Conv<S, P, L, GROUPS> {
    /// Convolves `x` (`I` channels) with `weight`, `[O][I / GROUPS][KH][KW]`, and adds `bias`.
    #[allow(clippy::type_complexity)]
    pub fn apply<
        B: Dim,
        const I: usize,
        const H: usize,
        const W: usize,
        const O: usize,
        const IG: usize,
        const KH: usize,
        const KW: usize,
        const HO: usize,
        const WO: usize,
        E: Scalar,
        D: Backend<E>,
        T: Tape<E, D>,
    >(
        x: Map<B, I, H, W, E, D, T>,
        weight: impl WeightArg<Rank4<O, IG, KH, KW>, E, D>,
        bias: impl BiasArg<O, E, D>,
    ) -> Result<Map<B, O, HO, WO, E, D, T>, D::Err> {
        const {
            assert!(
                I == IG * GROUPS,
                "input channels must be the kernel's input channels times the groups"
            );
            assert!(
                GROUPS > 0 && O.is_multiple_of(GROUPS),
                "the groups must divide the output channels"
            );
            check_output::<S, P, L>([H, W], [KH, KW], [HO, WO]);
        }
        let shape = (x.shape.0, Const, Const, Const);
        let size = ConvSize {
            input: x.shape.map_size(),
            output: shape.map_size(),
            window: Window {
                kernel: [KH, KW],
                stride: S::STRIDE,
                pad: P::BEFORE,
                dilation: L::DILATION,
            },
            groups: GROUPS,
            algorithm: Algorithm::Auto,
            unit: None,
        };
        let bind = |context: &mut _| Ok((weight.bind_weight(context)?, bias.bind_bias(context)?));
        let untyped = ops::conv(size, x.untyped, bind, D::failed)?;
        Ok(Act {
            shape,
            device: x.device,
            untyped,
        })
    }
}

/// Checks a convolution's output size at compile time.
const fn check_output<S: StrideArg, P: PadArg, L: DilationArg>(
    input: [usize; 2],
    kernel: [usize; 2],
    output: [usize; 2],
) {
    let mut axis = 0;
    while axis < 2 {
        let pad = P::BEFORE[axis] + P::AFTER[axis];
        let (stride, dilation) = (S::STRIDE[axis], L::DILATION[axis]);
        assert!(
            output[axis] == output_size(input[axis], pad, kernel[axis], stride, dilation),
            "the convolution's output size does not follow from its input"
        );
        axis += 1;
    }
}
