//! The layers of the language: one file per family, one entry in [`LAYERS`] per layer.

mod activation;
mod args;
mod attention;
mod conv;
mod linear;
mod norm;
mod pool;
mod reshape;
mod words;

pub use args::{ArgValue, Args, InitChoice, Padding, ParamDef, ParamKind, is_function, is_word, read, takes};
pub use attention::attention;
pub use conv::{conv_output, projection};
pub use linear::squeeze_excite;
pub use words::parameter_of;

use crate::diag::Code;
use crate::ir::{Op, Shape};

/// A layer of the language.
pub struct LayerDef {
    /// Its name.
    pub name: &'static str,
    /// A one-line description.
    pub doc: &'static str,
    /// Its parameters; those before the first that has a default can be given by position only
    /// as all others can, in this order.
    pub params: &'static [ParamDef],
    /// How it is resolved.
    pub resolve: Resolve,
}

/// How a layer is resolved.
pub enum Resolve {
    /// To one operation.
    One(fn(&Args, Shape) -> Result<Op, Problem>),
    /// To nothing: the input passes unchanged.
    Identity,
    /// To a gate of two linear layers.
    SqueezeExcite,
    /// To four pointwise convolutions around what joins three of them.
    Attention,
}

/// Why a layer's arguments or input are invalid.
#[derive(Debug)]
pub struct Problem {
    /// The kind of problem.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// The parameter to point at, if one is to blame rather than the whole layer.
    pub param: Option<&'static str>,
    /// How to fix it.
    pub help: Option<String>,
}

impl Problem {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Problem {
            code,
            message: message.into(),
            param: None,
            help: None,
        }
    }

    fn at(mut self, param: &'static str) -> Self {
        self.param = Some(param);
        self
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Every layer of the language.
pub const LAYERS: &[LayerDef] = &[
    conv::CONV,
    conv::DEPTHWISE,
    conv::POINTWISE,
    linear::LINEAR,
    linear::SQUEEZE_EXCITE,
    attention::ATTENTION,
    attention::PATCH_EMBEDDING,
    attention::POSITION_EMBEDDING,
    norm::BATCH_NORM,
    norm::LAYER_NORM,
    activation::RELU,
    activation::GELU,
    activation::GELU_TANH,
    activation::SILU,
    activation::SIGMOID,
    activation::HARD_SWISH,
    pool::AVG_POOL,
    pool::MAX_POOL,
    pool::GLOBAL_AVG_POOL,
    pool::GLOBAL_MAX_POOL,
    reshape::DROPOUT,
    reshape::FLATTEN,
    reshape::IDENTITY,
];

/// The parameters of a residual connection: when a 1x1 convolution projects its input, and
/// whether a batch norm follows that convolution.
pub const RESIDUAL: &[ParamDef] = &[
    ParamDef {
        name: "project",
        kind: ParamKind::Word(&["never", "on_shape_change", "always"]),
        required: false,
    },
    ParamDef {
        name: "norm",
        kind: ParamKind::Flag,
        required: false,
    },
];

/// The layer of this name.
pub fn find(name: &str) -> Option<&'static LayerDef> {
    LAYERS.iter().find(|layer| layer.name == name)
}

/// The kinds that `share isomorphic` can be narrowed to.
pub const KINDS: &[&str] = &["conv", "depthwise", "pointwise", "linear", "batch_norm", "layer_norm"];

/// Whether a layer is of a kind; every depthwise or pointwise convolution is also a `conv`.
pub fn is_kind(op: &Op, kind: &str) -> bool {
    match op {
        Op::Conv(conv) => match kind {
            "conv" => true,
            "depthwise" => conv.groups > 1 && conv.groups == conv.inputs,
            "pointwise" => conv.kernel == [1, 1],
            _ => false,
        },
        other => other.word() == kind,
    }
}

/// The output of an operation for an input it accepts.
pub fn output(op: &Op, input: Shape) -> Result<Shape, Problem> {
    match (op, input) {
        (Op::Conv(conv), Shape::Map { height, width, .. }) => conv_output(conv, height, width),
        (Op::Linear { outputs, .. }, Shape::Flat(_)) => Ok(Shape::Flat(*outputs)),
        (
            Op::Pool {
                kernel, stride, pad, ..
            },
            Shape::Map {
                channels,
                height,
                width,
            },
        ) => pool::output(*kernel, *stride, *pad, channels, height, width),
        (Op::GlobalPool(_), Shape::Map { channels, .. }) => Ok(Shape::Flat(channels)),
        (Op::Flatten, shape) => Ok(Shape::Flat(shape.elements())),
        _ => Ok(input),
    }
}

/// The map sizes, for layers that take maps only.
fn map_of(name: &str, input: Shape) -> Result<(u64, u64, u64), Problem> {
    match input {
        Shape::Map {
            channels,
            height,
            width,
        } => Ok((channels, height, width)),
        Shape::Flat(features) => Err(Problem::new(
            Code::WrongInput,
            format!("`{name}` expects feature maps, but its input is a vector of {features} features"),
        )
        .help("move it before the global pooling or `flatten` that produces the vector")),
    }
}
