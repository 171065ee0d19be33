//! The sizes a kernel needs to know, as plain numbers.
//!
//! Activations are stored NHWC: element `(n, y, x, c)` of a map with height `h`, width `w` and
//! `c` channels lies at `((n * h + y) * w + x) * channels + c`. Kernels of convolutions are stored
//! as PyTorch does, `[out][in / groups][ky][kx]`; linear weights `[out][in]`.

/// A batch of feature maps, stored NHWC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapSize {
    /// Images in the batch.
    pub batch: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Channels.
    pub channels: usize,
}

impl MapSize {
    /// Pixels of the whole batch: the number of rows of `channels` values.
    pub fn rows(&self) -> usize {
        self.batch * self.height * self.width
    }

    /// Elements of the whole batch.
    pub fn len(&self) -> usize {
        self.rows() * self.channels
    }

    /// Rows of channel values, as norms see it.
    pub fn by_rows(&self) -> RowSize {
        RowSize {
            rows: self.rows(),
            channels: self.channels,
        }
    }

    /// The size of maps of one pixel with these channels.
    pub fn of_one_pixel(self) -> Self {
        Self {
            height: 1,
            width: 1,
            ..self
        }
    }

    /// Whether NCHW and NHWC are the same order: one pixel or one channel.
    pub fn has_one_layout(&self) -> bool {
        self.height * self.width == 1 || self.channels == 1
    }

    /// Whether the batch holds no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where a window is placed over a map: the same fields for convolutions and pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Window height and width in taps.
    pub kernel: [usize; 2],
    /// Step between windows, vertical and horizontal.
    pub stride: [usize; 2],
    /// Zero rows above and zero columns left of the map. What is needed below and to the right
    /// follows from the output size.
    pub pad: [usize; 2],
    /// Distance between taps, vertical and horizontal.
    pub dilation: [usize; 2],
}

impl Window {
    /// A window of one tap.
    pub const POINT: Self = Self {
        kernel: [1; 2],
        stride: [1; 2],
        pad: [0; 2],
        dilation: [1; 2],
    };
}

/// The algorithm of a convolution and its gradients. If it does not support a pass, [`Algorithm::Auto`] applies.
/// It is a hint that an executor may ignore; results differ by rounding only, also for non-finite values. Networks ask
/// for none: [`Algorithm::Direct`], [`Algorithm::Winograd`] and [`Algorithm::ToomCook`] are for tests of executors and
/// for what a meter reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// The executor's heuristic chooses by the sizes.
    #[default]
    Auto,
    /// The same for the output of a training pass, where rounding counts: a value that is zero but for
    /// rounding passes a ReLU or does not, and in a norm over few values that changes whole gradients.
    Training,
    /// Direct convolution.
    Direct,
    /// Winograd's F(4x4, 3x3) (Lavin & Gray 2016): dense 3x3 kernels, stride and dilation 1, at
    /// most 2 of padding.
    Winograd,
    /// Toom and Cook's F(3, 3) along the rows: depthwise kernels, stride 1, no dilation along the
    /// rows.
    ToomCook,
}

/// A 2-d convolution (cross-correlation, as in every deep-learning system).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvSize {
    /// The input.
    pub input: MapSize,
    /// The output; `output.batch == input.batch`.
    pub output: MapSize,
    /// The window; weights are `[output.channels][input.channels / groups][kernel[0]][kernel[1]]`.
    pub window: Window,
    /// Groups; divides both channel counts.
    pub groups: usize,
    /// The algorithm that is asked for.
    pub algorithm: Algorithm,
    /// In inference on a slice of a larger batch, the micro-batch size in images: the executor's choices depend on it
    /// instead of the batch size, so that no bit of the output depends on the slice size.
    pub unit: Option<usize>,
}

impl ConvSize {
    /// A linear layer, a convolution of maps of one pixel.
    pub fn linear(input: MapSize, outputs: usize) -> Self {
        Self {
            input,
            output: MapSize {
                channels: outputs,
                ..input
            },
            window: Window::POINT,
            groups: 1,
            algorithm: Algorithm::Auto,
            unit: None,
        }
    }

    /// That of the output in a training pass.
    pub fn in_training(self) -> Self {
        let algorithm = match self.algorithm {
            Algorithm::Auto => Algorithm::Training,
            chosen => chosen,
        };
        Self { algorithm, ..self }
    }

    /// What an executor chooses algorithms by: a unit of the batch, or all of it.
    pub fn for_rules(self) -> Self {
        let batch = self.unit.unwrap_or(self.input.batch);
        Self {
            input: MapSize { batch, ..self.input },
            output: MapSize { batch, ..self.output },
            unit: None,
            ..self
        }
    }
}

/// The slices in which a batch runs through a network in inference, so that each fits into the caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slices {
    /// Images per micro-batch (unit), see [`ConvSize::unit`]; at least one.
    pub unit: usize,
    /// Images per slice, a multiple of the unit.
    pub images: usize,
}

/// 2-d pooling; `input.channels == output.channels`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSize {
    /// The input.
    pub input: MapSize,
    /// The output.
    pub output: MapSize,
    /// The window; `dilation` is `[1, 1]`.
    pub window: Window,
}

/// A linear layer: `rows` vectors of `inputs` values become vectors of `outputs` values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearSize {
    /// Number of vectors.
    pub rows: usize,
    /// Values per input vector.
    pub inputs: usize,
    /// Values per output vector.
    pub outputs: usize,
}

/// Attention over the positions of maps, its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionSize {
    /// Images in the batch.
    pub batch: usize,
    /// Queries of an image.
    pub queries: usize,
    /// Keys of an image, and values.
    pub keys: usize,
    /// Channels of a query, those of all heads.
    pub channels: usize,
    /// Heads; divides the channels.
    pub heads: usize,
    /// Heads of keys and of values, which have as many channels each as a head of queries; divides the heads. The first
    /// [`AttentionSize::group`] heads of queries read the first of them, and so on (grouped-query attention, Ainslie et
    /// al. 2023).
    pub key_heads: usize,
    /// Whether a query sees only the keys up to its own position, and not all. There must then be as many keys as
    /// queries: where there are not, PyTorch and decoders that keep keys differ in which positions correspond.
    pub causal: bool,
}

impl AttentionSize {
    /// That of a batch of images with so many tokens each, of which each sees all.
    pub fn full(batch: usize, tokens: usize, channels: usize, heads: usize) -> Self {
        Self {
            batch,
            queries: tokens,
            keys: tokens,
            channels,
            heads,
            key_heads: heads,
            causal: false,
        }
    }

    /// Channels of a head.
    pub fn depth(&self) -> usize {
        self.channels / self.heads.max(1)
    }

    /// Heads of queries for each head of keys.
    pub fn group(&self) -> usize {
        (self.heads / self.key_heads.max(1)).max(1)
    }

    /// Channels of a key, and of a value.
    pub fn key_channels(&self) -> usize {
        self.key_heads * self.depth()
    }

    /// The number of keys that a query of an image sees, which are the first.
    pub fn seen(&self, query: usize) -> usize {
        match self.causal {
            true => self.keys.min(query + 1),
            false => self.keys,
        }
    }

    /// Elements of the queries of the whole batch, and of the output.
    pub fn len(&self) -> usize {
        self.batch * self.queries * self.channels
    }

    /// Elements of the keys of the whole batch, and of the values.
    pub fn key_len(&self) -> usize {
        self.batch * self.keys * self.key_channels()
    }

    /// Whether the batch holds no queries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Rows of channel values: what norms and per-channel operations see of a map or a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowSize {
    /// Number of rows.
    pub rows: usize,
    /// Values per row.
    pub channels: usize,
}

/// The kind of pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// Maximum; padding never wins.
    Max,
    /// Sum over the window divided by its full size, padding counted (PyTorch's default).
    Average,
}

/// An activation function, element by element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `max(x, 0)`; gradient 0 at 0, as in PyTorch.
    Relu,
    /// `x * Phi(x)` with the exact normal distribution (PyTorch's `GELU()`).
    Gelu,
    /// `0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))` (PyTorch's `GELU(approximate="tanh")`).
    GeluTanh,
    /// `x * sigmoid(x)` (PyTorch's `SiLU`).
    Silu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `x * min(max(x + 3, 0), 6) / 6` (PyTorch's `Hardswish`, its gradient at -3 and 3 too).
    HardSwish,
    /// `min(max(x, 0), 6)`; gradient 0 at both ends, as in PyTorch.
    Relu6,
}

/// What follows a convolution in a fused block: an activation before batch normalisation and one
/// after it (and after the residual is added), where there are such.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Between the convolution and the normalisation.
    pub before: Option<Activation>,
    /// At the end: `None` or [`Activation::Relu`].
    pub after: Option<Activation>,
}
