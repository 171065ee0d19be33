//! The device to run on, and networks that can be built on every device.

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

impl Place {
    /// Checks that the device is available, before any work starts.
    ///
    /// # Errors
    /// If the GPU cannot be used.
    pub fn check(self) -> Result<(), Box<dyn Error>> {
        #[cfg(feature = "cuda")]
        if let Self::Cuda(number) = self {
            ksdsl_runtime::cuda::device(number)?;
        }
        Ok(())
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
    use super::Place;

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
