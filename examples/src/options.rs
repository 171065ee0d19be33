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
