//! The CPU: threads, instruction sets, memory, algorithms.
//!
//! The kernels are those of [`ksdsl_cpu`].

use crate::backend::Backend;
use dfdx::shapes::{HasShape, Shape};
use dfdx::tensor::{Cpu, CpuError, Gradients, NoneTape, Tensor, TensorFromVec};
use dfdx::tensor_ops::ReshapeTo;
use ksdsl_cpu::{CpuBuf, CpuExec, Error};
use ksdsl_engine::Exec;

#[cfg(feature = "signs")]
#[doc(inline)]
pub use ksdsl_cpu::with_signs;
#[doc(inline)]
pub use ksdsl_cpu::{
    Level, THREADS_VARIABLE, WinogradChoice, memory, set_threads, threads, with_threads, with_unit_bytes, with_winograd,
};

macro_rules! backend {
    ($E:ident) => {
        impl Backend<$E> for Cpu {
            type Exec = CpuExec;

            fn exec(&self) -> Result<CpuExec, CpuError> {
                Ok(CpuExec)
            }

            fn failed(_: Error) -> CpuError {
                // dfdx has no other error that fits.
                CpuError::WrongNumElements
            }

            fn read_tensor<S: Shape, T>(&self, tensor: &Tensor<S, $E, Self, T>) -> Result<CpuBuf<$E>, CpuError> {
                // dfdx shares the data when they lie in order already.
                let ordered = tensor.retaped::<NoneTape>().try_contiguous()?;
                let mut buf = CpuBuf::scratch(ordered.shape().num_elements());
                ordered.copy_into(&mut buf);
                Ok(buf)
            }

            fn make_tensor<S: Shape>(&self, buf: CpuBuf<$E>, shape: S) -> Result<Tensor<S, $E, Self>, CpuError> {
                self.try_tensor_from_vec(buf.into_vec(), shape)
            }

            fn set_tensor<S: Shape>(
                &self,
                tensor: &mut Tensor<S, $E, Self>,
                values: CpuBuf<$E>,
            ) -> Result<(), CpuError> {
                if tensor.shape().num_elements() != values.len() {
                    return Err(CpuError::WrongNumElements);
                }
                tensor.copy_from(&values);
                Ok(())
            }

            fn add_to_gradient<S: Shape>(
                &self,
                gradients: &mut Gradients<$E, Self>,
                tensor: &Tensor<S, $E, Self>,
                buf: CpuBuf<$E>,
            ) -> Result<(), CpuError> {
                let gradient = gradients.get_or_alloc_mut(tensor)?;
                if gradient.len() != buf.len() {
                    return Err(CpuError::WrongNumElements);
                }
                let held = CpuBuf::from_vec(std::mem::take(&mut **gradient));
                **gradient = Exec::<$E>::add(&CpuExec, held, &buf)
                    .map_err(<Self as Backend<$E>>::failed)?
                    .into_vec();
                Ok(())
            }

            fn take_gradient<S: Shape>(
                &self,
                gradients: &mut Gradients<$E, Self>,
                tensor: &Tensor<S, $E, Self>,
            ) -> Result<CpuBuf<$E>, CpuError> {
                let gradient = gradients.get_or_alloc_mut(tensor)?;
                Ok(CpuBuf::from_vec(std::mem::take(&mut **gradient)))
            }
        }
    };
}

backend!(f32);
backend!(f64);
