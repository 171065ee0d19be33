//! The device to run on.

use clap::ValueEnum;
use std::error::Error;
use std::str::FromStr;

/// The device to run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// The CPU.
    #[default]
    Cpu,
    /// The GPU with this index.
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

/// Checks the precision of a program that runs on the CPU alone; `instead` is what to do on a GPU.
///
/// # Errors
/// If a GPU is meant.
pub fn only_cpu(place: Place, precision: Precision, instead: &str) -> Result<(), Box<dyn Error>> {
    match place {
        Place::Cpu if precision != Precision::Full => {
            Err("--precision is for GPUs: the CPU computes in full precision".into())
        }
        Place::Cpu => Ok(()),
        Place::Cuda(_) => Err(format!("--device: {instead}; expected cpu").into()),
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
        number
            .map(Self::Cuda)
            .ok_or_else(|| "expected cpu, or cuda:N for the GPU with index N".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Precision, only_cpu};

    #[test]
    fn the_cpu_has_full_precision() {
        assert!(only_cpu(Place::Cpu, Precision::Full, "").is_ok());
        let error = only_cpu(Place::Cpu, Precision::Tf32, "").unwrap_err();
        assert!(error.to_string().starts_with("--precision is for GPUs"), "{error}");
        let error = only_cpu(Place::Cuda(1), Precision::Full, "no GPU").unwrap_err();
        assert_eq!(error.to_string(), "--device: no GPU; expected cpu");
    }

    #[test]
    fn devices_are_named() {
        assert_eq!("cpu".parse(), Ok(Place::Cpu));
        assert_eq!("cuda".parse(), Ok(Place::Cuda(0)));
        assert_eq!("cuda:12".parse(), Ok(Place::Cuda(12)));
        for text in ["gpu", "cuda:x", "cuda:-1", "cuda0", "cpu:0", ""] {
            let error = text.parse::<Place>().unwrap_err();
            assert!(error.starts_with("expected cpu, or cuda:N"), "{text}: {error}");
        }
    }
}
