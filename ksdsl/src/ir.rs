//! The resolved network: every layer with its path, shapes and parameters, the tree the forward
//! pass follows, and who shares what. All arithmetic is done; nothing refers to the text any more
//! but spans for messages.

use crate::source::Span;
use std::fmt;

pub use crate::ast::{Join, SharePart};

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

/// `64x3x3` of `[64, 3, 3]`.
pub fn join_sizes(sizes: &[u64]) -> String {
    sizes.iter().map(u64::to_string).collect::<Vec<_>>().join("x")
}

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

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Init {
    /// Every element has this value.
    Constant(Real),
    /// Uniform between plus and minus this bound.
    Uniform(Real),
    /// Normal with mean 0 and this standard deviation.
    Normal(Real),
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
    /// How kernel and bias start.
    pub init: [Init; 2],
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

/// What a layer computes.
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
        /// How kernel and bias start.
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
    /// The kernel of a convolution or linear layer.
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

    /// Multiply-adds for one image: those of convolutions and linear layers.
    pub fn macs(&self, output: Shape) -> u64 {
        let per_output = match self {
            Op::Conv(conv) => conv.inputs / conv.groups.max(1) * conv.kernel[0] * conv.kernel[1],
            Op::Linear { inputs, .. } => *inputs,
            _ => 0,
        };
        per_output.saturating_mul(output.elements())
    }
}

/// One segment of a layer path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// `s1`, `conv1`.
    Name(String),
    /// `[2]`.
    Index(u32),
}

/// A layer path such as `s1[2].conv1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Path(pub Vec<Segment>);

impl Path {
    /// The path with one more segment.
    pub fn join(&self, segment: Segment) -> Path {
        let mut segments = self.0.clone();
        segments.push(segment);
        Path(segments)
    }

    /// The path as a checkpoint key: `s1.2.conv1`.
    pub fn key(&self) -> String {
        key(&self.0)
    }
}

/// Segments as a checkpoint key: `s1.2.conv1`.
pub fn key(segments: &[Segment]) -> String {
    let words: Vec<String> = segments
        .iter()
        .map(|segment| match segment {
            Segment::Name(name) => name.clone(),
            Segment::Index(index) => index.to_string(),
        })
        .collect();
    words.join(".")
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Name(name) if at == 0 => f.write_str(name)?,
                Segment::Name(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// The position of a layer in [`Network::layers`].
pub type LayerId = usize;

/// The position of a group in [`Network::groups`].
pub type GroupId = usize;

/// The kernel of a group that serves a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Visit {
    /// The group.
    pub group: GroupId,
    /// Which of the group's kernels.
    pub kernel: u32,
}

/// One layer, in the order of the forward pass.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its path.
    pub path: Path,
    /// What it computes.
    pub op: Op,
    /// The shape it receives.
    pub input: Shape,
    /// The shape it gives.
    pub output: Shape,
    /// Where it was written.
    pub span: Span,
    /// The group its kernel (or norm) belongs to, if shared.
    pub kernel: Option<Visit>,
    /// The group its bias belongs to, if shared.
    pub bias: Option<Visit>,
}

/// Layers that use the same kernel or, where the clause splits them, the same few kernels.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name: the field of the shared kernel.
    pub name: String,
    /// The parts shared through it.
    pub parts: Vec<Part>,
    /// One of its layers' operations: all have the same parameter shapes.
    pub op: Op,
    /// Its layers, in the order of the forward pass.
    pub visits: Vec<LayerId>,
    /// The kernel each visit uses.
    pub assignment: Vec<u32>,
    /// How many kernels it has.
    pub kernels: u32,
    /// The clause that made it.
    pub span: Span,
}

impl Group {
    /// The name of one of its kernels, also its checkpoint key below `shared.`: `s1_conv`, or
    /// `s1_conv.0` where there are several.
    pub fn kernel_name(&self, kernel: u32) -> String {
        match self.kernels {
            1 => self.name.clone(),
            _ => format!("{}.{kernel}", self.name),
        }
    }

    /// The shapes of the shared tensors, trainable or not.
    pub fn tensors(&self) -> Vec<Tensor> {
        self.op
            .tensors()
            .into_iter()
            .filter(|tensor| self.parts.contains(&tensor.part))
            .collect()
    }
}

/// What a scope is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ScopeKind {
    /// `stage name { ... }`.
    Stage,
    /// An expansion of the block of this name.
    Block(String),
    /// One pass through a `repeat` whose body is more than a block.
    Iteration,
}

/// A part of the tree with a path of its own.
#[derive(Clone, Debug)]
pub struct Scope {
    /// What it is.
    pub kind: ScopeKind,
    /// Its path.
    pub path: Path,
    /// How many segments of the path its parent scope has.
    pub parent_depth: usize,
    /// What is in it.
    pub nodes: Vec<Node>,
    /// The shape it receives.
    pub input: Shape,
    /// The shape it gives.
    pub output: Shape,
}

impl Scope {
    /// Its path relative to the scope around it.
    pub fn relative(&self) -> &[Segment] {
        &self.path.0[self.parent_depth..]
    }
}

/// A step of the forward pass.
#[derive(Clone, Debug)]
pub enum Node {
    /// A layer.
    Layer(LayerId),
    /// A stage, block or iteration.
    Scope(Scope),
    /// `main(x) + skip(x)`; an empty skip is the identity.
    Residual {
        /// The main way.
        main: Vec<Node>,
        /// The other way.
        skip: Vec<Node>,
    },
    /// Branches of one input.
    Branch {
        /// How their outputs are joined.
        join: Join,
        /// The branches, each with the shape it gives; an empty one is the identity.
        arms: Vec<(Vec<Node>, Shape)>,
        /// The joined shape.
        output: Shape,
    },
    /// `x * gate(x)`, one factor per channel (squeeze-and-excitation).
    Gate(Vec<Node>),
}

/// A resolved network.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// The `///` lines above it.
    pub docs: Vec<String>,
    /// Its parameters with their values, as text.
    pub parameters: Vec<(String, crate::value::Value)>,
    /// The shape of an input image.
    pub input: Shape,
    /// The shape of an output.
    pub output: Shape,
    /// The forward pass.
    pub nodes: Vec<Node>,
    /// All layers in the order of the forward pass.
    pub layers: Vec<Layer>,
    /// All sharing groups, in the order of the clauses.
    pub groups: Vec<Group>,
}
