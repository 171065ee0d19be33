//! Geometric transforms.

use super::{Picture, Transform};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// A random crop of the image's size from the zero-padded image.
/// `pad = 4` is the usual choice for CIFAR (He et al. 2016, arXiv 1512.03385, section 4.2; torchvision's
/// `RandomCrop(size, padding)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaddedCrop {
    /// Padding in pixels.
    pub pad: usize,
}

impl Transform for PaddedCrop {
    fn apply(&self, picture: &mut Picture, rng: &mut ChaCha8Rng) {
        let pad = i64::try_from(self.pad).unwrap_or(i64::MAX / 4).min(1 << 30);
        let mut place = || rng.gen_range(0..=2 * pad) - pad;
        let (down, right) = (place(), place());
        picture.moved(-right, -down);
    }
}

/// A random horizontal flip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HorizontalFlip {
    /// The probability, 0 to 1.
    pub probability: f64,
}

impl Default for HorizontalFlip {
    /// With probability 0.5.
    fn default() -> Self {
        Self { probability: 0.5 }
    }
}

impl Transform for HorizontalFlip {
    fn apply(&self, picture: &mut Picture, rng: &mut ChaCha8Rng) {
        if rng.r#gen::<f64>() < self.probability {
            picture.flip();
        }
    }
}

/// Interpolation of values between pixels, with PIL's arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Linear in both directions.
    Bilinear,
    /// Cubic in both directions (a = -1).
    Bicubic,
}

/// The matrix of a counter-clockwise rotation about the centre, as PIL's `Image.rotate` computes it.
pub(super) fn centre_rotation(width: f64, height: f64, degrees: f64) -> [f64; 6] {
    let angle = -degrees.to_radians();
    let rounded = |value: f64| (value * 1e15).round_ties_even() / 1e15;
    // `libm` gives the same on every machine, unlike the system's library.
    let (sin, cos) = (rounded(libm::sin(angle)), rounded(libm::cos(angle)));
    let (x, y) = (width / 2.0, height / 2.0);
    let [c, f] = [cos * -x + sin * -y, -sin * -x + cos * -y];
    [cos, sin, c + x, -sin, cos, f + y]
}

/// Where PIL's `FIX` rounds a coordinate: 16 bits before and 16 after the point.
fn fixed(value: f64) -> i64 {
    (value * 65_536.0 + 0.5).floor() as i64
}

impl Sampling {
    /// The value at a place between the pixels of a plane; those at the edge are repeated.
    fn value(self, plane: &[u8], (height, width): (usize, usize), (x, y): (f64, f64)) -> u8 {
        let clamped = |at: i64, size: usize| at.clamp(0, size as i64 - 1) as usize;
        let (column, row) = (x.floor(), y.floor());
        let (dx, dy) = (x - column, y - row);
        let (column, row) = (column as i64, row as i64);
        let pixel = |row: i64, column: i64| f64::from(plane[clamped(row, height) * width + clamped(column, width)]);
        match self {
            Self::Bilinear => {
                let mixed = |from: f64, to: f64, part: f64| from + (to - from) * part;
                let across = |row: i64| mixed(pixel(row, column), pixel(row, column + 1), dx);
                mixed(across(row), across(row + 1), dy) as u8
            }
            Self::Bicubic => {
                let across = |row: i64| cubic([-1, 0, 1, 2].map(|right| pixel(row, column + right)), dx);
                cubic([-1, 0, 1, 2].map(|down| across(row + down)), dy) as u8
            }
        }
    }
}

/// The cubic through the two middle values, with PIL's order of operations.
fn cubic([v1, v2, v3, v4]: [f64; 4], part: f64) -> f64 {
    let first = -v1 + v3;
    let second = 2.0 * (v1 - v2) + v3 - v4;
    let third = -v1 + v2 - v3 + v4;
    v2 + part * (first + part * (second + part * third))
}

impl Picture {
    /// Flips horizontally.
    pub fn flip(&mut self) {
        let width = self.width().max(1);
        self.pixels.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    }

    /// Translates by pixels to the right and down; the fill value is 0.
    pub fn moved(&mut self, right: i64, down: i64) {
        self.affine([1.0, 0.0, -right as f64, 0.0, 1.0, -down as f64]);
    }

    /// Shears by `slope` pixels to the left per row, with nearest-neighbour sampling and fill value 0, as
    /// torchvision's `RandAugment` does with `ShearX`.
    pub fn shear_x(&mut self, slope: f64) {
        self.affine([1.0, slope, 0.0, 0.0, 1.0, 0.0]);
    }

    /// Shears by `slope` pixels up per column, like [`Picture::shear_x`].
    pub fn shear_y(&mut self, slope: f64) {
        self.affine([1.0, 0.0, 0.0, slope, 1.0, 0.0]);
    }

    /// Rotates counter-clockwise by degrees about the centre, with nearest-neighbour sampling and fill value 0, as
    /// PIL's `Image.rotate`.
    pub fn rotate(&mut self, degrees: f64) {
        let angle = -degrees.to_radians();
        // `libm` gives the same on every machine, unlike the system's library.
        let (sin, cos) = (libm::sin(angle), libm::cos(angle));
        let (x, y) = (self.width() as f64 / 2.0, self.height() as f64 / 2.0);
        let (dx, dy) = (x - cos * x - sin * y, y + sin * x - cos * y);
        self.affine([cos, sin, dx, -sin, cos, dy]);
    }

    /// Takes the value at `(x, y)` from `(a x + b y + c, d x + e y + f)`, with interpolation; what comes from outside has
    /// the colour `fill`.
    pub fn sampled(&mut self, [a, b, c, d, e, f]: [f64; 6], sampling: Sampling, fill: &[u8]) {
        let (height, width) = (self.height(), self.width());
        let from = |i: usize| {
            let (x, y) = ((i % width) as f64 + 0.5, (i / width) as f64 + 0.5);
            let (x, y) = (a * x + b * y + c, d * x + e * y + f);
            let inside = (0.0..width as f64).contains(&x) && (0.0..height as f64).contains(&y);
            inside.then_some((x - 0.5, y - 0.5))
        };
        let sources: Vec<Option<(f64, f64)>> = (0..height * width).map(from).collect();
        for (channel, plane) in self.planes().enumerate() {
            let old = plane.to_vec();
            for (value, source) in plane.iter_mut().zip(&sources) {
                *value = match source {
                    Some(at) => sampling.value(&old, (height, width), *at),
                    None => fill.get(channel).copied().unwrap_or(0),
                };
            }
        }
    }

    /// Takes the value at `(x, y)` from `(a x + b y + c, d x + e y + f)`: the centres of the pixels are meant,
    /// the nearest pixel is taken, and 0 from outside. Coordinates are rounded to 1/65536 of a pixel, as PIL's
    /// `Image.transform` does.
    pub fn affine(&mut self, [a, b, c, d, e, f]: [f64; 6]) {
        let (height, width) = (self.height(), self.width());
        let (start_x, start_y) = (fixed(c + (a + b) * 0.5), fixed(f + (d + e) * 0.5));
        let [a, b, d, e] = [a, b, d, e].map(fixed);
        let from = |x: usize, y: usize| {
            let (x, y) = (x as i64, y as i64);
            // Saturating, for a place far outside is outside.
            let at = |start: i64, a: i64, b: i64| {
                start
                    .saturating_add(a.saturating_mul(x))
                    .saturating_add(b.saturating_mul(y))
            };
            let column = usize::try_from(at(start_x, a, b) >> 16).ok()?;
            let row = usize::try_from(at(start_y, d, e) >> 16).ok()?;
            (column < width && row < height).then_some(row * width + column)
        };
        let sources: Vec<Option<usize>> = (0..height * width).map(|i| from(i % width, i / width)).collect();
        let mut old = Vec::new();
        for plane in self.planes() {
            old.clear();
            old.extend_from_slice(plane);
            for (value, source) in plane.iter_mut().zip(&sources) {
                *value = source.map_or(0, |source| old[source]);
            }
        }
    }
}
