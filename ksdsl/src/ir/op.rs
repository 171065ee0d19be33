//! The operations of layers, and their tensors.

use super::Shape;

/// A finite number that can be compared and hashed.
#[derive(Clone, Copy, Debug)]
pub struct Real(pub f64);

impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Real {}

impl std::hash::Hash for Real {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// The initial value of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Init {
    /// Every element has this value.
    Constant(Real),
    /// Uniform between plus and minus this bound.
    Uniform(Real),
    /// Normal with mean 0 and this standard deviation.
    Normal(Real),
}

/// How the runtime computes a convolution; the outcome differs by rounding only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Chosen by the heuristic.
    #[default]
    Auto,
    /// Direct convolution.
    Direct,
    /// Winograd's F(4x4, 3x3).
    Winograd,
    /// Toom and Cook's F(3, 3) along the rows.
    ToomCook,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Direct, Self::Winograd, Self::ToomCook];

    /// The word for it in the language.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Direct => "direct",
            Self::Winograd => "winograd",
            Self::ToomCook => "toom_cook",
        }
    }
}

/// A convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Input channels.
    pub inputs: u64,
    /// Output channels.
    pub outputs: u64,
    /// Height and width of the kernel.
    pub kernel: [u64; 2],
    /// Vertical and horizontal step.
    pub stride: [u64; 2],
    /// Zero rows above and below, zero columns left and right.
    pub pad: [u64; 4],
    /// Vertical and horizontal distance between taps.
    pub dilation: [u64; 2],
    /// Groups.
    pub groups: u64,
    /// Whether a bias is added.
    pub bias: bool,
    /// The initial values of kernel and bias.
    pub init: [Init; 2],
    /// How it is computed.
    pub algorithm: Algorithm,
}

/// Maximum or average.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// Maximum.
    Max,
    /// Average, padding counted.
    Average,
}

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Activation {
    Relu,
    Gelu,
    GeluTanh,
    Silu,
    Sigmoid,
    HardSwish,
}

/// The operation of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// A convolution.
    Conv(Conv),
    /// A linear layer.
    Linear {
        /// Input features.
        inputs: u64,
        /// Output features.
        outputs: u64,
        /// Whether a bias is added.
        bias: bool,
        /// The initial values of kernel and bias.
        init: [Init; 2],
    },
    /// Batch normalisation with scale, shift and running statistics per channel.
    BatchNorm {
        /// Channels.
        channels: u64,
        /// Added to the variance.
        eps: Real,
        /// Weight of the newest batch in the running statistics.
        momentum: Real,
    },
    /// Normalisation over the channels of each position, with scale and shift per channel.
    LayerNorm {
        /// Channels.
        channels: u64,
        /// Added to the variance.
        eps: Real,
    },
    /// Scaled dot-product attention (Vaswani et al. 2017, section 3.2) over the positions of maps, on
    /// queries, keys and values that its node computes.
    Attend {
        /// Heads, each on as many channels.
        heads: u64,
    },
    /// Adds a learned map.
    PositionEmbedding {
        /// Channels, height and width.
        shape: [u64; 3],
        /// Its initial value.
        init: Init,
    },
    /// An activation function.
    Activation(Activation),
    /// Pooling over windows.
    Pool {
        /// Maximum or average.
        kind: PoolKind,
        /// Height and width of the window.
        kernel: [u64; 2],
        /// Vertical and horizontal step.
        stride: [u64; 2],
        /// Padding above and below, left and right.
        pad: [u64; 2],
    },
    /// Pooling of whole maps to one value per channel.
    GlobalPool(PoolKind),
    /// Dropout with this probability.
    Dropout(Real),
    /// Maps to a vector, in the order channel, row, column.
    Flatten,
    /// A layer with an error in it; never reaches code generation.
    Invalid,
}

/// One tensor of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name in the layer, as in PyTorch.
    pub name: &'static str,
    /// Its sizes, as in PyTorch.
    pub shape: Vec<u64>,
    /// Whether training changes it through gradients.
    pub trainable: bool,
    /// The part it belongs to.
    pub part: Part,
}

/// The parts of a layer that are shared or private on their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The kernel of a convolution or linear layer, or a position embedding.
    Kernel,
    /// The bias of a convolution or linear layer.
    Bias,
    /// A whole norm: scale, shift and running statistics.
    Norm,
}

impl Op {
    /// The word the layer has in summaries.
    pub fn word(&self) -> &'static str {
        match self {
            Op::Conv(conv) if conv.groups > 1 && conv.groups == conv.inputs => "depthwise",
            Op::Conv(conv) if conv.kernel == [1, 1] => "pointwise",
            Op::Conv(_) => "conv",
            Op::Linear { .. } => "linear",
            Op::BatchNorm { .. } => "batch_norm",
            Op::LayerNorm { .. } => "layer_norm",
            Op::Attend { .. } => "attend",
            Op::PositionEmbedding { .. } => "position_embedding",
            Op::Activation(Activation::Relu) => "relu",
            Op::Activation(Activation::Gelu) => "gelu",
            Op::Activation(Activation::GeluTanh) => "gelu_tanh",
            Op::Activation(Activation::Silu) => "silu",
            Op::Activation(Activation::Sigmoid) => "sigmoid",
            Op::Activation(Activation::HardSwish) => "hard_swish",
            Op::Pool {
                kind: PoolKind::Max, ..
            } => "max_pool",
            Op::Pool {
                kind: PoolKind::Average,
                ..
            } => "avg_pool",
            Op::GlobalPool(PoolKind::Max) => "global_max_pool",
            Op::GlobalPool(PoolKind::Average) => "global_avg_pool",
            Op::Dropout(_) => "dropout",
            Op::Flatten => "flatten",
            Op::Invalid => "invalid",
        }
    }

    /// The tensors of the layer, in the order checkpoints list them.
    pub fn tensors(&self) -> Vec<Tensor> {
        let tensor = |name, shape: &[u64], trainable, part| Tensor {
            name,
            shape: shape.to_vec(),
            trainable,
            part,
        };
        match *self {
            Op::Conv(conv) => {
                let [ky, kx] = conv.kernel;
                let weight = [conv.outputs, conv.inputs / conv.groups.max(1), ky, kx];
                let mut tensors = vec![tensor("weight", &weight, true, Part::Kernel)];
                tensors.extend(conv.bias.then(|| tensor("bias", &[conv.outputs], true, Part::Bias)));
                tensors
            }
            Op::Linear {
                inputs, outputs, bias, ..
            } => {
                let mut tensors = vec![tensor("weight", &[outputs, inputs], true, Part::Kernel)];
                tensors.extend(bias.then(|| tensor("bias", &[outputs], true, Part::Bias)));
                tensors
            }
            Op::BatchNorm { channels, .. } => [
                ("weight", true),
                ("bias", true),
                ("running_mean", false),
                ("running_var", false),
            ]
            .map(|(name, trainable)| tensor(name, &[channels], trainable, Part::Norm))
            .to_vec(),
            Op::LayerNorm { channels, .. } => ["weight", "bias"]
                .map(|name| tensor(name, &[channels], true, Part::Norm))
                .to_vec(),
            Op::PositionEmbedding { shape: [c, h, w], .. } => {
                vec![tensor("weight", &[1, c, h, w], true, Part::Kernel)]
            }
            _ => Vec::new(),
        }
    }

    /// The sizes of the kernel, for layers that have one.
    pub fn kernel_shape(&self) -> Option<Vec<u64>> {
        self.tensors()
            .into_iter()
            .find(|tensor| tensor.part == Part::Kernel)
            .map(|tensor| tensor.shape)
    }

    /// Rows and columns of the kernel of a convolution or linear layer as a matrix: one row for each
    /// output channel, `[out][in / groups * height * width]`.
    pub fn kernel_matrix(&self) -> Option<[u64; 2]> {
        match self {
            Op::Conv(_) | Op::Linear { .. } => {
                let shape = self.kernel_shape()?;
                let (rows, columns) = shape.split_first()?;
                Some([*rows, columns.iter().product()])
            }
            _ => None,
        }
    }

    /// The initial values of kernel and bias, for layers that have a kernel.
    pub fn inits(&self) -> Option<[Init; 2]> {
        match *self {
            Op::Conv(Conv { init, .. }) | Op::Linear { init, .. } => Some(init),
            Op::PositionEmbedding { init, .. } => Some([init, Init::Constant(Real(0.0))]),
            _ => None,
        }
    }

    /// Multiply-adds per image: those of convolutions and linear layers, and of both products of
    /// attention.
    pub fn macs(&self, output: Shape) -> u128 {
        let per_output = match self {
            Op::Conv(conv) => conv.inputs / conv.groups.max(1) * conv.kernel[0] * conv.kernel[1],
            Op::Linear { inputs, .. } => *inputs,
            // Each channel of a query meets that of every key, and each of its outputs every value.
            Op::Attend { .. } => 2 * output.pixels(),
            _ => 0,
        };
        u128::from(per_output) * u128::from(output.elements())
    }
}
