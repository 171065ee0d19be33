//! Normalisation of pixels.

use super::Dataset;

/// Normalises pixels to mean 0 and variance 1 per channel: `(pixel - mean) / deviation`.
/// Computed from the training set only, so that no information leaks from the validation set.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// The mean of each channel.
    pub mean: Vec<f64>,
    /// The standard deviation of each channel; 1 for a constant channel.
    pub deviation: Vec<f64>,
}

impl Scaling {
    /// The scaling that normalises `data` to mean 0 and variance 1.
    pub fn of(data: &Dataset) -> Self {
        let (channels, plane) = (data.sizes().channels, data.sizes().plane());
        let count = (data.len() * plane).max(1) as f64;
        let sums = |value: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
            let mut sums = vec![0.0; channels];
            for example in data.iter() {
                for (channel, pixels) in example.pixels.chunks_exact(plane.max(1)).enumerate() {
                    sums[channel] += pixels
                        .iter()
                        .map(|&pixel| value(channel, f64::from(pixel)))
                        .sum::<f64>();
                }
            }
            sums.into_iter().map(|sum| sum / count).collect()
        };
        let mean = sums(&|_, pixel| pixel);
        let variance = sums(&|channel, pixel| (pixel - mean[channel]).powi(2)).into_iter();
        let deviation = variance.map(|variance| if variance > 0.0 { variance.sqrt() } else { 1.0 });
        Self {
            deviation: deviation.collect(),
            mean,
        }
    }

    /// The scaled values of an image, channel by channel.
    ///
    /// # Panics
    /// If the number of pixels is not a multiple of the number of channels.
    pub fn apply(&self, pixels: &[u8]) -> Vec<f32> {
        let mut values = Vec::with_capacity(pixels.len());
        self.extend(pixels, &mut values);
        values
    }

    /// Appends the scaled values of an image.
    pub(crate) fn extend(&self, pixels: &[u8], values: &mut Vec<f32>) {
        let channels = self.mean.len().max(1);
        assert_eq!(pixels.len() % channels, 0, "{channels} channels of one size");
        let planes = pixels.chunks_exact((pixels.len() / channels).max(1));
        for (channel, pixels) in planes.enumerate() {
            values.extend(pixels.iter().map(|&pixel| self.scale(channel, pixel)));
        }
    }

    /// Of each channel, what every pixel becomes.
    pub(super) fn tables(&self) -> Vec<[f32; 256]> {
        let table = |channel| std::array::from_fn(|pixel| self.scale(channel, pixel as u8));
        (0..self.mean.len()).map(table).collect()
    }

    fn scale(&self, channel: usize, pixel: u8) -> f32 {
        ((f64::from(pixel) - self.mean[channel]) / self.deviation[channel]) as f32
    }
}

#[cfg(test)]
#[path = "scaling_tests.rs"]
mod tests;
