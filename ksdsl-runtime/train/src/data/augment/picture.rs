//! A picture and what may be done to it.

use rand_chacha::ChaCha8Rng;
use std::fmt::Debug;

/// A picture of `channels x height x width` bytes, 0 to 255: channel by channel, each row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    channels: usize,
    height: usize,
    width: usize,
    /// The values.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// A picture of these values.
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

    /// How many channels: 1 for grey, 3 for red, green and blue.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// How many rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// How many columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The channels' values, one after the other.
    pub(super) fn planes(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.pixels.chunks_exact_mut((self.height * self.width).max(1))
    }

    /// Replaces every value by that of `table`.
    pub(super) fn look_up(&mut self, table: impl Fn(u8) -> u8) {
        for pixel in &mut self.pixels {
            *pixel = table(*pixel);
        }
    }

    /// How light each place is; the first channel itself unless there are three.
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

/// How light a colour is: `(19595 r + 38470 g + 7471 b) / 65536`, rounded (ITU-R 601-2, as PIL's mode `L`).
pub(in crate::data) fn lightness(color: [u8; 3]) -> u8 {
    let [red, green, blue] = color.map(u32::from);
    ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8
}

/// A change of a picture that keeps its size and what it shows. What it does is a function of the picture
/// and of what it draws from `rng`.
///
/// The `Debug` text says what the change is with all its settings: runs keep it, and refuse to go on under
/// another one.
pub trait Transform: Debug + Send + Sync {
    /// Changes `picture`.
    fn apply(&self, picture: &mut Picture, rng: &mut ChaCha8Rng);
}
