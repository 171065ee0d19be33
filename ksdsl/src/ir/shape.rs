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
    /// A signal, which to operations is maps of one row.
    Signal {
        /// Channels.
        channels: u64,
        /// The number of samples.
        length: u64,
    },
    /// A vector of this many features.
    Flat(u64),
    /// A sequence.
    Tokens {
        /// The number of tokens.
        length: u64,
        /// Features of a token.
        features: u64,
    },
    /// A sequence of token ids.
    Ids {
        /// The number of tokens.
        length: u64,
        /// Ids are below this.
        vocabulary: u64,
    },
}

impl Shape {
    /// Channels of a map, features of a vector or of a token; an id is one value.
    pub fn channels(self) -> u64 {
        match self {
            Shape::Map { channels, .. } | Shape::Signal { channels, .. } => channels,
            Shape::Flat(features) | Shape::Tokens { features, .. } => features,
            Shape::Ids { .. } => 1,
        }
    }

    /// Values per channel.
    pub fn pixels(self) -> u64 {
        match self {
            Shape::Map { height, width, .. } => height * width,
            Shape::Signal { length, .. } | Shape::Tokens { length, .. } | Shape::Ids { length, .. } => length,
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
            Shape::Signal { channels, length } => vec![channels, length],
            Shape::Flat(features) => vec![features],
            Shape::Tokens { length, features } => vec![length, features],
            Shape::Ids { length, .. } => vec![length],
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
            Shape::Signal { length, .. } => Shape::Signal { channels, length },
            Shape::Flat(_) => Shape::Flat(channels),
            Shape::Tokens { length, .. } => Shape::Tokens {
                length,
                features: channels,
            },
            Shape::Ids { .. } => self,
        }
    }

    /// The axis of channels or features in PyTorch, with the batch as axis 0.
    pub(crate) fn python_channels(self) -> usize {
        match self {
            Shape::Tokens { .. } => 2,
            Shape::Map { .. } | Shape::Signal { .. } | Shape::Flat(_) | Shape::Ids { .. } => 1,
        }
    }

    /// The same to operations: for a signal, maps of one row.
    pub(crate) fn as_map(self) -> Self {
        match self {
            Shape::Signal { channels, length } => Shape::Map {
                channels,
                height: 1,
                width: length,
            },
            shape => shape,
        }
    }

    /// What an input of this shape is, as counts per input name it.
    pub(crate) fn item(self) -> &'static str {
        match self {
            Shape::Map { .. } => "image",
            Shape::Tokens { .. } | Shape::Ids { .. } => "sequence",
            Shape::Signal { .. } | Shape::Flat(_) => "input",
        }
    }

    /// Whether PyTorch and checkpoints have its values channel by channel, where activations have them position by
    /// position.
    pub fn is_channels_first(self) -> bool {
        matches!(self, Shape::Map { .. } | Shape::Signal { .. })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Ids { length, vocabulary } => write!(f, "{length} of {vocabulary}"),
            shape => f.write_str(&join_sizes(&shape.sizes())),
        }
    }
}

/// A shape as messages name it.
pub(crate) fn in_words(shape: Shape) -> String {
    match shape {
        Shape::Map { .. } => shape.to_string(),
        Shape::Signal { channels, length } => format!("a signal of {channels} channels and {length} samples"),
        Shape::Flat(features) => format!("a vector of {features}"),
        Shape::Tokens { length, features } => format!("a sequence of {length} tokens of {features} features"),
        Shape::Ids { length, vocabulary } => format!("a sequence of {length} token ids below {vocabulary}"),
    }
}

/// `64x3x3` of `[64, 3, 3]`.
pub fn join_sizes(sizes: &[u64]) -> String {
    sizes.iter().map(u64::to_string).collect::<Vec<_>>().join("x")
}
