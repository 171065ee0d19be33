//! The tensors of operations.

use super::{Args, InitChoice};

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

impl Init {
    /// The initial values of kernel and bias. The default is that of PyTorch's convolutions and linear layers: uniform
    /// within `1 / sqrt(fan_in)` for both (Kaiming uniform with `a = sqrt(5)`). It also applies to the projections of
    /// attention, where `nn.MultiheadAttention` uses Xavier uniform and zero biases.
    pub(super) fn of_kernel_and_bias(args: &Args, fan_in: f64, fan_out: f64) -> [Self; 2] {
        ["init", "bias_init"].map(|param| Self::of(args.init(param), fan_in, fan_out))
    }

    /// The initial value of a parameter of these fans.
    pub(super) fn of(choice: Option<InitChoice>, fan_in: f64, fan_out: f64) -> Self {
        let fans = fan_in + fan_out;
        match choice {
            None => Init::Uniform(Real(1.0 / fan_in.sqrt())),
            Some(InitChoice::KaimingNormal) => Init::Normal(Real((2.0 / fan_in).sqrt())),
            Some(InitChoice::KaimingUniform) => Init::Uniform(Real((6.0 / fan_in).sqrt())),
            Some(InitChoice::XavierNormal) => Init::Normal(Real((2.0 / fans).sqrt())),
            Some(InitChoice::XavierUniform) => Init::Uniform(Real((6.0 / fans).sqrt())),
            Some(InitChoice::Constant(value)) => Init::Constant(Real(value)),
            Some(InitChoice::Normal(value)) => Init::Normal(Real(value)),
            Some(InitChoice::Uniform(value)) => Init::Uniform(Real(value)),
        }
    }
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
    /// Its initial value.
    pub init: Init,
}

impl Tensor {
    /// A trainable tensor.
    pub(super) fn new(name: &'static str, shape: &[u64], part: Part, init: Init) -> Self {
        Tensor {
            name,
            shape: shape.to_vec(),
            trainable: true,
            part,
            init,
        }
    }

    /// The `weight` of a convolution or linear layer, whose first axis is the outputs, and its `bias` if it has one.
    pub(super) fn weight_and_bias(shape: &[u64], bias: bool, [of_weight, of_bias]: [Init; 2]) -> Vec<Self> {
        let mut tensors = vec![Self::new("weight", shape, Part::Kernel, of_weight)];
        tensors.extend(bias.then(|| Self::new("bias", &shape[..1], Part::Bias, of_bias)));
        tensors
    }

    /// A tensor of a norm: one value per channel, all equal at the start.
    pub(super) fn of_norm(name: &'static str, channels: u64, start: f64) -> Self {
        Self::new(name, &[channels], Part::Norm, Init::Constant(Real(start)))
    }

    /// The running statistics of a norm, which no gradient changes.
    pub(super) fn untrained(self) -> Self {
        Tensor {
            trainable: false,
            ..self
        }
    }
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
