//! Images as bytes, and transforms of them.

use rand_chacha::ChaCha8Rng;
use std::fmt::Debug;

/// An image of `channels x height x width` bytes, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    channels: usize,
    height: usize,
    width: usize,
    /// The bytes.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// Creates an image from its bytes.
    ///
    /// # Panics
    /// If there are not `channels * height * width` values.
    pub fn new(channels: usize, height: usize, width: usize, pixels: Vec<u8>) -> Self {
        assert_eq!(
            pixels.len(),
            channels * height * width,
            "a picture of {channels} x {height} x {width} values"
        );
        Self {
            channels,
            height,
            width,
            pixels,
        }
    }

    /// The number of channels: 1 for grey, 3 for RGB.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The height.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The width.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The bytes, channel by channel.
    pub(super) fn planes(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.pixels.chunks_exact_mut((self.height * self.width).max(1))
    }

    /// Maps every byte through a lookup table.
    pub(super) fn look_up(&mut self, table: impl Fn(u8) -> u8) {
        for pixel in &mut self.pixels {
            *pixel = table(*pixel);
        }
    }

    /// The luminance of each pixel; for images without three channels, the first channel.
    pub(super) fn grey(&self) -> Vec<u8> {
        let plane = self.height * self.width;
        let Some((red, [green, blue])) = self.rgb() else {
            return self.pixels[..plane.min(self.pixels.len())].to_vec();
        };
        (0..plane).map(|i| lightness([red[i], green[i], blue[i]])).collect()
    }

    fn rgb(&self) -> Option<(&[u8], [&[u8]; 2])> {
        let plane = self.height * self.width;
        (self.channels == 3).then(|| {
            let (red, rest) = self.pixels.split_at(plane);
            let (green, blue) = rest.split_at(plane);
            (red, [green, blue])
        })
    }
}

/// The luminance of a colour: `(19595 r + 38470 g + 7471 b) / 65536`, rounded (ITU-R 601-2, as PIL's mode `L`).
pub(in crate::data) fn lightness(color: [u8; 3]) -> u8 {
    let [red, green, blue] = color.map(u32::from);
    ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8
}

/// A random transform that preserves an image's size and class. The result is a function of the image and of the
/// numbers drawn from `rng`.
///
/// The `Debug` text says what the change is with all its settings: runs keep it, and refuse to resume under
/// another one.
pub trait Transform: Debug + Send + Sync {
    /// Transforms `picture` in place.
    fn apply(&self, picture: &mut Picture, rng: &mut ChaCha8Rng);
}
