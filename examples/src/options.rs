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

#[cfg(test)]
mod tests {
    use super::{count, rate};

    #[test]
    fn counts_and_rates_have_bounds() {
        assert!(count("1").is_ok() && count("0").is_err() && count("-1").is_err() && count("1.5").is_err());
        assert!(rate("0.1").is_ok() && rate("0").is_err() && rate("NaN").is_err() && rate("11").is_err());
    }
}
