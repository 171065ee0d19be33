//! Kernels in the forms that the algorithms want, and gradients in the domains they work in.
//!
//! A shared kernel is read once per step: its visits find each form made already, and their
//! gradients are brought back to the plain layout once, whatever their number.

use super::conv_method::WeightLayout;
use super::gemm::Packed;
use super::simd::Level;
use super::{CpuBuf, winograd};
use crate::scalar::Scalar;
use std::sync::{Arc, Mutex, PoisonError};

/// What a kernel is prepared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The output of a linear layer: `[in][out]`.
    Linear,
    /// Its data gradient: `[out][in]`.
    LinearBackward,
    /// The output of an unrolled convolution, one matrix `[ky][kx][in][out]` per group.
    Unrolled,
    /// Its data gradient: the transposed matrices.
    UnrolledBackward,
    /// The output by Winograd's algorithm: 36 matrices `[in][out]`.
    Winograd,
    /// Its data gradient.
    WinogradBackward,
}

/// Matrices packed for products at a level.
#[derive(Debug)]
struct Prepared<E: Scalar> {
    form: Form,
    level: Level,
    matrices: Arc<Vec<Packed<E>>>,
}

/// A kernel as PyTorch lays it out, `[out][in / groups][ky][kx]` or `[out][in]`, and the forms of
/// it that were asked for so far.
#[derive(Debug)]
pub struct CpuKernel<E: Scalar> {
    plain: CpuBuf<E>,
    prepared: Mutex<Vec<Prepared<E>>>,
}

impl<E: Scalar> CpuKernel<E> {
    /// A kernel with these values.
    pub fn new(plain: CpuBuf<E>) -> Self {
        let prepared = Mutex::default();
        Self { plain, prepared }
    }

    /// The values as PyTorch lays them out.
    pub fn plain(&self) -> &CpuBuf<E> {
        &self.plain
    }

    /// The matrices of a form, made on its first use at the level in force.
    pub(super) fn form(&self, form: Form, make: impl FnOnce(&[E]) -> Vec<Packed<E>>) -> Arc<Vec<Packed<E>>> {
        let level = Level::current();
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let found = prepared
            .iter()
            .find(|prepared| prepared.form == form && prepared.level == level);
        if let Some(found) = found {
            return Arc::clone(&found.matrices);
        }
        let matrices = Arc::new(make(&self.plain));
        prepared.push(Prepared {
            form,
            level,
            matrices: Arc::clone(&matrices),
        });
        matrices
    }
}

/// The gradient of a kernel, summed over its visits.
#[derive(Debug)]
pub struct CpuKernelGradient<E: Scalar> {
    len: usize,
    plain: Option<CpuBuf<E>>,
    unrolled: Option<(WeightLayout, CpuBuf<E>)>,
    /// Outputs, inputs and the 36 matrices `[in][out]`.
    winograd: Option<(usize, usize, CpuBuf<E>)>,
}

impl<E: Scalar> CpuKernelGradient<E> {
    /// A zero gradient of a kernel of `len` elements.
    pub fn new(len: usize) -> Self {
        Self {
            len,
            plain: None,
            unrolled: None,
            winograd: None,
        }
    }

    /// Sums in the layout of PyTorch.
    pub(super) fn plain(&mut self) -> &mut CpuBuf<E> {
        self.plain.get_or_insert_with(|| CpuBuf::zeros(self.len))
    }

    /// Sums in the layout of the unrolled convolution.
    pub(super) fn unrolled(&mut self, layout: WeightLayout) -> &mut CpuBuf<E> {
        &mut self.unrolled.get_or_insert_with(|| (layout, CpuBuf::zeros(self.len))).1
    }

    /// Sums of the 36 points of Winograd's algorithm.
    pub(super) fn winograd(&mut self, outputs: usize, inputs: usize) -> &mut CpuBuf<E> {
        let sums = self
            .winograd
            .get_or_insert_with(|| (outputs, inputs, winograd::no_gradient(outputs, inputs)));
        &mut sums.2
    }

    /// The gradient as PyTorch lays out the kernel.
    pub fn into_plain(self) -> CpuBuf<E> {
        let mut sum = self.plain;
        if let Some((layout, sums)) = &self.unrolled {
            let sum = sum.get_or_insert_with(|| CpuBuf::zeros(self.len));
            layout.for_each(|plain, at| sum[plain] += sums[at]);
        }
        if let Some((outputs, inputs, points)) = &self.winograd {
            let sum = sum.get_or_insert_with(|| CpuBuf::zeros(self.len));
            winograd::add_gradient(points, *outputs, *inputs, sum);
        }
        sum.unwrap_or_else(|| CpuBuf::zeros(self.len))
    }
}
