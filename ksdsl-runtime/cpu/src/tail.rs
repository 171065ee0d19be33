//! Convolutions with the norms and activations around them, on the passes of `fused`.

use super::finish::Finish;
use super::fused::{self, Affine, Backward, Moments, Sums};
use super::{CpuBuf, CpuKernel, conv};
use crate::real::CpuReal;
use ksdsl_engine::exec::{ConvMoments, ConvTail, NormBackward};
use ksdsl_engine::size::{Activation, ConvSize, MapSize, RowSize, Tail};
use std::borrow::Cow;

fn rows(map: &MapSize) -> RowSize {
    RowSize {
        rows: map.rows(),
        channels: map.channels,
    }
}

/// Factor 1 and offset 0 for each channel.
fn identity<E: CpuReal>(channels: usize) -> (CpuBuf<E>, CpuBuf<E>) {
    let mut ones = CpuBuf::scratch(channels);
    ones.fill(E::one());
    (ones, CpuBuf::zeros(channels))
}

pub(super) fn conv_forward<E: CpuReal>(
    size: ConvSize,
    x: &CpuBuf<E>,
    kernel: &CpuKernel<E>,
    bias: Option<&CpuBuf<E>>,
    tail: ConvTail<'_, CpuBuf<E>>,
) -> CpuBuf<E> {
    let finish = finish(size.output.channels, tail);
    let finish = finish.as_ref().map(|finish| finish as &dyn Finish<E>);
    conv::forward(size, x, kernel, bias, finish)
}

/// What is done with the output of this many channels of a convolution with this tail.
pub(super) fn finish<'a, E: CpuReal>(channels: usize, tail: ConvTail<'a, CpuBuf<E>>) -> Option<Affine<'a, E>> {
    let ConvTail {
        before,
        affine,
        residual,
        after,
    } = tail;
    if before.is_none() && affine.is_none() && residual.is_none() && after.is_none() {
        return None;
    }
    let plain;
    let (factor, offset) = match affine {
        Some(affine) => affine,
        None => {
            plain = identity(channels);
            (&plain.0, &plain.1)
        }
    };
    let residual = residual.map(|residual| &residual[..]);
    Some(Affine::new(Tail { before, after }, factor, offset, residual))
}

pub(super) fn conv_moments<E: CpuReal>(
    size: ConvSize,
    x: &CpuBuf<E>,
    kernel: &CpuKernel<E>,
    bias: Option<&CpuBuf<E>>,
    before: Option<Activation>,
) -> ConvMoments<CpuBuf<E>> {
    let mut activated = before.map(|_| CpuBuf::scratch(size.output.len()));
    let moments = Moments::new(rows(&size.output), before, activated.as_deref_mut());
    let output = conv::forward(size, x, kernel, bias, Some(&moments));
    let (mean, variance) = moments.into_statistics();
    ConvMoments {
        output,
        activated,
        mean,
        variance,
    }
}

/// The gradient with respect to the input, plus `others`.
pub(super) fn conv_backward_data<E: CpuReal>(
    size: ConvSize,
    kernel: &CpuKernel<E>,
    dy: &CpuBuf<E>,
    others: Option<CpuBuf<E>>,
) -> CpuBuf<E> {
    let Some(others) = others else {
        return conv::backward_data(size, kernel, dy, None);
    };
    let (ones, zeros) = identity(size.input.channels);
    let add = Affine::new(Tail::default(), &ones, &zeros, Some(&others));
    conv::backward_data(size, kernel, dy, Some(&add as &dyn Finish<E>))
}

pub(super) fn apply<E: CpuReal>(
    size: RowSize,
    after: Option<Activation>,
    x: Cow<'_, CpuBuf<E>>,
    factor: &CpuBuf<E>,
    offset: &CpuBuf<E>,
    residual: Option<&CpuBuf<E>>,
) -> CpuBuf<E> {
    let residual = residual.map(|residual| &residual[..]);
    match x {
        Cow::Owned(mut y) => {
            fused::apply_in_place(size, &mut y, factor, offset, residual, after);
            y
        }
        Cow::Borrowed(x) => {
            let mut y = CpuBuf::scratch(x.len());
            fused::apply(size, x, factor, offset, residual, after, &mut y);
            y
        }
    }
}

pub(super) fn recall<E: CpuReal>(
    size: RowSize,
    tail: Tail,
    x: &CpuBuf<E>,
    factor: &CpuBuf<E>,
    offset: &CpuBuf<E>,
    residual: Option<&CpuBuf<E>>,
) -> CpuBuf<E> {
    let mut y = CpuBuf::scratch(x.len());
    fused::recall(
        size,
        tail,
        x,
        factor,
        offset,
        residual.map(|residual| &residual[..]),
        &mut y,
    );
    y
}

/// The backward pass of a norm, and its `average` and `slope` per channel; adds the gradients of scale and shift.
pub(super) fn coefficients<'a, E: CpuReal>(
    norm: &NormBackward<'a, CpuBuf<E>>,
    dy: &[E],
    dscale: &mut [E],
    dshift: &mut [E],
) -> (Backward<'a, E>, [CpuBuf<E>; 2]) {
    let backward = Backward {
        size: norm.size,
        tail: norm.tail,
        z: norm.input,
        mean: norm.mean,
        factor: norm.factor,
        offset: norm.offset,
        residual: None,
        y: norm.output.map(|y| &y[..]),
    };
    let sums = match norm.sums {
        Some(sums) => Sums::of(sums.map(|sums| &sums[..])),
        None => backward.reduce(dy),
    };
    let (average, slope) = sums.into_coefficients(norm.size.rows, norm.variance, norm.eps, dscale, dshift);
    (backward, [average, slope])
}

/// The gradients with respect to the input and, if wanted, to the residual.
pub(super) fn backward<E: CpuReal>(
    norm: NormBackward<'_, CpuBuf<E>>,
    mut dy: CpuBuf<E>,
    residual: bool,
    dscale: &mut CpuBuf<E>,
    dshift: &mut CpuBuf<E>,
) -> (CpuBuf<E>, Option<CpuBuf<E>>) {
    let (backward, [average, slope]) = coefficients(&norm, &dy, dscale, dshift);
    if !residual {
        backward.gradient(&average, &slope, &mut dy, None);
        return (dy, None);
    }
    let mut dz = CpuBuf::scratch(dy.len());
    backward.gradient(&average, &slope, &mut dy, Some(&mut dz));
    (dz, Some(dy))
}
