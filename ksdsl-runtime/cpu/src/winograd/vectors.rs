//! The maps of `lanes` for tiles of `f32`, a vector of channels at a time.
//!
//! A tile is given as the addresses of its pixels; those outside the map are addresses of zeros (to
//! read) or of a pixel that nobody reads (to write), so that no kernel looks for borders. A vector
//! is loaded once and stored twice (after the columns and after the rows). Where there is a fused
//! multiply-add it is used: 12 instructions for each vector of 6 or of 4 values, where the generic
//! maps take 24.

use super::super::simd::{Lanes, Operation};
use super::points::POINTS;
use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

/// Pixels of an output tile.
pub(super) const PIXELS: usize = 16;

/// What a tile is mapped from and to, `channels` values at each address.
#[derive(Clone, Copy)]
pub(super) struct TileOf<const FROM: usize, const TO: usize> {
    pub(super) from: [*const f32; FROM],
    pub(super) to: [*mut f32; TO],
    pub(super) channels: usize,
}

/// An input tile to the points.
pub(super) struct Input<T>(pub(super) T);
/// A tile of output gradients to the points.
pub(super) struct Gradient<T>(pub(super) T);
/// Points to an output tile, plus the bias.
pub(super) struct Output<T>(pub(super) T, pub(super) *const f32);

/// `B^T d`.
#[inline(always)]
unsafe fn input<V: Lanes>(d: [V; 6]) -> [V; 6] {
    // SAFETY: called below `Level::run` only, as all here.
    unsafe {
        let (a, b) = (V::splat(FRAC_1_SQRT_2), V::splat(SQRT_2));
        let (less_a, less_b) = (V::splat(-FRAC_1_SQRT_2), V::splat(-SQRT_2));
        let (half, two, more) = (V::splat(-0.5), V::splat(-2.0), V::splat(-2.5));
        let (even_a, odd_a) = (d[2].mul_add(two, d[4]), d[1].mul_add(two, d[3]));
        let (even_b, odd_b) = (d[2].mul_add(half, d[4]), d[1].mul_add(half, d[3]));
        [
            d[2].mul_add(more, d[0].add(d[4])),
            odd_a.mul_add(a, even_a),
            odd_a.mul_add(less_a, even_a),
            odd_b.mul_add(b, even_b),
            odd_b.mul_add(less_b, even_b),
            d[3].mul_add(more, d[1].add(d[5])),
        ]
    }
}

/// `A^T m`.
#[inline(always)]
unsafe fn output<V: Lanes>(m: [V; 6]) -> [V; 4] {
    // SAFETY: as above.
    unsafe {
        let (a, b) = (V::splat(FRAC_1_SQRT_2), V::splat(SQRT_2));
        let (half, two) = (V::splat(0.5), V::splat(2.0));
        let (half_a, two_b) = (V::splat(0.5 * FRAC_1_SQRT_2), V::splat(2.0 * SQRT_2));
        let (even_a, odd_a) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (even_b, odd_b) = (m[3].add(m[4]), m[3].sub(m[4]));
        [
            m[0].add(even_a).add(even_b),
            odd_b.mul_add(b, a.mul(odd_a)),
            even_b.mul_add(two, half.mul(even_a)),
            odd_a.mul_add(half_a, odd_b.mul_add(two_b, m[5])),
        ]
    }
}

/// `A d`.
#[inline(always)]
unsafe fn gradient<V: Lanes>(d: [V; 4]) -> [V; 6] {
    // SAFETY: as above.
    unsafe {
        let (a, b) = (V::splat(FRAC_1_SQRT_2), V::splat(SQRT_2));
        let (less_a, less_b) = (V::splat(-FRAC_1_SQRT_2), V::splat(-SQRT_2));
        let (half, two) = (V::splat(0.5), V::splat(2.0));
        let (even_a, odd_a) = (d[2].mul_add(half, d[0]), d[3].mul_add(half, d[1]));
        let (even_b, odd_b) = (d[2].mul_add(two, d[0]), d[3].mul_add(two, d[1]));
        [
            d[0],
            odd_a.mul_add(a, even_a),
            odd_a.mul_add(less_a, even_a),
            odd_b.mul_add(b, even_b),
            odd_b.mul_add(less_b, even_b),
            d[3],
        ]
    }
}

/// A map of both axes, written for one vector of channels: first the columns, then the rows.
macro_rules! both_ways {
    ($tile:ident, $at:ident, $some:ident, $map:ident, $from:literal to $to:literal, $value:ident => $last:expr) => {{
        let mut half = [[V::zero(); $from]; $to];
        for column in 0..$from {
            let mut values = [V::zero(); $from];
            for (row, value) in values.iter_mut().enumerate() {
                let from = $tile.from[row * $from + column].wrapping_add($at);
                *value = if $some == V::LANES {
                    V::load(from)
                } else {
                    V::load_some(from, $some)
                };
            }
            let mapped = $map(values);
            for (row, half) in half.iter_mut().enumerate() {
                half[column] = mapped[row];
            }
        }
        for (row, half) in half.iter().enumerate() {
            let mapped = $map(*half);
            for (column, &$value) in mapped.iter().enumerate() {
                let to = $tile.to[row * $to + column].wrapping_add($at);
                let value = $last;
                if $some == V::LANES {
                    value.store(to)
                } else {
                    value.store_some(to, $some)
                }
            }
        }
    }};
}

/// Goes through the channels; the last vector may be a part of one.
macro_rules! for_vectors {
    ($tile:ident, $at:ident, $some:ident, $body:block) => {{
        let full = $tile.channels / V::LANES * V::LANES;
        for $at in (0..full).step_by(V::LANES) {
            let $some = V::LANES;
            $body
        }
        if full < $tile.channels {
            let ($at, $some) = (full, $tile.channels - full);
            $body
        }
    }};
}

impl<I: Iterator<Item = TileOf<POINTS, POINTS>>> Operation for Input<I> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        for tile in self.0 {
            // SAFETY: who makes a tile vouches for its addresses; `Level::run` for the features.
            unsafe {
                for_vectors!(tile, at, some, {
                    both_ways!(tile, at, some, input, 6 to 6, value => value)
                });
            }
        }
    }
}

impl<I: Iterator<Item = TileOf<PIXELS, POINTS>>> Operation for Gradient<I> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        for tile in self.0 {
            // SAFETY: as above.
            unsafe {
                for_vectors!(tile, at, some, {
                    both_ways!(tile, at, some, gradient, 4 to 6, value => value)
                });
            }
        }
    }
}

impl<I: Iterator<Item = TileOf<POINTS, PIXELS>>> Operation for Output<I> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        for tile in self.0 {
            // SAFETY: as above; the bias has as many values as the tile channels.
            unsafe {
                for_vectors!(tile, at, some, {
                    let bias = self.1.wrapping_add(at);
                    let bias = if some == V::LANES {
                        V::load(bias)
                    } else {
                        V::load_some(bias, some)
                    };
                    both_ways!(tile, at, some, output, 6 to 4, value => value.add(bias))
                });
            }
        }
    }
}
