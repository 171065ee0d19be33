//! Stub.
use super::CpuBuf;
use crate::scalar::Scalar;

/// A kernel.
#[derive(Debug)]
pub struct CpuKernel<E: Scalar> {
    plain: CpuBuf<E>,
}

impl<E: Scalar> CpuKernel<E> {
    /// A kernel with these values.
    pub fn new(plain: CpuBuf<E>) -> Self {
        Self { plain }
    }

    /// The values as PyTorch lays them out.
    pub fn plain(&self) -> &CpuBuf<E> {
        &self.plain
    }
}

/// The gradient of a kernel, summed over its visits.
#[derive(Debug)]
pub struct CpuKernelGradient<E: Scalar> {
    len: usize,
    plain: Option<CpuBuf<E>>,
}

impl<E: Scalar> CpuKernelGradient<E> {
    /// A zero gradient of a kernel of `len` elements.
    pub fn new(len: usize) -> Self {
        Self { len, plain: None }
    }

    /// Sums in the layout of PyTorch.
    pub(super) fn plain(&mut self) -> &mut CpuBuf<E> {
        self.plain.get_or_insert_with(|| CpuBuf::zeros(self.len))
    }

    /// The gradient as PyTorch lays out the kernel.
    pub fn into_plain(self) -> CpuBuf<E> {
        self.plain.unwrap_or_else(|| CpuBuf::zeros(self.len))
    }
}
