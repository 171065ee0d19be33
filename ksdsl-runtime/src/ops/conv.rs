//! 2-d convolution.

use super::algorithm::{AlgorithmArg, Auto};
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
/// [`Pad`](super::Pad), [`Dilation`](super::Dilation)) and `GROUPS` groups: PyTorch's `conv2d`. `A`
/// says how it is computed, see [`algorithm`](super::algorithm).
pub struct Conv<S, P, L, const GROUPS: usize, A = Auto>(PhantomData<(S, P, L, A)>);

impl<S: StrideArg, P: PadArg, L: DilationArg, const GROUPS: usize, A: AlgorithmArg> Conv<S, P, L, GROUPS, A> {
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
            check_algorithm::<S, P, L>(A::ALGORITHM, [KH, KW], [GROUPS, I, O]);
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
            algorithm: A::ALGORITHM,
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

/// Checks at compile time that a convolution can be computed in the way that was chosen for it.
const fn check_algorithm<S: StrideArg, P: PadArg, L: DilationArg>(
    algorithm: Algorithm,
    kernel: [usize; 2],
    [groups, inputs, outputs]: [usize; 3],
) {
    let unit = S::STRIDE[0] == 1 && S::STRIDE[1] == 1;
    match algorithm {
        Algorithm::Auto | Algorithm::Training | Algorithm::Direct => {}
        Algorithm::Winograd => {
            let three = kernel[0] == 3 && kernel[1] == 3;
            let close = L::DILATION[0] == 1 && L::DILATION[1] == 1;
            let pad = P::BEFORE[0] <= 2 && P::BEFORE[1] <= 2 && P::AFTER[0] <= 2 && P::AFTER[1] <= 2;
            assert!(
                groups == 1 && three && unit && close && pad,
                "Winograd's algorithm takes dense 3x3 kernels of stride and dilation 1, with padding of at most 2"
            );
        }
        Algorithm::ToomCook => assert!(
            groups == inputs && groups == outputs && unit && L::DILATION[1] == 1,
            "Toom-Cook's algorithm takes depthwise kernels of stride 1 without dilation along the rows"
        ),
    }
}
