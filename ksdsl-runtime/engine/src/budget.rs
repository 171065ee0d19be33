//! How much memory a step of training may take.

use std::fmt;
use std::str::FromStr;

/// The memory of a step of training besides the model, its gradients and the optimiser's state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MemoryBudget {
    /// A fraction, above 0 and at most 1, of what the step takes if it keeps all that its backward pass needs.
    Fraction(f64),
    /// Bytes.
    Bytes(u64),
}

/// The units of bytes.
const UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

impl MemoryBudget {
    /// The bytes, of a step that takes `all` without a budget.
    pub fn bytes(self, all: u128) -> u128 {
        match self {
            Self::Fraction(fraction) => (all as f64 * fraction) as u128,
            Self::Bytes(bytes) => bytes.into(),
        }
    }
}

impl fmt::Display for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fraction(fraction) => fraction.fmt(f),
            Self::Bytes(bytes) => write!(f, "{bytes}B"),
        }
    }
}

impl FromStr for MemoryBudget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            "expected a fraction above 0 and at most 1, such as 0.5, or bytes with a unit (B, kB, MB, GB, KiB, MiB, GiB), \
             such as 200MiB"
                .to_owned()
        };
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = text[digits.len()..].trim();
        let number: f64 = digits.trim_end().parse().map_err(|_| expected())?;
        if unit.is_empty() {
            let fraction = Some(Self::Fraction(number)).filter(|_| number > 0.0 && number <= 1.0);
            return fraction.ok_or_else(expected);
        }
        let unit = UNITS.iter().find(|(name, _)| *name == unit);
        let bytes = unit.map(|(_, size)| number * *size as f64);
        let bytes = bytes.filter(|bytes| (1.0..u64::MAX as f64).contains(bytes));
        bytes.map(|bytes| Self::Bytes(bytes as u64)).ok_or_else(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryBudget::{self, Bytes, Fraction};

    #[test]
    fn fractions_and_bytes_are_read() {
        for (text, expected) in [
            ("0.35", Fraction(0.35)),
            ("1", Fraction(1.0)),
            ("200MiB", Bytes(209_715_200)),
            ("1.5 GB", Bytes(1_500_000_000)),
            ("4096B", Bytes(4096)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "", "0", "-0.5", "1.5", "nan", "inf", "100", "MiB", "3 mb", "0B", "1e30GB", "-1MB", "5é",
        ] {
            let error = text.parse::<MemoryBudget>().unwrap_err();
            assert!(error.starts_with("expected a fraction above 0"), "{text}: {error}");
        }
    }

    #[test]
    fn fractions_are_of_all() {
        assert_eq!(Fraction(0.25).bytes(1000), 250);
        assert_eq!(Bytes(3).bytes(1000), 3);
    }
}
