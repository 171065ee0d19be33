//! A GPU as users have it.

use super::buf::CudaBuf;
use super::error::Error;
use super::gpu::Gpu;
use super::real::{CudaReal, Precision};
use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaSlice, result};
use std::sync::Arc;

/// A GPU as an executor of the engine. Clones are the same GPU.
#[derive(Clone, Debug)]
pub struct CudaExec(pub(super) Arc<Gpu>);

impl CudaExec {
    /// The GPU with this index, from 0.
    ///
    /// # Errors
    /// If there is no such GPU or it does not work.
    pub fn of_ordinal(ordinal: usize) -> Result<Self, Error> {
        Gpu::of_ordinal(ordinal).map(Self)
    }

    /// Compiles the kernels for `E`, if that has not been done.
    ///
    /// # Errors
    /// If nvrtc cannot compile them for this GPU.
    pub fn prepare<E: CudaReal>(&self) -> Result<(), Error> {
        self.0.prepare::<E>()
    }

    /// How matrix products of `f32` are computed.
    pub fn precision(&self) -> Precision {
        self.0.precision()
    }

    /// Sets how matrix products of `f32` are computed, by all threads of this process.
    pub fn set_precision(&self, precision: Precision) {
        self.0.set_precision(precision);
    }

    /// Copies a buffer to an address of this GPU's memory.
    ///
    /// # Errors
    /// If the GPU fails.
    ///
    /// # Safety
    /// There must be room for the values, nothing else may use it, and it may be freed on the GPU's default stream only.
    pub unsafe fn copy_to<E: CudaReal>(&self, from: &CudaBuf<E>, at: CUdeviceptr) -> Result<(), Error> {
        self.0.device.bind_to_thread()?;
        if !from.is_empty() {
            let bytes = from.len() * size_of::<E>();
            // SAFETY: the caller's promise; both are freed on the same stream, so after this copy.
            unsafe { result::memcpy_dtod_async(at, from.at(), bytes, *self.0.device.cu_stream()) }?;
        }
        Ok(())
    }

    /// Takes over a slice of this GPU's memory.
    pub fn adopt<E>(&self, slice: CudaSlice<E>) -> CudaBuf<E> {
        CudaBuf::new(slice, self.0.clone())
    }

    /// A copy of `len` values at an address of this GPU's memory.
    ///
    /// # Errors
    /// If the GPU fails.
    ///
    /// # Safety
    /// As many initialised values must be there, and be freed on the GPU's default stream only.
    pub unsafe fn copy_of<E: CudaReal>(&self, at: CUdeviceptr, len: usize) -> Result<CudaBuf<E>, Error> {
        let copy = self.0.scratch::<E>(len)?;
        self.0.device.bind_to_thread()?;
        if len > 0 {
            // SAFETY: the caller's promise; what is freed on the same stream is freed after this copy.
            unsafe { result::memcpy_dtod_async(copy.at(), at, len * size_of::<E>(), *self.0.device.cu_stream()) }?;
        }
        Ok(copy)
    }
}
