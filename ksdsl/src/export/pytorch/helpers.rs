//! The few classes and functions that exported networks are written with; a file holds those it
//! uses.

use crate::ir::{Init, join_sizes};
use std::collections::BTreeSet;

/// One of them, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Helper {
    Part,
    /// What a part has as well where one is called `training`.
    Train,
    Layer,
    BatchNorm,
    LayerNorm,
    Attend,
    LowRank,
    Uniform,
    Normal,
    Constant,
}

/// Those a file uses.
pub(super) type Used = BTreeSet<Helper>;

impl Helper {
    /// What it is written with.
    fn needs(self) -> &'static [Helper] {
        match self {
            Helper::Layer | Helper::BatchNorm | Helper::LayerNorm => &[Helper::Part],
            Helper::Part | Helper::Train | Helper::Attend | Helper::LowRank => &[],
            Helper::Uniform | Helper::Normal | Helper::Constant => &[],
        }
    }

    fn text(self) -> &'static str {
        match self {
            Helper::Part => PART,
            Helper::Train => TRAIN,
            Helper::Layer => LAYER,
            Helper::BatchNorm => BATCH_NORM,
            Helper::LayerNorm => LAYER_NORM,
            Helper::Attend => ATTEND,
            Helper::LowRank => LOW_RANK,
            Helper::Uniform => UNIFORM,
            Helper::Normal => NORMAL,
            Helper::Constant => CONSTANT,
        }
    }
}

/// The texts of those that are used, after two empty lines each, or one within a class.
pub(super) fn texts(used: &Used) -> String {
    let all: Used = used
        .iter()
        .flat_map(|helper| helper.needs().iter().chain([helper]))
        .copied()
        .collect();
    let separated = |helper: &Helper| match helper {
        Helper::Train => format!("\n{}", helper.text()),
        _ => format!("\n\n{}", helper.text()),
    };
    all.iter().map(separated).collect()
}

/// A new parameter: `uniform(0.125, 64, 3, 3)`.
pub(super) fn parameter(init: Init, shape: &[u64], used: &mut Used) -> String {
    let (helper, name, value) = match init {
        Init::Constant(value) => (Helper::Constant, "constant", value),
        Init::Uniform(bound) => (Helper::Uniform, "uniform", bound),
        Init::Normal(deviation) => (Helper::Normal, "normal", deviation),
    };
    used.insert(helper);
    format!("{name}({:?}, {})", value.0, join_sizes(shape).replace('x', ", "))
}

const PART: &str = r#"class Part(nn.Module):
    """A part of a network. `part[key]` is its child of this key, whatever Python makes of the name."""

    def __getitem__(self, key):
        return self._modules[str(key)]

    def __setitem__(self, key, module):
        self._modules[str(key)] = module
"#;

const TRAIN: &str = r#"    def train(self, mode=True):
        # As in `nn.Module`, which cannot do it where a part is called `training`.
        self.__dict__["training"] = mode
        for part in self.children():
            part.train(mode)
        return self
"#;

const LAYER: &str = r#"class Layer(Part):
    """The parameters a layer has for itself, or those that several layers share."""

    def __init__(self, **parameters):
        super().__init__()
        for name, parameter in parameters.items():
            self.register_parameter(name, parameter)
"#;

const BATCH_NORM: &str = r#"class BatchNorm(Part):
    """Batch normalisation over the channels of maps or the features of vectors."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x, eps: float = 1e-5, momentum: float = 0.1):
        statistics = self.running_mean, self.running_var
        return F.batch_norm(x, *statistics, self.weight, self.bias, self.training, momentum, eps)
"#;

const LAYER_NORM: &str = r#"class LayerNorm(Part):
    """Normalisation over the features of vectors, or over the channels at each position of maps."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x, eps: float = 1e-5):
        if x.dim() == 2:
            return F.layer_norm(x, self.weight.shape, self.weight, self.bias, eps)
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.weight.shape, self.weight, self.bias, eps)
        return x.permute(0, 3, 1, 2)
"#;

const ATTEND: &str = r#"def heads_of(x, heads: int):
    """A map as `[batch, head, position, channel of the head]`."""
    return x.flatten(2).unflatten(1, (heads, -1)).transpose(2, 3)


def attend(query, key, value, heads: int):
    """Scaled dot-product attention over the positions of maps, in heads of neighbouring channels."""
    y = F.scaled_dot_product_attention(
        heads_of(query, heads), heads_of(key, heads), heads_of(value, heads)
    )
    return y.transpose(2, 3).reshape(query.shape)
"#;

const LOW_RANK: &str = r#"def low_rank(kernel, layer):
    """A shared kernel with the layer's own addition of low rank."""
    return kernel + (layer.low_rank_b @ layer.low_rank_a).view_as(kernel)
"#;

const UNIFORM: &str = r#"def uniform(bound, *shape):
    """A parameter that starts uniform between -bound and bound."""
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
"#;

const NORMAL: &str = r#"def normal(deviation, *shape):
    """A parameter that starts normal with mean 0 and this standard deviation."""
    return nn.Parameter(torch.empty(shape).normal_(0, deviation))
"#;

const CONSTANT: &str = r#"def constant(value, *shape):
    """A parameter of which all elements start with this value."""
    return nn.Parameter(torch.full(shape, value))
"#;
