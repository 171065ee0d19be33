//! The norms and activations around convolutions.

use super::{CpuBuf, CpuKernel, activation, conv, elementwise, norm};
use crate::backend::{ConvMoments, ConvTail, NormBackward, NormTail};
use crate::geometry::{Activation, ConvSize, RowSize};
use crate::scalar::Scalar;
use std::borrow::Cow;

fn rows(size: &ConvSize) -> RowSize {
    RowSize {
        rows: size.output.rows(),
        channels: size.output.channels,
    }
}

pub(super) fn conv_forward<E: Scalar>(
    size: ConvSize,
    x: &CpuBuf<E>,
    kernel: &CpuKernel<E>,
    bias: Option<&CpuBuf<E>>,
    tail: ConvTail<'_, CpuBuf<E>>,
) -> CpuBuf<E> {
    let mut y = conv::conv_forward(size, x, kernel.plain(), bias);
    if let Some(kind) = tail.before {
        y = activation::activation_forward(kind, y);
    }
    if let Some((factor, offset)) = tail.affine {
        y = apply(rows(&size), None, Cow::Owned(y), factor, offset, None);
    }
    if let Some(residual) = tail.residual {
        y = elementwise::add(y, residual);
    }
    match tail.after {
        Some(kind) => activation::activation_forward(kind, y),
        None => y,
    }
}

pub(super) fn conv_moments<E: Scalar>(
    size: ConvSize,
    x: &CpuBuf<E>,
    kernel: &CpuKernel<E>,
    bias: Option<&CpuBuf<E>>,
    before: Option<Activation>,
) -> ConvMoments<CpuBuf<E>> {
    let output = conv::conv_forward(size, x, kernel.plain(), bias);
    let activated = before.map(|kind| activation::activation_forward(kind, output.clone()));
    let (mean, variance) = norm::statistics(rows(&size), activated.as_ref().unwrap_or(&output));
    ConvMoments {
        output,
        activated,
        mean,
        variance,
    }
}

pub(super) fn coefficients<E: Scalar>(
    mean: &CpuBuf<E>,
    variance: &CpuBuf<E>,
    scale: &CpuBuf<E>,
    shift: &CpuBuf<E>,
    eps: f64,
) -> (CpuBuf<E>, CpuBuf<E>) {
    let (mut factors, mut offsets) = (CpuBuf::scratch(mean.len()), CpuBuf::scratch(mean.len()));
    for channel in 0..mean.len() {
        let factor = scale[channel].wide() / (variance[channel].wide() + eps).sqrt();
        factors[channel] = E::of(factor);
        offsets[channel] = E::of(shift[channel].wide() - mean[channel].wide() * factor);
    }
    (factors, offsets)
}

pub(super) fn apply<E: Scalar>(
    size: RowSize,
    after: Option<Activation>,
    x: Cow<'_, CpuBuf<E>>,
    factor: &CpuBuf<E>,
    offset: &CpuBuf<E>,
    residual: Option<&CpuBuf<E>>,
) -> CpuBuf<E> {
    let mut y = x.into_owned();
    for row in y.chunks_exact_mut(size.channels) {
        for ((y, &factor), &offset) in row.iter_mut().zip(&factor[..]).zip(&offset[..]) {
            *y = *y * factor + offset;
        }
    }
    if let Some(residual) = residual {
        y = elementwise::add(y, residual);
    }
    match after {
        Some(kind) => activation::activation_forward(kind, y),
        None => y,
    }
}

pub(super) fn recall<E: Scalar>(
    size: RowSize,
    tail: NormTail,
    x: &CpuBuf<E>,
    factor: &CpuBuf<E>,
    offset: &CpuBuf<E>,
    residual: Option<&CpuBuf<E>>,
) -> CpuBuf<E> {
    let x = match tail.before {
        Some(kind) => Cow::Owned(activation::activation_forward(kind, x.clone())),
        None => Cow::Borrowed(x),
    };
    apply(size, tail.after, x, factor, offset, residual)
}

pub(super) fn backward<E: Scalar>(
    norm: NormBackward<'_, CpuBuf<E>>,
    dy: CpuBuf<E>,
    residual: bool,
    scale_gradient: &mut CpuBuf<E>,
    shift_gradient: &mut CpuBuf<E>,
) -> (CpuBuf<E>, Option<CpuBuf<E>>) {
    let size = norm.size;
    let g = match norm.tail.before {
        Some(kind) => activation::activation_forward(kind, norm.input.clone()),
        None => norm.input.clone(),
    };
    let dy = match norm.tail.after {
        Some(kind) => {
            let made;
            let y = match norm.output {
                Some(y) => y,
                None => {
                    made = apply(size, norm.tail.after, Cow::Borrowed(&g), norm.factor, norm.offset, None);
                    &made
                }
            };
            activation::activation_backward(kind, y, dy)
        }
        None => dy,
    };
    let mut scale = CpuBuf::scratch(size.channels);
    for channel in 0..size.channels {
        scale[channel] = E::of(norm.factor[channel].wide() * (norm.variance[channel].wide() + norm.eps).sqrt());
    }
    let dg = norm::batch_norm_backward(
        size,
        &g,
        norm.mean,
        norm.variance,
        &scale,
        norm.eps,
        &dy,
        scale_gradient,
        shift_gradient,
    );
    let dz = match norm.tail.before {
        Some(kind @ (Activation::Relu | Activation::Sigmoid)) => activation::activation_backward(kind, &g, dg),
        Some(kind) => activation::activation_backward(kind, norm.input, dg),
        None => dg,
    };
    (dz, residual.then_some(dy))
}
