//! Shapes of activations.

use std::fmt;

/// The shape of one image's activations between layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Feature maps.
    Map {
        /// Channels.
        channels: u64,
        /// Height in pixels.
        height: u64,
        /// Width in pixels.
        width: u64,
    },
    /// A vector of this many features.
    Flat(u64),
}

impl Shape {
    /// Channels of a map, features of a vector.
    pub fn channels(self) -> u64 {
        match self {
            Shape::Map { channels, .. } => channels,
            Shape::Flat(features) => features,
        }
    }

    /// Values per channel.
    pub fn pixels(self) -> u64 {
        match self {
            Shape::Map { height, width, .. } => height * width,
            Shape::Flat(_) => 1,
        }
    }

    /// Values in all.
    pub fn elements(self) -> u64 {
        self.channels() * self.pixels()
    }

    /// The sizes in PyTorch's order, without the batch.
    pub fn sizes(self) -> Vec<u64> {
        match self {
            Shape::Map {
                channels,
                height,
                width,
            } => vec![channels, height, width],
            Shape::Flat(features) => vec![features],
        }
    }

    /// The same shape with other channels.
    pub fn with_channels(self, channels: u64) -> Self {
        match self {
            Shape::Map { height, width, .. } => Shape::Map {
                channels,
                height,
                width,
            },
            Shape::Flat(_) => Shape::Flat(channels),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&join_sizes(&self.sizes()))
    }
}

/// A shape as messages name it.
pub(crate) fn in_words(shape: Shape) -> String {
    match shape {
        Shape::Map { .. } => shape.to_string(),
        Shape::Flat(features) => format!("a vector of {features}"),
    }
}

/// `64x3x3` of `[64, 3, 3]`.
pub fn join_sizes(sizes: &[u64]) -> String {
    sizes.iter().map(u64::to_string).collect::<Vec<_>>().join("x")
}
