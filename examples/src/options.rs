//! Values of command-line options.

use std::num::NonZeroU32;

/// A whole number, 1 at least.
pub fn count(text: &str) -> Result<NonZeroU32, String> {
    let expected = |_| format!("expected a whole number from 1 to {}", u32::MAX);
    text.parse().map_err(expected)
}

/// A learning rate.
pub fn rate(text: &str) -> Result<f64, &'static str> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate <= 10.0 => Ok(rate),
        _ => Err("expected a number above 0, up to 10"),
    }
}

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnCpu;

/// A device of this build.
pub fn device(text: &str) -> Result<OnCpu, String> {
    let number = text
        .strip_prefix("cuda")
        .map(|rest| rest.strip_prefix(':').unwrap_or(rest));
    match number {
        None if text == "cpu" => Ok(OnCpu),
        Some(number) if number.is_empty() || number.parse::<u32>().is_ok() => {
            Err("this program was built without the feature `cuda`; expected cpu".to_owned())
        }
        _ => Err("expected cpu, or cuda:N for the GPU of number N".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{count, device, rate};

    #[test]
    fn devices_are_named() {
        assert!(device("cpu").is_ok());
        for text in ["cuda", "cuda:0", "cuda:12"] {
            assert!(
                device(text).unwrap_err().contains("without the feature `cuda`"),
                "{text}"
            );
        }
        for text in ["gpu", "cuda:x", "cuda:-1", "cpu:0"] {
            assert!(
                device(text).unwrap_err().starts_with("expected cpu, or cuda:N"),
                "{text}"
            );
        }
    }

    #[test]
    fn counts_and_rates_have_bounds() {
        assert!(count("1").is_ok() && count("0").is_err() && count("-1").is_err() && count("1.5").is_err());
        assert!(rate("0.1").is_ok() && rate("0").is_err() && rate("NaN").is_err() && rate("11").is_err());
    }
}
