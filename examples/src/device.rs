//! The device to run on, and networks that can be built on every device.

use clap::ValueEnum;
use ksdsl_runtime::prelude::*;
use ksdsl_train::Classifier;
use std::error::Error;
use std::str::FromStr;

/// The device to run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// The CPU.
    #[default]
    Cpu,
    /// The GPU with this index.
    #[cfg(feature = "cuda")]
    Cuda(usize),
}

/// The precision of matrix products in `f32` on a GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// f32
    #[default]
    Full,
    /// TensorFloat-32: factors of 11 bits, sums in f32
    Tf32,
    /// Factors of 8 bits, sums in f32
    Bf16,
}

impl Place {
    /// Checks that the device is available and sets its precision, before any work starts.
    ///
    /// # Errors
    /// If the GPU cannot be used, or the device has no such precision.
    pub fn prepare(self, precision: Precision) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Cpu if precision != Precision::Full => {
                Err("--precision is for GPUs: the CPU computes in full precision".into())
            }
            Self::Cpu => Ok(()),
            #[cfg(feature = "cuda")]
            Self::Cuda(number) => {
                use ksdsl_runtime::cuda::{self, Precision as On};
                let precision = match precision {
                    Precision::Full => On::Full,
                    Precision::Tf32 => On::Tf32,
                    Precision::Bf16 => On::Bf16,
                };
                Ok(cuda::set_precision(&cuda::device(number)?, precision)?)
            }
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "cpu" {
            return Ok(Self::Cpu);
        }
        let number = match text.strip_prefix("cuda") {
            Some("") => Some(0),
            Some(rest) => rest.strip_prefix(':').and_then(|number| number.parse().ok()),
            None => None,
        };
        match number {
            Some(number) => cuda(number),
            None => Err("expected cpu, or cuda:N for the GPU with index N".to_owned()),
        }
    }
}

#[cfg(feature = "cuda")]
fn cuda(number: usize) -> Result<Place, String> {
    Ok(Place::Cuda(number))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> Result<Place, String> {
    Err("this program was built without the feature `cuda` (`cargo run --features cuda`); expected cpu".to_owned())
}

/// A network that can be built on every device this program supports.
#[cfg(not(feature = "cuda"))]
pub trait Net<const C: usize, const H: usize, const W: usize, const K: usize>:
    Network + BuildOnDevice<Cpu, f32, Built: Classifier<C, H, W, K>>
{
}

#[cfg(not(feature = "cuda"))]
impl<B, const C: usize, const H: usize, const W: usize, const K: usize> Net<C, H, W, K> for B where
    B: Network + BuildOnDevice<Cpu, f32, Built: Classifier<C, H, W, K>>
{
}

/// A network that can be built on every device this program supports.
#[cfg(feature = "cuda")]
pub trait Net<const C: usize, const H: usize, const W: usize, const K: usize>:
    Network
    + BuildOnDevice<Cpu, f32, Built: Classifier<C, H, W, K>>
    + BuildOnDevice<Cuda, f32, Built: Classifier<C, H, W, K, Cuda>>
{
}

#[cfg(feature = "cuda")]
impl<B, const C: usize, const H: usize, const W: usize, const K: usize> Net<C, H, W, K> for B where
    B: Network
        + BuildOnDevice<Cpu, f32, Built: Classifier<C, H, W, K>>
        + BuildOnDevice<Cuda, f32, Built: Classifier<C, H, W, K, Cuda>>
{
}

#[cfg(test)]
mod tests {
    use super::{Place, Precision};

    #[test]
    fn the_cpu_has_full_precision() {
        assert!(Place::Cpu.prepare(Precision::Full).is_ok());
        let error = Place::Cpu.prepare(Precision::Tf32).unwrap_err();
        assert!(error.to_string().starts_with("--precision is for GPUs"), "{error}");
    }

    #[test]
    fn devices_are_named() {
        assert_eq!("cpu".parse(), Ok(Place::Cpu));
        for text in ["gpu", "cuda:x", "cuda:-1", "cuda0", "cpu:0", ""] {
            let error = text.parse::<Place>().unwrap_err();
            assert!(error.starts_with("expected cpu, or cuda:N"), "{text}: {error}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn gpus_need_the_feature() {
        for text in ["cuda", "cuda:0", "cuda:12"] {
            let error = text.parse::<Place>().unwrap_err();
            assert!(error.contains("without the feature `cuda`"), "{text}: {error}");
        }
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn gpus_have_numbers() {
        assert_eq!("cuda".parse(), Ok(Place::Cuda(0)));
        assert_eq!("cuda:12".parse(), Ok(Place::Cuda(12)));
    }
}
