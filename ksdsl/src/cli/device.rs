//! The device on which networks are trained and run.

use ksdsl_train_core::program::device::{Place, Precision, only_cpu};
use std::error::Error;

/// Does something with the executor of a [`Place`], whose type it then is; the outcome is a `Result` with a boxed error.
macro_rules! on {
    ($place:expr, |$exec:ident| $do:expr) => {
        match $place {
            ksdsl_train_core::program::device::Place::Cpu => {
                let $exec = ksdsl_cpu::CpuExec;
                $do
            }
            #[cfg(not(feature = "cuda"))]
            ksdsl_train_core::program::device::Place::Cuda(_) => Err(crate::cli::device::NO_GPUS.into()),
            #[cfg(feature = "cuda")]
            ksdsl_train_core::program::device::Place::Cuda(ordinal) => match ksdsl_cuda::CudaExec::open(ordinal) {
                Ok($exec) => $do,
                Err(error) => Err(error.into()),
            },
        }
    };
}
pub(super) use on;

/// What is missing for GPUs.
#[cfg(not(feature = "cuda"))]
pub(super) const NO_GPUS: &str =
    "this `ksn` was built without the feature `cuda` (`cargo install ksdsl --features cuda`)";

/// Checks that the device is available and sets its precision, before any work starts.
///
/// # Errors
/// If the GPU cannot be used, or the device has no such precision.
#[cfg(not(feature = "cuda"))]
pub(super) fn prepare(place: Place, precision: Precision) -> Result<(), Box<dyn Error>> {
    only_cpu(place, precision, NO_GPUS)
}

/// Checks that the device is available and sets its precision, before any work starts.
///
/// # Errors
/// If the GPU cannot be used, or the device has no such precision.
#[cfg(feature = "cuda")]
pub(super) fn prepare(place: Place, precision: Precision) -> Result<(), Box<dyn Error>> {
    use ksdsl_cuda::{CudaExec, Precision as On};
    let Place::Cuda(ordinal) = place else {
        return only_cpu(place, precision, "");
    };
    CudaExec::open(ordinal)?.set_precision(match precision {
        Precision::Full => On::Full,
        Precision::Tf32 => On::Tf32,
        Precision::Bf16 => On::Bf16,
    });
    Ok(())
}
