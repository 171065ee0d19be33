//! Transposed convolution.

use super::apply::run;
use crate::act::Map;
use crate::backend::Backend;
use crate::param::{BiasArg, ParamArg};
use crate::scalar::Scalar;
use dfdx::shapes::{Dim, Rank4};
use dfdx::tensor::Tape;
use ksdsl_engine::ops::ConvTranspose;

/// A transposed convolution with the kernel `[C][O / groups][KH][KW]`, plus a bias: PyTorch's `conv_transpose2d`.
///
/// # Panics
/// If the output does not have the shape that is asked for, or the kernel does not fit.
#[allow(clippy::type_complexity)]
pub fn conv_transpose<
    B: Dim,
    const C: usize,
    const H: usize,
    const W: usize,
    const O: usize,
    const HO: usize,
    const WO: usize,
    const G: usize,
    const KH: usize,
    const KW: usize,
    E: Scalar,
    D: Backend<E>,
    T: Tape<E, D>,
>(
    operation: ConvTranspose,
    mut x: Map<B, C, H, W, E, D, T>,
    weight: impl ParamArg<Rank4<C, G, KH, KW>, E, D>,
    bias: impl BiasArg<O, E, D>,
) -> Result<Map<B, O, HO, WO, E, D, T>, D::Err> {
    assert!(
        operation.groups * G == O && [operation.kernel_height, operation.kernel_width] == [KH, KW],
        "the kernel has another shape"
    );
    let mut params = vec![weight.bind(x.context_mut())?];
    params.extend(bias.bind_bias(x.context_mut())?);
    run(operation, [x], params)
}
