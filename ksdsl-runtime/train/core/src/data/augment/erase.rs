//! Random erasing and cutout.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use std::fmt::Debug;
use std::ops::Range;

/// A transform of an image's scaled values, `channels x height x width`, that replaces a part of them. See
/// [`Transform`](super::Transform) on `rng` and on the `Debug` text.
pub trait Erase: Debug + Send + Sync {
    /// Replaces a part of `values`.
    fn erase(&self, values: &mut [f32], size: (usize, usize), rng: &mut ChaCha8Rng);
}

/// The values in an erased rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Filling {
    /// A constant; 0 is the mean.
    Value(f32),
    /// Standard normal noise, per value.
    Noise,
}

/// Random erasing (Zhong et al. 2020, arXiv 1708.04896), with torchvision's parameters
/// (`RandomErasing`): its area is uniform in `area`, the logarithm of height over width is uniform in
/// `ratio`'s, its place is uniform. Ten rectangles are tried for one that fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Erasing {
    /// The probability, 0 to 1.
    pub probability: f64,
    /// The range of the area, as fractions of the image's.
    pub area: (f64, f64),
    /// The range of the aspect ratio (height / width).
    pub ratio: (f64, f64),
    /// The new values.
    pub filling: Filling,
}

impl Default for Erasing {
    /// torchvision's defaults: probability 0.5, area 0.02 to 0.33, aspect ratio 0.3 to 3.3, value 0.
    fn default() -> Self {
        Self {
            probability: 0.5,
            area: (0.02, 0.33),
            ratio: (0.3, 3.3),
            filling: Filling::Value(0.0),
        }
    }
}

impl Erasing {
    /// timm's `RandomErasing` with `mode="pixel"`: area 0.02 to 1/3, aspect ratio 0.3 to 1 / 0.3, noise.
    pub fn timm(probability: f64) -> Self {
        Self {
            probability,
            area: (0.02, 1.0 / 3.0),
            ratio: (0.3, 1.0 / 0.3),
            filling: Filling::Noise,
        }
    }

    /// Rows and columns of the rectangle that covers `area` of an image of `height x width` and is `ratio` times
    /// as high as wide; `None` if it does not lie within.
    pub fn rectangle((height, width): (usize, usize), area: f64, ratio: f64) -> Option<(usize, usize)> {
        let area = (height * width) as f64 * area;
        let rows = libm::sqrt(area * ratio).round_ties_even() as usize;
        let columns = libm::sqrt(area / ratio).round_ties_even() as usize;
        (rows < height && columns < width).then_some((rows, columns))
    }

    /// Draws the rows and columns to erase.
    pub fn draw(&self, size: (usize, usize), rng: &mut ChaCha8Rng) -> Option<(Range<usize>, Range<usize>)> {
        if rng.r#gen::<f64>() >= self.probability {
            return None;
        }
        let mut between = |(low, high): (f64, f64)| low + (high - low) * rng.r#gen::<f64>();
        let logarithms = (libm::log(self.ratio.0), libm::log(self.ratio.1));
        let (rows, columns) = (0..10).find_map(|_| {
            let area = between(self.area);
            Self::rectangle(size, area, libm::exp(between(logarithms)))
        })?;
        let top = rng.gen_range(0..=(size.0 - rows) as u64) as usize;
        let left = rng.gen_range(0..=(size.1 - columns) as u64) as usize;
        Some((top..top + rows, left..left + columns))
    }
}

impl Erase for Erasing {
    fn erase(&self, values: &mut [f32], size: (usize, usize), rng: &mut ChaCha8Rng) {
        if let Some((rows, columns)) = self.draw(size, rng) {
            fill(values, size, rows, columns, self.filling, rng);
        }
    }
}

/// Cutout: zeroes a square around a random pixel, clipped to the image (DeVries & Taylor
/// 2017, arXiv 1708.04552; `side = 16` is their choice for CIFAR-10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cutout {
    /// Rows and columns of the square.
    pub side: usize,
}

impl Cutout {
    /// The rows and columns of the square about a pixel.
    pub fn square(&self, (height, width): (usize, usize), row: usize, column: usize) -> (Range<usize>, Range<usize>) {
        let range = |middle: usize, size: usize| {
            let first = middle.saturating_sub(self.side / 2);
            // As many before the middle as after it, the middle counting as after.
            let end = (middle + self.side - self.side / 2).min(size);
            first..end.max(first)
        };
        (range(row, height), range(column, width))
    }
}

impl Erase for Cutout {
    fn erase(&self, values: &mut [f32], size: (usize, usize), rng: &mut ChaCha8Rng) {
        if size.0 > 0 && size.1 > 0 {
            let row = rng.gen_range(0..size.0 as u64) as usize;
            let column = rng.gen_range(0..size.1 as u64) as usize;
            let (rows, columns) = self.square(size, row, column);
            fill(values, size, rows, columns, Filling::Value(0.0), rng);
        }
    }
}

/// Fills a rectangle of every channel.
fn fill(
    values: &mut [f32],
    (height, width): (usize, usize),
    rows: Range<usize>,
    columns: Range<usize>,
    filling: Filling,
    rng: &mut ChaCha8Rng,
) {
    for plane in values.chunks_exact_mut((height * width).max(1)) {
        for row in rows.clone() {
            for value in &mut plane[row * width..][columns.clone()] {
                *value = match filling {
                    Filling::Value(value) => value,
                    Filling::Noise => rng.sample(StandardNormal),
                };
            }
        }
    }
}
