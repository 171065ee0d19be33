//! Types of weights narrower than `f32`.

use crate::linear::{Way, way};
use std::str::FromStr;

/// What the values of a kernel are rounded to. Arithmetic stays in `f32`: products of one row, as in decoding, read the
/// narrower values, which is what bounds them, and compute what they would with the rounded values in `f32`, bit for bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum WeightType {
    /// As they are.
    #[default]
    F32,
    /// The upper 16 bits of an `f32`.
    Bf16,
    /// Integers from -127 to 127, times a factor for each output channel.
    Int8,
}

/// Magnitudes from which a channel is not rounded to integers: their products could overflow.
const TOO_GREAT: f32 = 1e37;

impl WeightType {
    /// Its name: `f32`, `bf16` or `int8`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// Rounds the values of a kernel, whose `outputs` channels lie one after the other, to the nearest of this type; ties go
    /// to even. An `Int8` channel with a NaN, an infinite value or one above 1e37 in magnitude stays as it is.
    ///
    /// # Panics
    /// If the channels are not of one size.
    pub fn round(self, values: &mut [f32], outputs: usize) {
        assert!(
            outputs > 0 && values.len().is_multiple_of(outputs),
            "channels of one size"
        );
        match self {
            Self::F32 => {}
            Self::Bf16 => values.iter_mut().for_each(|value| *value = bf16(*value)),
            Self::Int8 => values.chunks_exact_mut((values.len() / outputs).max(1)).for_each(int8),
        }
    }

    /// The bytes that a product of one row reads of a kernel of this type, whose `outputs` channels sum `terms` products
    /// each. Kernels that are small are read in `f32` whatever their type.
    pub fn bytes(self, outputs: usize, terms: usize) -> u64 {
        let [values, channels] = [outputs.saturating_mul(terms), outputs].map(|count| count as u64);
        match (self, way::<f32>(1, terms, outputs, true)) {
            (Self::Bf16, Way::Row) => 2 * values,
            (Self::Int8, Way::Row) => values + 4 * channels,
            _ => 4 * values,
        }
    }
}

impl FromStr for WeightType {
    type Err = &'static str;

    /// Its name, as options have it.
    fn from_str(name: &str) -> Result<Self, &'static str> {
        let mut all = [Self::F32, Self::Bf16, Self::Int8].into_iter();
        all.find(|of| of.name() == name).ok_or("expected f32, bf16 or int8")
    }
}

fn bf16(value: f32) -> f32 {
    let bits = value.to_bits();
    if value.is_nan() {
        return f32::from_bits((bits | 0x0040_0000) & 0xFFFF_0000);
    }
    // Half of the last place that is kept, less one where it is even.
    let half = 0x7FFF + ((bits >> 16) & 1);
    f32::from_bits(bits.saturating_add(half) & 0xFFFF_0000)
}

fn int8(channel: &mut [f32]) {
    let greatest = channel.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
    let fits = channel.iter().all(|value| value.abs() < TOO_GREAT);
    if greatest == 0.0 || !fits {
        return;
    }
    // With 17 significant bits, so that products with integers of seven bits are exact, and so that 127 times the factor
    // gives the factor again.
    let scale = f32::from_bits((int8_scale(greatest).to_bits() + 0x7F) & !0x7F);
    for value in channel {
        // Not -0.
        *value = (*value / scale).round_ties_even() * scale + 0.0;
    }
}

/// The factor of a channel of integers whose greatest magnitude is this.
pub(crate) fn int8_scale(greatest: f32) -> f32 {
    greatest / 127.0
}

#[cfg(test)]
mod tests {
    use super::WeightType::{Bf16, F32, Int8};

    fn rounded(to: super::WeightType, values: &[f32], outputs: usize) -> Vec<f32> {
        let mut values = values.to_vec();
        to.round(&mut values, outputs);
        values
    }

    /// `torch.tensor([1.00390625, 1.01171875, 1.1, -3.3, 1e-40, 3.4e38]).bfloat16().float()`
    #[test]
    fn bf16_is_the_nearest_with_ties_to_even() {
        let values = [1.003_906_3, 1.011_718_8, 1.1, -3.3, 1e-40, 3.4e38];
        let expected = [1.0, 1.015_625, 1.101_562_5, -3.296_875, 9.183_55e-41, f32::INFINITY];
        assert_eq!(rounded(Bf16, &values, 1), expected);
        assert!(rounded(Bf16, &[f32::from_bits(0x7F80_0001)], 1)[0].is_nan());
        assert_eq!(rounded(Bf16, &[f32::NEG_INFINITY], 1), [f32::NEG_INFINITY]);
    }

    #[test]
    fn int8_has_a_factor_for_each_channel_and_rounds_by_half_a_step() {
        let values: Vec<f32> = (0..4000)
            .map(|i| ((i * i) as f32 * 0.37).sin() * (1 + i / 1000) as f32)
            .collect();
        let after = rounded(Int8, &values, 4);
        for (before, after) in values.chunks(1000).zip(after.chunks(1000)) {
            let greatest = |values: &[f32]| values.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
            let step = greatest(before) / 127.0;
            let integers: Vec<f32> = after.iter().map(|value| value / (greatest(after) / 127.0)).collect();
            assert!(
                integers
                    .iter()
                    .all(|integer| integer.fract() == 0.0 && integer.abs() <= 127.0)
            );
            assert!(integers.contains(&127.0) || integers.contains(&-127.0));
            let apart = before.iter().zip(after).map(|(before, after)| (before - after).abs());
            assert!(apart.fold(0.0, f32::max) <= 0.5001 * step);
        }
        // What is rounded stays.
        assert_eq!(rounded(Int8, &after, 4), after);
        assert_eq!(rounded(Int8, &[0.0, 0.0, f32::NAN, 1.0], 2)[..2], [0.0, 0.0]);
        assert_eq!(rounded(Int8, &[3e38, 1.0, -0.001, 1.0], 2)[0], 3e38);
    }

    /// 256 x 256 values are two tasks' worth of products, 255 x 256 one, which is not cut and reads the kernel in `f32`.
    #[test]
    fn products_of_one_row_read_a_half_and_a_quarter_of_great_kernels() {
        let bytes = |outputs, terms| [F32, Bf16, Int8].map(|to| to.bytes(outputs, terms));
        assert_eq!(bytes(256, 256), [4 << 16, 2 << 16, (1 << 16) + 4 * 256]);
        assert_eq!(bytes(255, 256), [4 * 255 * 256; 3]);
        assert_eq!(bytes(0, 256), [0; 3]);
    }
}
