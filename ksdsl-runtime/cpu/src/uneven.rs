//! Values that an algorithm which mixes neighbouring pixels must not mix.
//!
//! Winograd's and Toom and Cook's algorithms multiply sums of a whole tile of pixels, and take out of the
//! products what does not belong to an output. So a pixel that is not finite would spoil outputs whose windows
//! do not hold it, and the rounding of one that is far greater than all in such a window would be more than the
//! output. Such tiles are computed directly.
//!
//! Magnitudes are the bits of an `f32` without its sign. Their order is that of the values; infinity and NaNs
//! come last.

/// The maximum ratio of the tile's greatest value to the greatest value in an output's window. The output's
/// error grows as much. Up to here it is about that of the usual maps, whose values lie within a factor of 4.
const LIMIT: f32 = 16.0;
/// Sums of values from here on, 2^100, may overflow where the outputs do not.
pub(super) const HUGE: u32 = (100 + 127) << 23;

/// Whether a tile must be computed directly, by the greatest magnitude in it and the least of those that are
/// the greatest in the window of an output.
pub(super) fn is_uneven(greatest: u32, least: u32) -> bool {
    // Where each window holds a NaN, so do all outputs either way.
    let spoilt = f32::from_bits(least).is_nan();
    !spoilt && (greatest >= HUGE || f32::from_bits(greatest) > LIMIT * f32::from_bits(least))
}

#[cfg(test)]
mod tests {
    use super::is_uneven;

    #[test]
    fn what_is_far_greater_or_not_finite_is_uneven() {
        let uneven = |greatest: f32, least: f32| is_uneven(greatest.to_bits(), least.to_bits());
        assert!(!uneven(16.0, 1.0) && uneven(16.1, 1.0));
        assert!(!uneven(0.0, 0.0) && uneven(1e-30, 0.0));
        // Sums of such values may overflow, equal though they are.
        assert!(!uneven(1e30, 1e30) && uneven(1.3e30, 1.3e30));
        assert!(uneven(f32::INFINITY, 1.0) && uneven(f32::INFINITY, f32::INFINITY));
        assert!(uneven(f32::NAN, 1.0) && uneven(f32::NAN, f32::INFINITY));
        assert!(!uneven(f32::NAN, f32::NAN));
    }
}
