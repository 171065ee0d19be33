//! Buffers on the device, and parameters and their gradients made of them.

use super::error::Error;
use super::gpu::Gpu;
use super::grid::Grid;
use super::real::CudaReal;
use super::source::Arg;
use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaSlice, DevicePtr, DeviceSlice};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Values on a CUDA device. A clone is a copy on the device.
#[derive(Debug)]
pub struct CudaBuf<E> {
    slice: CudaSlice<E>,
    gpu: Arc<Gpu>,
}

impl<E> CudaBuf<E> {
    pub(super) fn new(slice: CudaSlice<E>, gpu: Arc<Gpu>) -> Self {
        Self { slice, gpu }
    }

    pub(super) fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.slice.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.slice.len() == 0
    }

    pub(super) fn slice_mut(&mut self) -> &mut CudaSlice<E> {
        &mut self.slice
    }

    /// The memory.
    pub fn into_slice(self) -> CudaSlice<E> {
        self.slice
    }

    /// The address of the first value.
    pub(super) fn at(&self) -> CUdeviceptr {
        *self.slice.device_ptr()
    }

    /// The address as a kernel's argument.
    pub(super) fn arg<A>(&self) -> Arg<A> {
        Arg::Pointer(self.at())
    }
}

impl<E: CudaReal> CudaBuf<E> {
    /// The same values in a buffer of their own.
    pub(super) fn copy(&self) -> Result<Self, Error> {
        let mut copy = self.gpu.scratch(self.len())?;
        if !self.is_empty() {
            self.gpu.device.dtod_copy(&self.slice, copy.slice_mut())?;
        }
        Ok(copy)
    }

    /// The values on the host; waits for the device.
    ///
    /// # Errors
    /// If the device fails.
    pub(super) fn to_host(&self) -> Result<Vec<E>, Error> {
        Ok(self.gpu.device.dtoh_sync_copy(&self.slice)?)
    }
}

impl<E: CudaReal> Clone for CudaBuf<E> {
    /// # Panics
    /// If the device has no memory left: cloning cannot fail otherwise.
    fn clone(&self) -> Self {
        self.copy().expect("memory for a copy on the device")
    }
}

/// The null pointer, for what a kernel leaves out.
pub(super) fn maybe<E, A>(buf: Option<&CudaBuf<E>>) -> Arg<A> {
    Arg::Pointer(buf.map_or(0, CudaBuf::at))
}

/// How the kernels want a convolution's weights: `[outer][taps][inner]` instead of PyTorch's
/// `[outer][inner][taps]`, so that neighbouring values are channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packing {
    pub(super) inner: usize,
    pub(super) taps: usize,
    /// For data gradients, the outputs of a group: `[group][inner][taps][outputs]`.
    pub(super) transposed: Option<usize>,
}

impl Packing {
    /// Whether both orders are the same.
    fn is_plain(self) -> bool {
        self.transposed.is_none() && (self.inner == 1 || self.taps == 1)
    }

    fn pack<E: CudaReal>(self, from: &CudaBuf<E>, to: &CudaBuf<E>) -> Result<(), Error> {
        let Some(outputs) = self.transposed else {
            return self.run("pack", from, to);
        };
        let sizes = [outputs, self.inner, self.taps].map(|value| Arg::Int(value as i32));
        let [outputs, inner, taps] = sizes;
        let args = [Arg::Long(to.len() as i64), outputs, inner, taps, from.arg(), to.arg()];
        to.gpu.launch::<E>("pack_transposed", Grid::flat(to.len()), &args)
    }

    fn run<E: CudaReal>(self, name: &'static str, from: &CudaBuf<E>, to: &CudaBuf<E>) -> Result<(), Error> {
        let len = to.len();
        let sizes = [self.inner, self.taps].map(|value| Arg::Int(value as i32));
        let args = [Arg::Long(len as i64), sizes[0], sizes[1], from.arg(), to.arg()];
        to.gpu.launch::<E>(name, Grid::flat(len), &args)
    }
}

/// A parameter in the orders its visits want, each made once for all of them.
#[derive(Debug)]
pub struct CudaKernel<E> {
    plain: CudaBuf<E>,
    packed: RefCell<Vec<(Packing, Rc<CudaBuf<E>>)>>,
}

impl<E> CudaKernel<E> {
    pub(super) fn new(plain: CudaBuf<E>) -> Self {
        Self {
            plain,
            packed: RefCell::default(),
        }
    }

    /// The values as PyTorch lays them out.
    pub(super) fn plain(&self) -> &CudaBuf<E> {
        &self.plain
    }
}

impl<E: CudaReal> CudaKernel<E> {
    /// Calls `f` with the address of the packed values.
    pub(super) fn packed<R>(
        &self,
        packing: Packing,
        f: impl FnOnce(CUdeviceptr) -> Result<R, Error>,
    ) -> Result<R, Error> {
        if packing.is_plain() {
            return f(self.plain.at());
        }
        let made = self
            .packed
            .borrow()
            .iter()
            .find(|(made, _)| *made == packing)
            .map(|(_, buf)| buf.clone());
        let packed = match made {
            Some(packed) => packed,
            None => {
                let packed = self.plain.gpu.scratch(self.plain.len())?;
                packing.pack(&self.plain, &packed)?;
                let packed = Rc::new(packed);
                self.packed.borrow_mut().push((packing, packed.clone()));
                packed
            }
        };
        f(packed.at())
    }
}

/// A parameter's gradient over all its visits: one sum in PyTorch's order and one in the packed
/// order of the convolutions, which is brought back once.
#[derive(Debug)]
pub struct CudaKernelGradient<E> {
    gpu: Arc<Gpu>,
    len: usize,
    plain: Option<CudaBuf<E>>,
    packed: Option<(Packing, CudaBuf<E>)>,
}

impl<E: CudaReal> CudaKernelGradient<E> {
    pub(super) fn new(gpu: Arc<Gpu>, len: usize) -> Self {
        Self {
            gpu,
            len,
            plain: None,
            packed: None,
        }
    }

    /// The sum in PyTorch's order.
    pub(super) fn plain(&mut self) -> Result<&mut CudaBuf<E>, Error> {
        if self.plain.is_none() {
            self.plain = Some(self.gpu.zeros(self.len)?);
        }
        self.plain.as_mut().ok_or_else(super::gpu::too_large)
    }

    /// The sum in a packed order.
    pub(super) fn packed(&mut self, packing: Packing) -> Result<&mut CudaBuf<E>, Error> {
        if packing.is_plain() {
            return self.plain();
        }
        if self.packed.as_ref().is_some_and(|(held, _)| *held != packing) {
            self.unpack()?;
        }
        if self.packed.is_none() {
            self.packed = Some((packing, self.gpu.zeros(self.len)?));
        }
        match &mut self.packed {
            Some((_, sum)) => Ok(sum),
            None => Err(super::gpu::too_large()),
        }
    }

    fn unpack(&mut self) -> Result<(), Error> {
        if let Some((packing, packed)) = self.packed.take() {
            packing.run("unpack_add", &packed, self.plain()?)?;
        }
        Ok(())
    }

    /// The whole sum in PyTorch's order.
    pub(super) fn into_plain(mut self) -> Result<CudaBuf<E>, Error> {
        self.unpack()?;
        match self.plain {
            Some(plain) => Ok(plain),
            None => self.gpu.zeros(self.len),
        }
    }
}
