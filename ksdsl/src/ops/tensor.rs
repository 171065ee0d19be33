//! The tensors of operations.

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
