//! The few classes and functions that exported networks are written with; a file holds those it
//! uses.

use crate::ir::{Init, join_sizes};
use crate::ops::Helper as OfOp;
use std::collections::BTreeSet;

/// One of them, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Helper {
    Part,
    /// What a part has as well where one is called `training`.
    Train,
    Layer,
    /// What an operation is written with.
    Of(&'static OfOp),
    LowRank,
    Iterations,
    Select,
    Uniform,
    Normal,
    Constant,
    Tied,
}

/// Those a file uses.
pub(super) type Used = BTreeSet<Helper>;

impl Helper {
    /// What it is written with.
    fn needs(self) -> Vec<Helper> {
        match self {
            Helper::Layer => vec![Helper::Part],
            Helper::Of(helper) => helper.needs.iter().copied().map(Helper::Of).collect(),
            _ => Vec::new(),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Helper::Part => PART,
            Helper::Train => TRAIN,
            Helper::Layer => LAYER,
            Helper::Of(helper) => helper.text,
            Helper::LowRank => LOW_RANK,
            Helper::Iterations => ITERATIONS,
            Helper::Select => SELECT,
            Helper::Uniform => UNIFORM,
            Helper::Normal => NORMAL,
            Helper::Constant => CONSTANT,
            Helper::Tied => TIED,
        }
    }
}

/// The texts of those that are used, after two empty lines each, or one within a class.
pub(super) fn texts(used: &Used) -> String {
    let all: Used = used
        .iter()
        .flat_map(|helper| helper.needs().into_iter().chain([*helper]))
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
    """A part of a network. `part[key]` is its child with this name, which need not be a Python identifier."""

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
    """The parameters of a layer, or of several layers that share them."""

    def __init__(self, **parameters):
        super().__init__()
        for name, parameter in parameters.items():
            self.register_parameter(name, parameter)
"#;

const LOW_RANK: &str = r#"def low_rank(kernel, b, a):
    """A shared kernel plus a layer's private low-rank addition."""
    return kernel + (b @ a).view_as(kernel)
"#;

const ITERATIONS: &str = r#"def iterations(loop: str, count: int, most: int) -> int:
    """A count of a loop's iterations, checked."""
    if not 1 <= count <= most:
        raise ValueError(f"the loop `{loop}` runs 1 to {most} times, not {count}")
    return count
"#;

const SELECT: &str = r#"def select(running, new, old):
    """The new value of each item of a batch that runs, the old one of each that has stopped."""
    return torch.where(running.view([-1] + [1] * (new.dim() - 1)), new, old)
"#;

const UNIFORM: &str = r#"def uniform(bound, *shape):
    """A parameter with uniform initial values between -bound and bound."""
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
"#;

const NORMAL: &str = r#"def normal(deviation, *shape):
    """A parameter with normal initial values of mean 0 and this standard deviation."""
    return nn.Parameter(torch.empty(shape).normal_(0, deviation))
"#;

const CONSTANT: &str = r#"def constant(value, *shape):
    """A parameter initialised to a constant."""
    return nn.Parameter(torch.full(shape, value))
"#;

const TIED: &str = r#"def tied(kernels):
    """Maps each shared tensor to the tensors it replaces. Paths have ranges: `s[0..3].conv`."""
    ties = {}
    for kernel, (names, *paths) in kernels.items():
        layers = []
        for path in paths:
            keys = [()]
            for first, end, word in re.findall(r"\[(\d+)\.\.(\d+)\]|(\w+)", path):
                choices = range(int(first), int(end)) if end else [word]
                keys = [(*key, str(choice)) for key in keys for choice in choices]
            layers += keys
        for name in names.split():
            ties[f"{kernel}.{name}"] = " ".join(".".join((*layer, name)) for layer in layers)
    return ties
"#;
