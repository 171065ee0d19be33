//! Colour transforms, byte for byte as in PIL.
//!
//! A picture of three channels is taken as red, green and blue; of any other number of channels, colours stay
//! and lightness is that of the first.

use super::Picture;

/// `from + factor * (to - from)` in single precision, truncated towards 0 and to 0..=255.
fn blend(from: u8, to: u8, factor: f32) -> u8 {
    let (from, to) = (i32::from(from), i32::from(to));
    // The cast keeps to 0..=255 and takes a factor that is not a number as 0.
    (from as f32 + factor * (to - from) as f32) as u8
}

impl Picture {
    /// Scales brightness: 0 gives black, 1 the original.
    pub fn brightness(&mut self, factor: f32) {
        self.look_up(|pixel| blend(0, pixel, factor));
    }

    /// Scales contrast, the distance from the mean luminance: 0 gives grey, 1 the original.
    pub fn contrast(&mut self, factor: f32) {
        let grey = self.grey();
        let sum: u64 = grey.iter().copied().map(u64::from).sum();
        let count = grey.len().max(1) as u64;
        let mean = ((2 * sum + count) / (2 * count)) as u8;
        self.look_up(|pixel| blend(mean, pixel, factor));
    }

    /// Scales saturation: 0 gives greyscale, 1 the original. Without three channels nothing changes.
    pub fn saturation(&mut self, factor: f32) {
        if self.channels() != 3 {
            return;
        }
        let grey = self.grey();
        for plane in self.planes() {
            for (pixel, &grey) in plane.iter_mut().zip(&grey) {
                *pixel = blend(grey, *pixel, factor);
            }
        }
    }

    /// Scales sharpness: 0 gives a blurred image, 1 the original, above 1 a sharper one. The blur is a 3x3 mean in
    /// which the centre counts five times; the outermost pixels stay.
    pub fn sharpness(&mut self, factor: f32) {
        let (height, width) = (self.height(), self.width());
        if height < 3 || width < 3 {
            return;
        }
        for plane in self.planes() {
            let old = plane.to_vec();
            for y in 1..height - 1 {
                for x in 1..width - 1 {
                    let sums = (y - 1..=y + 1).map(|y| {
                        let row = &old[y * width + x - 1..][..3];
                        row.iter().copied().map(u32::from).sum::<u32>()
                    });
                    let here = y * width + x;
                    let sum = sums.sum::<u32>() + 4 * u32::from(old[here]);
                    let blurred = ((2 * sum + 13) / 26) as u8;
                    plane[here] = blend(blurred, old[here], factor);
                }
            }
        }
    }

    /// Shifts the hue by a fraction of the colour wheel, -0.5 to 0.5. Without three channels
    /// nothing changes.
    pub fn hue(&mut self, part: f64) {
        if self.channels() != 3 {
            return;
        }
        let turn = (part * 255.0) as i32 as u8;
        let plane = self.height() * self.width();
        let (red, rest) = self.pixels.split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
            let [hue, saturation, value] = hsv([*red, *green, *blue]);
            [*red, *green, *blue] = rgb([hue.wrapping_add(turn), saturation, value]);
        }
    }

    /// Stretches each channel to the range 0 to 255.
    pub fn auto_contrast(&mut self) {
        for plane in self.planes() {
            let low = plane.iter().copied().min().unwrap_or(0);
            let high = plane.iter().copied().max().unwrap_or(0);
            if low < high {
                let scale = 255.0 / f64::from(high - low);
                let offset = -f64::from(low) * scale;
                for pixel in plane {
                    *pixel = (f64::from(*pixel) * scale + offset) as u8;
                }
            }
        }
    }

    /// Equalises the histogram of each channel.
    pub fn equalize(&mut self) {
        for plane in self.planes() {
            let mut counts = [0; 256];
            plane.iter().for_each(|&pixel| counts[usize::from(pixel)] += 1);
            let last = counts.iter().rev().copied().find(|&count| count > 0).unwrap_or(0);
            let step = (plane.len() - last) / 255;
            if step == 0 {
                continue;
            }
            let mut below = step / 2;
            let table = counts.map(|count| {
                let value = (below / step).min(255) as u8;
                below += count;
                value
            });
            plane.iter_mut().for_each(|pixel| *pixel = table[usize::from(*pixel)]);
        }
    }

    /// Inverts values of at least `threshold`: `v` becomes `255 - v`. Above 255 nothing changes.
    pub fn solarize(&mut self, threshold: f64) {
        self.look_up(|pixel| {
            if f64::from(pixel) < threshold {
                pixel
            } else {
                255 - pixel
            }
        });
    }

    /// Inverts all values: `v` becomes `255 - v`.
    pub fn invert(&mut self) {
        self.look_up(|pixel| 255 - pixel);
    }

    /// Adds to values below 128, up to 255.
    pub fn solarize_add(&mut self, added: u8) {
        self.look_up(|pixel| match pixel {
            0..128 => pixel.saturating_add(added),
            _ => pixel,
        });
    }

    /// Keeps the `bits` highest bits of each value, 0 to 8.
    pub fn posterize(&mut self, bits: u32) {
        let mask = (0xFF00_u32 >> bits.min(8)) as u8;
        self.look_up(|pixel| pixel & mask);
    }
}

/// Hue, saturation and value, each 0 to 255, of red, green and blue.
fn hsv([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let (high, low) = (red.max(green).max(blue), red.min(green).min(blue));
    if high == low {
        return [0, 0, high];
    }
    let range = f32::from(high - low);
    let [r, g, b] = [red, green, blue].map(|value| f32::from(high - value) / range);
    let sixth = if red == high {
        b - g
    } else if green == high {
        (2.0 + f64::from(r) - f64::from(b)) as f32
    } else {
        (4.0 + f64::from(g) - f64::from(r)) as f32
    };
    let hue = ((f64::from(sixth) / 6.0 + 1.0) % 1.0) as f32;
    let saturation = range / f32::from(high);
    let byte = |part: f32| (f64::from(part) * 255.0) as u8;
    [byte(hue), byte(saturation), high]
}

/// Red, green and blue of hue, saturation and value.
fn rgb([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let sixth = f64::from(f32::from(hue)) * 6.0 / 255.0;
    let (sector, part) = (sixth.floor(), sixth - sixth.floor());
    let saturation = f64::from((f64::from(saturation) / 255.0) as f32);
    let part = f64::from(part as f32);
    let scaled = |factor: f64| (f64::from(value) * factor).round() as u8;
    let p = scaled(1.0 - saturation);
    let q = scaled(1.0 - saturation * part);
    let t = scaled(1.0 - saturation * (1.0 - part));
    match sector as u8 % 6 {
        0 => [value, t, p],
        1 => [q, value, p],
        2 => [p, value, t],
        3 => [p, q, value],
        4 => [t, p, value],
        _ => [value, p, q],
    }
}
