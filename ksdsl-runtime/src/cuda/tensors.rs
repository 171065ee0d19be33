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

use crate::scalar::Scalar;
use cudarc::driver::sys::{CUdeviceptr, CUresult};
use cudarc::driver::{CudaSlice, DeviceSlice, DriverError, result};
use dfdx::shapes::{Axis, HasShape, Rank0, Rank1, Shape};
use dfdx::tensor::{
    CpuError, Cuda, CudaError, Gradients, NoneTape, Storage, Tensor, TensorFromVec, Trace, ZerosTensor,
};
use dfdx::tensor_ops::{Backward, Device, ReshapeTo, SumTo, TryMul};
use ksdsl_cuda::{CudaBuf, CudaExec, CudaReal, Error};
use ksdsl_engine::Exec;
use std::fmt::{self, Write};
use std::ops::DerefMut;
use std::sync::OnceLock;

/// What the conversions need dfdx's device to be.
pub(super) trait Tensors<E: Scalar + CudaReal>:
    Device<E> + Storage<E, Vec: DerefMut<Target = CudaSlice<E>>>
{
}
impl<E: Scalar + CudaReal> Tensors<E> for Cuda where Cuda: Device<E> + Storage<E, Vec: DerefMut<Target = CudaSlice<E>>> {}

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
fn address<S: Shape, E: Scalar + CudaReal>(tensor: &Tensor<S, E, Cuda>) -> Option<CUdeviceptr>
where
    Cuda: Tensors<E>,
    CudaExec: Exec<E, Buf = CudaBuf<E>, Err = Error>,
{
    let mut scan = Scan::default();
    let _ = write!(scan, "{tensor:?}");
    let (at, len) = scan.found?;
    (len == tensor.shape().num_elements()).then_some(at)
}

/// The executor of a device: one for each ordinal and process, on the same primary context and the same (default)
/// stream as dfdx's `Cuda` of that ordinal, so dfdx's kernels and the executor's run one after the other.
pub(super) fn exec(cuda: &Cuda) -> Result<CudaExec, CudaError> {
    // dfdx does not say which ordinal a `Cuda` has. Where there is one GPU, that does not matter;
    // else something that it allocates does.
    static GPUS: OnceLock<i32> = OnceLock::new();
    if *GPUS.get_or_init(|| result::device::get_count().unwrap_or(0)) == 1 {
        return CudaExec::of_ordinal(0).map_err(failed);
    }
    let probe = <Cuda as Storage<u8>>::try_alloc_len(cuda, 1)?;
    CudaExec::of_ordinal(probe.device().ordinal()).map_err(failed)
}

/// An error of the executor as one of dfdx's device.
pub(super) fn failed(error: Error) -> CudaError {
    match error {
        Error::Driver(error) => error.into(),
        Error::Blas(error) => error.into(),
        Error::Kernels(_) => DriverError(CUresult::CUDA_ERROR_INVALID_PTX).into(),
        Error::WrongLength | Error::WrongId(_) => CpuError::WrongNumElements.into(),
    }
}

fn copy_from<E: Scalar + CudaReal>(exec: &CudaExec, at: CUdeviceptr, len: usize) -> Result<CudaBuf<E>, CudaError> {
    // SAFETY: `at` is the storage of a tensor of this length that the caller holds; dfdx frees it on the default
    // stream.
    unsafe { exec.copy_of(at, len) }.map_err(failed)
}

/// Whether [`address`] gives what it should, by trying.
fn address_is_right<E: Scalar + CudaReal>(cuda: &Cuda, exec: &CudaExec) -> Result<bool, CudaError>
where
    Cuda: Tensors<E>,
    CudaExec: Exec<E, Buf = CudaBuf<E>, Err = Error>,
{
    let values = vec![E::of(1.5), E::of(-2.0), E::of(0.25)];
    let tensor = cuda.try_tensor_from_vec(values.clone(), Rank1::<3>::default())?;
    match address(&tensor) {
        Some(at) => Ok(exec.download(&copy_from::<E>(exec, at, 3)?).map_err(failed)? == values),
        None => Ok(false),
    }
}

fn trusts_addresses<E: Scalar + CudaReal>(cuda: &Cuda, exec: &CudaExec) -> Result<bool, CudaError>
where
    Cuda: Tensors<E>,
    CudaExec: Exec<E, Buf = CudaBuf<E>, Err = Error>,
{
    static TRUSTED: [OnceLock<bool>; 2] = [OnceLock::new(), OnceLock::new()];
    if let Some(&trusted) = TRUSTED[E::SLOT].get() {
        return Ok(trusted);
    }
    let right = address_is_right::<E>(cuda, exec)?;
    Ok(*TRUSTED[E::SLOT].get_or_init(|| right))
}

/// A tensor's values by way of a gradient.
pub(super) fn through_gradient<S: Shape, E: Scalar + CudaReal>(
    tensor: Tensor<S, E, Cuda>,
) -> Result<CudaBuf<E>, CudaError>
where
    Cuda: Tensors<E>,
    CudaExec: Exec<E, Buf = CudaBuf<E>, Err = Error>,
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

pub(super) fn read<S: Shape, E: Scalar + CudaReal, T>(
    cuda: &Cuda,
    tensor: &Tensor<S, E, Cuda, T>,
) -> Result<CudaBuf<E>, CudaError>
where
    Cuda: Tensors<E>,
    CudaExec: Exec<E, Buf = CudaBuf<E>, Err = Error>,
{
    // dfdx shares the data when they lie in order already.
    let ordered = tensor.retaped::<NoneTape>().try_contiguous()?;
    let exec = exec(cuda)?;
    if trusts_addresses::<E>(cuda, &exec)?
        && let Some(at) = address(&ordered)
    {
        return copy_from(&exec, at, ordered.shape().num_elements());
    }
    through_gradient(ordered)
}

pub(super) fn make<S: Shape, E: Scalar + CudaReal>(
    cuda: &Cuda,
    buf: CudaBuf<E>,
    shape: S,
) -> Result<Tensor<S, E, Cuda>, CudaError>
where
    Cuda: Tensors<E>,
    CudaExec: Exec<E, Buf = CudaBuf<E>, Err = Error>,
{
    let zeros: Tensor<S, E, Cuda> = cuda.try_zeros_like(&shape)?;
    let exec = exec(cuda)?;
    if trusts_addresses::<E>(cuda, &exec)?
        && let Some(at) = address(&zeros)
    {
        same_length(zeros.shape().num_elements(), buf.len())?;
        // SAFETY: `at` is the storage of a new tensor of this length, which nothing else uses yet.
        unsafe { exec.copy_to(&buf, at) }.map_err(failed)?;
        return Ok(zeros);
    }
    let mut gradients = Gradients::leaky();
    let storage = gradients.get_or_alloc_mut(&zeros)?;
    same_length(storage.len(), buf.len())?;
    **storage = buf.into_slice();
    Ok(gradients.get(&zeros))
}

pub(super) fn add_to_gradient<S: Shape, E: Scalar + CudaReal>(
    gradients: &mut Gradients<E, Cuda>,
    tensor: &Tensor<S, E, Cuda>,
    buf: &CudaBuf<E>,
) -> Result<(), CudaError>
where
    Cuda: Tensors<E>,
    CudaExec: Exec<E, Buf = CudaBuf<E>, Err = Error>,
{
    let exec = exec(tensor.device())?;
    let storage = gradients.get_or_alloc_mut(tensor)?;
    same_length(storage.len(), buf.len())?;
    let empty = storage.device().null()?;
    let held = exec.adopt(std::mem::replace(&mut **storage, empty));
    **storage = Exec::<E>::add(&exec, held, buf).map_err(failed)?.into_slice();
    Ok(())
}

pub(super) fn take_gradient<S: Shape, E: Scalar + CudaReal>(
    gradients: &mut Gradients<E, Cuda>,
    tensor: &Tensor<S, E, Cuda>,
) -> Result<CudaBuf<E>, CudaError>
where
    Cuda: Tensors<E>,
    CudaExec: Exec<E, Buf = CudaBuf<E>, Err = Error>,
{
    let storage = gradients.get_or_alloc_mut(tensor)?;
    let empty = storage.device().null()?;
    let exec = CudaExec::of_ordinal(storage.device().ordinal()).map_err(failed)?;
    Ok(exec.adopt(std::mem::replace(&mut **storage, empty)))
}

fn same_length(one: usize, other: usize) -> Result<(), CudaError> {
    if one == other {
        return Ok(());
    }
    Err(CpuError::WrongNumElements.into())
}
