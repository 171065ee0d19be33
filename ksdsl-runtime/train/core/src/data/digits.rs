//! The handwritten digits of Alpaydin and Kaynak; `data/README.md` says where they come from.

use super::gunzip::Gunzip;
use super::{DataError, Dataset, Sizes};
use std::io::Read;

const EMBEDDED: &[u8] = include_bytes!("../../data/digits.csv.gz");

/// The embedded digits take 265 KB unpacked; this stops archives that would fill the memory.
const MOST_BYTES: u64 = 64 << 20;

/// Characters of a wrong field that its error shows.
const SHOWN: usize = 16;

/// Handwritten digits as 8x8 grey images: how dark each pixel is, 0 to 16, and which digit it is.
#[derive(Clone, Copy, Debug)]
pub struct Digits;

/// Pixels of a digit.
const PIXELS: usize = Digits::SIZES.values();

impl Digits {
    /// One channel of 8 x 8 pixels, ten classes.
    pub const SIZES: Sizes = Sizes::new([1, 8, 8], 10);
    /// The largest value of a pixel.
    pub const DARKEST: u8 = 16;

    /// The 1,797 digits that this crate carries: the test part of "Optical Recognition of
    /// Handwritten Digits" (E. Alpaydin and C. Kaynak 1998, doi 10.24432/C50P49, CC BY 4.0).
    pub fn embedded() -> Dataset {
        Self::read(EMBEDDED).expect("the embedded digits are well-formed")
    }

    /// Reads gzip-compressed lines of 64 pixels and a class, separated by commas, without header.
    pub fn read(gzip: &[u8]) -> Result<Dataset, DataError> {
        let mut bytes = Vec::new();
        Gunzip::new(gzip)
            .take(MOST_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(DataError::Unpack)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(DataError::TooLarge { limit: MOST_BYTES });
        }
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for (text, line) in String::from_utf8_lossy(&bytes).lines().zip(1..) {
            let values = parse(text, line)?;
            pixels.extend(&values[..PIXELS]);
            labels.push(u16::from(values[PIXELS]));
        }
        if labels.is_empty() {
            return Err(DataError::Empty);
        }
        Dataset::new(Self::SIZES, pixels, labels)
    }
}

/// The pixels and the class of a line.
fn parse(text: &str, line: usize) -> Result<[u8; PIXELS + 1], DataError> {
    let expected = PIXELS + 1;
    let found = text.split(',').count();
    if found != expected {
        return Err(DataError::Columns { line, found, expected });
    }
    let mut values = [0; PIXELS + 1];
    for ((value, field), column) in values.iter_mut().zip(text.split(',')).zip(1..) {
        let (largest, expected) = if column == expected {
            (Digits::SIZES.classes as u8 - 1, "a class, 0 to 9")
        } else {
            (Digits::DARKEST, "a pixel, 0 to 16")
        };
        *value = number(field, largest).ok_or_else(|| DataError::Field {
            line,
            column,
            text: field.chars().take(SHOWN).flat_map(char::escape_debug).collect(),
            expected,
        })?;
    }
    Ok(values)
}

/// A number of digits alone: no sign, no blanks.
fn number(text: &str, largest: u8) -> Option<u8> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&value: &u8| plain && value <= largest)
}

#[cfg(test)]
#[path = "digits_tests.rs"]
mod tests;
