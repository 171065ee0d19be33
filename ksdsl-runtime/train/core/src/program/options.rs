//! Parsers for the values of command-line options.

use std::num::NonZeroU32;

/// A positive integer.
pub fn count(text: &str) -> Result<NonZeroU32, String> {
    let expected = |_| format!("expected an integer from 1 to {}", u32::MAX);
    text.parse().map_err(expected)
}

/// The maximum number of threads, more than any machine has cores.
const MAX_THREADS: u32 = 1024;

/// A number of threads.
pub fn threads(text: &str) -> Result<NonZeroU32, String> {
    match text.parse() {
        Ok(threads) if threads <= MAX_THREADS => NonZeroU32::new(threads),
        _ => None,
    }
    .ok_or_else(|| format!("expected an integer from 1 to {MAX_THREADS}"))
}

/// A learning rate.
pub fn rate(text: &str) -> Result<f64, &'static str> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate <= 10.0 => Ok(rate),
        _ => Err("expected a number above 0, at most 10"),
    }
}

#[cfg(test)]
mod tests {
    use super::{count, rate, threads};

    #[test]
    fn counts_and_rates_have_bounds() {
        assert!(count("1").is_ok() && count("0").is_err() && count("-1").is_err() && count("1.5").is_err());
        assert!(threads("1").is_ok() && threads("1024").is_ok());
        for text in ["0", "1025", "1000000", "4294967295", "99999999999", "-1", ""] {
            assert_eq!(
                threads(text).unwrap_err(),
                "expected an integer from 1 to 1024",
                "{text}"
            );
        }
        assert!(rate("0.1").is_ok() && rate("0").is_err() && rate("NaN").is_err() && rate("11").is_err());
    }
}
