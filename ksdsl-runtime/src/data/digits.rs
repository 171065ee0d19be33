//! The handwritten digits of Alpaydin and Kaynak; `data/README.md` says where they come from.

use super::DataError;
use flate2::read::MultiGzDecoder;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::io::Read;

const EMBEDDED: &[u8] = include_bytes!("../../data/digits.csv.gz");

/// The embedded digits take 265 KB unpacked; this stops archives that would fill the memory.
const MOST_BYTES: u64 = 64 << 20;

/// Characters of a wrong field that its error shows.
const SHOWN: usize = 16;

/// A grey image of a digit and which digit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digit {
    /// How dark each pixel is, 0 to 16, row by row.
    pub pixels: [u8; Digits::PIXELS],
    /// The digit, 0 to 9.
    pub class: u8,
}

/// Handwritten digits as 8x8 grey images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digits {
    digits: Vec<Digit>,
}

impl Digits {
    /// Rows, and columns, of an image.
    pub const SIDE: usize = 8;
    /// Pixels of an image.
    pub const PIXELS: usize = Self::SIDE * Self::SIDE;
    /// The digits 0 to 9.
    pub const CLASSES: usize = 10;
    /// The largest value of a pixel.
    pub const DARKEST: u8 = 16;

    /// The 1,797 digits that this crate carries: the test part of "Optical Recognition of
    /// Handwritten Digits" (E. Alpaydin and C. Kaynak 1998, doi 10.24432/C50P49, CC BY 4.0).
    pub fn embedded() -> Self {
        Self::read(EMBEDDED).expect("the embedded digits are well-formed")
    }

    /// Reads gzip-compressed lines of 64 pixels and a class, separated by commas, without header.
    pub fn read(gzip: &[u8]) -> Result<Self, DataError> {
        let mut bytes = Vec::new();
        MultiGzDecoder::new(gzip)
            .take(MOST_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(DataError::Unpack)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(DataError::TooLarge { limit: MOST_BYTES });
        }
        let digits = String::from_utf8_lossy(&bytes)
            .lines()
            .zip(1..)
            .map(|(text, line)| Digit::parse(text, line))
            .collect::<Result<Vec<_>, _>>()?;
        if digits.is_empty() {
            return Err(DataError::Empty);
        }
        Ok(Self { digits })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.digits.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.digits.is_empty()
    }

    /// The digits in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Digit> {
        self.digits.iter()
    }

    /// The digits as a slice, in order.
    pub fn as_slice(&self) -> &[Digit] {
        &self.digits
    }

    /// A part to train with and a part to hold out: of every class, `held_out` of its images,
    /// rounded, chosen at random by `seed`. Both parts keep the order of the whole.
    ///
    /// # Panics
    /// If `held_out` is not within 0 to 1.
    pub fn split(&self, held_out: f64, seed: u64) -> (Self, Self) {
        assert!(
            (0.0..=1.0).contains(&held_out),
            "a share is within 0 to 1, not {held_out}"
        );
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut is_held_out = vec![false; self.len()];
        for class in 0..Self::CLASSES {
            let mut members: Vec<usize> = (0..self.len())
                .filter(|&i| usize::from(self.digits[i].class) == class)
                .collect();
            members.shuffle(&mut rng);
            members.truncate((held_out * members.len() as f64).round() as usize);
            members.into_iter().for_each(|i| is_held_out[i] = true);
        }
        (self.part(|i| !is_held_out[i]), self.part(|i| is_held_out[i]))
    }

    fn part(&self, belongs: impl Fn(usize) -> bool) -> Self {
        let digits = (0..self.len()).filter(|&i| belongs(i)).map(|i| self.digits[i]);
        Self {
            digits: digits.collect(),
        }
    }
}

impl FromIterator<Digit> for Digits {
    fn from_iter<I: IntoIterator<Item = Digit>>(digits: I) -> Self {
        Self {
            digits: digits.into_iter().collect(),
        }
    }
}

impl<'a> IntoIterator for &'a Digits {
    type Item = &'a Digit;
    type IntoIter = std::slice::Iter<'a, Digit>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Digit {
    fn parse(text: &str, line: usize) -> Result<Self, DataError> {
        let expected = Digits::PIXELS + 1;
        let found = text.split(',').count();
        if found != expected {
            return Err(DataError::Columns { line, found, expected });
        }
        let mut values = [0; Digits::PIXELS + 1];
        for ((value, field), column) in values.iter_mut().zip(text.split(',')).zip(1..) {
            let (largest, expected) = if column == expected {
                (Digits::CLASSES as u8 - 1, "a class, 0 to 9")
            } else {
                (Digits::DARKEST, "a pixel, 0 to 16")
            };
            *value = number(field, largest).ok_or_else(|| DataError::Field {
                line,
                column,
                text: field.chars().take(SHOWN).collect(),
                expected,
            })?;
        }
        let (pixels, class) = values.split_at(Digits::PIXELS);
        let mut digit = Self {
            pixels: [0; Digits::PIXELS],
            class: class[0],
        };
        digit.pixels.copy_from_slice(pixels);
        Ok(digit)
    }
}

/// A number of digits alone: no sign, no blanks.
fn number(text: &str, largest: u8) -> Option<u8> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&value: &u8| plain && value <= largest)
}

#[cfg(test)]
#[path = "digits_tests.rs"]
mod tests;
