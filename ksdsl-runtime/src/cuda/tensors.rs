//! Between dfdx's tensors and gradients and the buffers of the device, without a copy to the host.
//!
//! dfdx 0.13 lends nobody a tensor's storage, and there are two ways around that. The address of the
//! storage is part of what `Debug` prints of a tensor; reading it there and copying from it, or to it if the
//! tensor is new, is one copy on the device ([`address`]). Or by way of `Gradients`, which dfdx does lend:
//! the tensor can be made the gradient of something: `z * x` has the gradient `x` with respect to `z`
//! ([`through_gradient`]), which is about eight kernels for each parameter; and a slice becomes a gradient,
//! and that a tensor.
//! The first way is taken if it proves right on a tensor of known values, once per process and element
//! type, and each time the length that is printed is the tensor's; otherwise the second.

use super::buf::CudaBuf;
use super::engine::{Engine, Grid};
use super::real::Real;
use super::source::Arg;
use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaSlice, DeviceSlice, result};
use dfdx::shapes::{Axis, HasShape, Rank0, Rank1, Shape};
use dfdx::tensor::{Cuda, CudaError, Gradients, NoneTape, Storage, Tensor, TensorFromVec, Trace, ZerosTensor};
use dfdx::tensor_ops::{Backward, Device, ReshapeTo, SumTo, TryMul};
use std::fmt::{self, Write};
use std::ops::DerefMut;
use std::sync::Arc;
use std::sync::OnceLock;

/// What the conversions need dfdx's device to be.
pub(super) trait Tensors<E: Real>: Device<E> + Storage<E, Vec: DerefMut<Target = CudaSlice<E>>> {}
impl<E: Real> Tensors<E> for Cuda where Cuda: Device<E> + Storage<E, Vec: DerefMut<Target = CudaSlice<E>>> {}

/// Takes up text until both numbers that are looked for were in it.
#[derive(Default)]
struct Scan {
    text: String,
    found: Option<(CUdeviceptr, usize)>,
}

impl Scan {
    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        let (_, after) = self.text.split_once(name)?;
        // A digit may still follow unless something else does.
        let end = after.find(|c: char| !c.is_ascii_digit())?;
        after[..end].parse().ok()
    }
}

impl Write for Scan {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.text.push_str(part);
        self.found = self.number("cu_device_ptr: ").zip(self.number(", len: "));
        // An error ends the formatting, most of which would be of no use.
        if self.found.is_some() || self.text.len() > 4096 {
            return Err(fmt::Error);
        }
        Ok(())
    }
}

/// The address of a tensor's storage, if it is as long as the tensor.
fn address<S: Shape, E: Real>(tensor: &Tensor<S, E, Cuda>) -> Option<CUdeviceptr>
where
    Cuda: Tensors<E>,
{
    let mut scan = Scan::default();
    let _ = write!(scan, "{tensor:?}");
    let (at, len) = scan.found?;
    (len == tensor.shape().num_elements()).then_some(at)
}

fn copy_from<E: Real>(engine: &Arc<Engine>, at: CUdeviceptr, len: usize) -> Result<CudaBuf<E>, CudaError> {
    let copy = engine.scratch::<E>(len)?;
    engine.device.bind_to_thread()?;
    if len > 0 {
        // SAFETY: `at` is the storage of a tensor of this length that the caller holds; it is freed on
        // the same stream, so after this copy.
        unsafe { result::memcpy_dtod_async(copy.at(), at, len * size_of::<E>(), *engine.device.cu_stream()) }?;
    }
    Ok(copy)
}

/// Fills the storage at `to`, which must be as long as `from`.
fn copy_to<E: Real>(engine: &Arc<Engine>, from: &CudaBuf<E>, to: CUdeviceptr) -> Result<(), CudaError> {
    engine.device.bind_to_thread()?;
    if !from.is_empty() {
        // SAFETY: `to` is the storage of a new tensor of this length, which nothing else uses yet; both buffers are
        // freed on the same stream, so after this copy.
        unsafe { result::memcpy_dtod_async(to, from.at(), from.len() * size_of::<E>(), *engine.device.cu_stream()) }?;
    }
    Ok(())
}

/// Whether [`address`] gives what it should, by trying.
fn address_is_right<E: Real>(cuda: &Cuda, engine: &Arc<Engine>) -> Result<bool, CudaError>
where
    Cuda: Tensors<E>,
{
    let values = vec![E::of(1.5), E::of(-2.0), E::of(0.25)];
    let tensor = cuda.try_tensor_from_vec(values.clone(), Rank1::<3>::default())?;
    match address(&tensor) {
        Some(at) => Ok(copy_from::<E>(engine, at, 3)?.to_host()? == values),
        None => Ok(false),
    }
}

fn trusts_addresses<E: Real>(cuda: &Cuda, engine: &Arc<Engine>) -> Result<bool, CudaError>
where
    Cuda: Tensors<E>,
{
    static TRUSTED: [OnceLock<bool>; 2] = [OnceLock::new(), OnceLock::new()];
    if let Some(&trusted) = TRUSTED[E::SLOT].get() {
        return Ok(trusted);
    }
    let right = address_is_right::<E>(cuda, engine)?;
    Ok(*TRUSTED[E::SLOT].get_or_init(|| right))
}

/// A tensor's values by way of a gradient.
pub(super) fn through_gradient<S: Shape, E: Real>(tensor: Tensor<S, E, Cuda>) -> Result<CudaBuf<E>, CudaError>
where
    Cuda: Tensors<E>,
{
    let cuda = tensor.device().clone();
    let flat = tensor.shape().num_elements();
    let tensor = tensor.try_reshape_like(&(flat,))?;
    let zeros: Tensor<(usize,), E, Cuda> = cuda.try_zeros_like(&(flat,))?;
    let product = zeros.clone().leaky_traced().try_mul(tensor)?;
    let sum = product.try_sum::<Rank0, Axis<0>>()?;
    let mut gradients = sum.try_backward()?;
    take_gradient(&mut gradients, &zeros)
}

pub(super) fn read<S: Shape, E: Real, T>(cuda: &Cuda, tensor: &Tensor<S, E, Cuda, T>) -> Result<CudaBuf<E>, CudaError>
where
    Cuda: Tensors<E>,
{
    // dfdx shares the data when they lie in order already.
    let ordered = tensor.retaped::<NoneTape>().try_contiguous()?;
    let engine = Engine::of(cuda)?;
    if trusts_addresses::<E>(cuda, &engine)?
        && let Some(at) = address(&ordered)
    {
        return copy_from(&engine, at, ordered.shape().num_elements());
    }
    through_gradient(ordered)
}

pub(super) fn make<S: Shape, E: Real>(
    cuda: &Cuda,
    mut buf: CudaBuf<E>,
    shape: S,
) -> Result<Tensor<S, E, Cuda>, CudaError>
where
    Cuda: Tensors<E>,
{
    let zeros: Tensor<S, E, Cuda> = cuda.try_zeros_like(&shape)?;
    let engine = buf.engine().clone();
    if trusts_addresses::<E>(cuda, &engine)?
        && let Some(at) = address(&zeros)
    {
        same_length(zeros.shape().num_elements(), buf.len())?;
        copy_to(&engine, &buf, at)?;
        return Ok(zeros);
    }
    let mut gradients = Gradients::leaky();
    let storage = gradients.get_or_alloc_mut(&zeros)?;
    same_length(storage.len(), buf.len())?;
    std::mem::swap(&mut **storage, buf.slice_mut());
    Ok(gradients.get(&zeros))
}

pub(super) fn add_to_gradient<S: Shape, E: Real>(
    gradients: &mut Gradients<E, Cuda>,
    tensor: &Tensor<S, E, Cuda>,
    buf: &CudaBuf<E>,
) -> Result<(), CudaError>
where
    Cuda: Tensors<E>,
{
    let storage: &CudaSlice<E> = gradients.get_or_alloc_mut(tensor)?;
    same_length(storage.len(), buf.len())?;
    let to = Arg::Pointer(*cudarc::driver::DevicePtr::device_ptr(storage));
    let args = [Arg::Long(buf.len() as i64), to, buf.arg()];
    buf.engine().launch::<E>("add", Grid::flat(buf.len()), &args)
}

pub(super) fn take_gradient<S: Shape, E: Real>(
    gradients: &mut Gradients<E, Cuda>,
    tensor: &Tensor<S, E, Cuda>,
) -> Result<CudaBuf<E>, CudaError>
where
    Cuda: Tensors<E>,
{
    let storage = gradients.get_or_alloc_mut(tensor)?;
    let empty = storage.device().null()?;
    let engine = Engine::of_ordinal(storage.device().ordinal())?;
    let slice = std::mem::replace(&mut **storage, empty);
    Ok(CudaBuf::new(slice, engine))
}

fn same_length(one: usize, other: usize) -> Result<(), CudaError> {
    if one == other {
        return Ok(());
    }
    Err(CudaError::Cpu(dfdx::tensor::CpuError::WrongNumElements))
}
