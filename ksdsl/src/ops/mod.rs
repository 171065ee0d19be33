//! The operations of the language: what each is, in one file, registered by one line in `operations!`.
//!
//! A [`LayerDef`] is what a specification calls: a name and parameters. It resolves to an [`Op`], which knows its
//! shapes and tensors and writes itself as Rust and as PyTorch. The rest of the compiler asks an operation what it
//! is through [`Operation`] and matches none by name.

mod args;
mod initial;
mod lower;
mod mask;
mod onnx;
mod op;
mod python;
pub(crate) mod rust;
mod standardize;
mod tensor;
mod words;

pub use args::{ArgValue, Args, Axes, Padding, ParamDef, ParamKind, is_word, read, read_along, read_given, takes};
pub use initial::{InitChoice, init_functions, is_function, is_init};
use lower::Lowered;
pub(crate) use lower::buffer;
pub use lower::{Lower, Unsupported};
pub(crate) use onnx::After;
pub use onnx::{Attribute, Constant, Graph, Node, Onnx};
pub use op::{Call, Number, Op};
pub(crate) use python::Statement;
pub use python::{Helper, Python};
pub use rust::Rust;
pub use tensor::{Init, Part, Real, Tensor};
pub use words::{is_language_word, language_words, parameter_of};

use crate::diag::Code;
pub(crate) use crate::ir::Shape;
use crate::ir::in_words;
use crate::steps::BufferId;
use crate::value::Value;
use args::param;
use std::any::Any;
use std::fmt::Debug;

/// What the files of operations use.
mod prelude {
    pub(super) use super::args::param;
    pub(super) use super::{
        Alike, Args, Block, Call, Family, Helper, Init, InitChoice, LayerDef, Lower, Lowered, Module, Onnx, Op,
        Operation, Padding, ParamDef, ParamKind, Part, Problem, Python, Real, Resolve, Rust, Shape, Sharing, Tensor,
        Transposed, Unsupported, equal, groups_divide, in_words, is_numbers, joined, lower, map_of, onnx, pair,
        positions_of, python, rust, size,
    };
    pub(super) use crate::diag::Code;
    pub(super) use crate::value::Value;
    pub(super) use quote::quote;
}

/// Declares the files of the operations and makes the list of what a specification can call.
macro_rules! operations {
    ($($file:ident,)+) => {
        $(pub mod $file;)+

        const FILES: &[&[LayerDef]] = &[$($file::LAYERS,)+];
    };
}

// One line for each file. `rustfmt` does not find the files, so `.ci/run` names them.
operations! {
    conv,
    linear,
    squeeze_excite,
    attention,
    attend,
    window_attention,
    matmul,
    gather,
    roll,
    windows,
    merge_windows,
    embedding,
    to_tokens,
    to_signal,
    class_token,
    token,
    rotary,
    sinusoidal_positions,
    patch_embedding,
    position_embedding,
    batch_norm,
    layer_norm,
    activation,
    pool,
    global_pool,
    dropout,
    flatten,
    identity,
    add,
    multiply,
    concat,
    group_norm,
    rms_norm,
    leaky_relu,
    elu,
    upsample,
    subtract,
    affine,
    clamp,
    softmax,
    prelu,
    layer_scale,
    layer_shift,
    conv_transpose,
    pixel_shuffle,
    channel_shuffle,
    slice,
    pad,
    zero_channels,
    adaptive_avg_pool,
    unflatten,
    channel_pool,
}

/// What a specification calls.
pub struct LayerDef {
    /// Its name.
    pub name: &'static str,
    /// A one-line description.
    pub doc: &'static str,
    /// Its parameters; those before the first that has a default can be given by position only
    /// as all others can, in this order.
    pub params: &'static [ParamDef],
    /// What it is like.
    pub family: Family,
    /// How it is resolved.
    pub resolve: Resolve,
}

/// Layers that messages list together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Layers with kernels: kinds that `share isomorphic` can be narrowed to.
    Weights,
    /// Norms, which are such kinds too.
    Norm,
    /// Activation functions.
    Activation,
    /// All others.
    Other,
}

/// How a call is resolved.
#[derive(Clone, Copy)]
pub enum Resolve {
    /// To an operation, or to nothing where the input passes unchanged.
    One(fn(&Args, Shape) -> Result<Option<Op>, Problem>),
    /// To an operation that joins the outputs of paths.
    Join {
        /// The least and the largest number of paths.
        paths: [usize; 2],
        /// The operation for inputs of these shapes.
        resolve: fn(&Args, &[Shape]) -> Result<Op, Problem>,
    },
    /// To statements of the language.
    Block(Block),
}

/// A layer that is written in the language itself.
#[derive(Clone, Copy)]
pub struct Block {
    /// The constants that its statements see, for an input of this shape.
    pub constants: fn(&Args, Shape) -> Result<Constants, Problem>,
    /// Its statements. Initialisations that a call gives go to the layers that have such a parameter.
    pub text: &'static str,
}

/// Names with their values.
pub type Constants = Vec<(&'static str, Value)>;

impl LayerDef {
    /// The least and the largest number of paths, for a layer that joins paths.
    pub fn paths(&self) -> Option<[usize; 2]> {
        match self.resolve {
            Resolve::Join { paths, .. } => Some(paths),
            Resolve::One(_) | Resolve::Block(_) => None,
        }
    }

    /// How a layer that joins paths is written.
    pub(crate) fn with_paths(&self) -> Option<String> {
        let [least, _] = self.paths()?;
        let args = if self.params.is_empty() { "" } else { "(...)" };
        Some(format!("{}{args} {{ {}}}", self.name, "path { ... } ".repeat(least)))
    }
}

/// An operation with its numbers resolved. Its inputs are one or more activations, all of one image.
pub trait Operation: Any + Debug + Send + Sync {
    /// The engine's name of the operation and its arguments. Two operations are equal if their calls are.
    fn call(&self) -> Call;

    /// The word that it has in summaries.
    fn word(&self) -> &'static str {
        self.call().name
    }

    /// Whether `share isomorphic kind` means it.
    fn is_kind(&self, kind: &str) -> bool {
        self.word() == kind
    }

    /// Whether it accepts inputs of this kind; sequences and token ids only if it says so.
    fn takes(&self, input: Shape) -> bool {
        matches!(input, Shape::Map { .. } | Shape::Flat(_))
    }

    /// The argument of [`Operation::call`] that a parameter of this name becomes; sizes of two directions and
    /// paddings become several, with `_height`, `_width`, `_top` and so on after it.
    fn argument(&self, param: &'static str) -> &'static str {
        param
    }

    /// The shape of the output for these inputs, of which there is at least one; that of the first if nothing else is said.
    ///
    /// # Errors
    /// If it does not accept them.
    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Ok(inputs[0])
    }

    /// Its tensors, in the order checkpoints list them.
    fn tensors(&self) -> Vec<Tensor> {
        Vec::new()
    }

    /// What must be equal for two to share tensors; nothing for an operation without any.
    fn sharing(&self) -> Option<Sharing> {
        None
    }

    /// The type that holds all of its tensors, where they are no fields of their own.
    fn module(&self) -> Option<Module> {
        None
    }

    /// Multiply-adds per image.
    fn macs(&self, output: Shape) -> u128 {
        let _ = output;
        0
    }

    /// What distinguishes it from others of its word in summaries, such as `stride 2`.
    fn details(&self) -> Vec<String> {
        Vec::new()
    }

    /// What generated code calls an input of several after the first, counted from 0.
    fn input_name(&self, input: usize) -> &'static str {
        let _ = input;
        "path"
    }

    /// Whether its call takes the pass it is part of, which says whether it is one of training.
    fn needs_pass(&self) -> bool {
        false
    }

    /// Whether its output at a position follows from its inputs at this position and from what the engine keeps of those
    /// before (`ksdsl_engine::past`): what networks are made of that generate token by token. If not, why not.
    ///
    /// # Errors
    /// If it does not: `it pools over all positions`.
    fn decodes(&self, inputs: &[Shape]) -> Result<(), &'static str> {
        let _ = inputs;
        Err("it combines positions, later ones included, or moves them")
    }

    /// Whether what it does to a position depends on the place of that in the sequence.
    fn counts_positions(&self) -> bool {
        false
    }

    /// First positions that must be known together, before any of their outputs is.
    fn whole_prefix(&self) -> u64 {
        0
    }

    /// Writes it as Rust.
    fn rust(&self, to: &mut Rust);

    /// Writes it as ONNX, in inference; the value of its output.
    fn onnx(&self, to: &mut Onnx<'_>) -> String;

    /// Writes it as steps, in inference; the buffer of its output.
    ///
    /// # Errors
    /// If steps cannot express it.
    fn lower(&self, to: &mut Lower<'_, '_>) -> Result<BufferId, Unsupported> {
        let _ = to;
        Err(Unsupported::all())
    }

    /// Writes it as PyTorch.
    fn python(&self, to: &mut Python);
}

/// What must be equal for two operations to share tensors, besides whether they have a bias.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// What it is, in messages.
    pub what: &'static str,
    /// Named sizes.
    pub sizes: Vec<(&'static str, Vec<u64>)>,
    /// For what is shared as a whole, and only where a clause names it: this in words.
    pub whole: Option<&'static str>,
    /// For a kernel that has no row for each output channel, so that no visit scales it or adds to it: this in words.
    pub no_rows: Option<&'static str>,
    /// What it is as the transpose of another layer, if it can be one.
    pub transposed: Option<Transposed>,
    /// What must be equal for parts of one kernel, if a part of its kernel is a kernel.
    pub sliced: Option<Alike>,
}

/// What must be equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike {
    /// What it is, in messages.
    pub what: &'static str,
    /// Named sizes.
    pub sizes: Vec<(&'static str, Vec<u64>)>,
}

/// What a layer must have for another to be its transpose, the map that takes its outputs' shape to its inputs'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transposed {
    /// What must be equal.
    pub of: Alike,
    /// Whether rows and columns of the kernel change places for it. Those of a convolution and of the transposed
    /// convolution are stored alike.
    pub exchanged: bool,
}

impl Sharing {
    /// That of a norm over channels.
    fn of_norm(what: &'static str, channels: u64) -> Option<Self> {
        Some(Sharing {
            what,
            sizes: vec![("number of channels", vec![channels])],
            whole: Some("a norm is shared as a whole"),
            ..Sharing::default()
        })
    }

    /// What must be equal for layers to use one kernel.
    pub(crate) fn alike(&self) -> Alike {
        Alike {
            what: self.what,
            sizes: self.sizes.clone(),
        }
    }

    /// Why a visit can have no factors or additions of its own for the kernel, if it cannot.
    pub(crate) fn refuses_rows(&self) -> Option<&'static str> {
        self.whole.or(self.no_rows)
    }
}

/// A type of the runtime, and a class of exported modules, that holds all tensors of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Module {
    /// Its name, in Rust and in Python.
    pub name: &'static str,
    /// What it is in comments.
    pub what: &'static str,
    /// Its size.
    pub channels: u64,
    /// The class in Python.
    pub class: &'static Helper,
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
    /// Of inputs that do not fit together, which.
    pub clash: Option<Box<Clash>>,
}

/// Inputs that do not fit together.
#[derive(Clone, Copy, Debug)]
pub struct Clash {
    /// How many of the first inputs fit together.
    pub joined: usize,
    /// The shape they have together.
    pub so_far: Shape,
    /// The shape of the next, which does not fit.
    pub next: Shape,
}

impl Problem {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Problem {
            code,
            message: message.into(),
            param: None,
            help: None,
            clash: None,
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

/// The parameters of a residual connection: when a 1x1 convolution projects its input, and
/// whether a batch norm follows that convolution; and when the input is added at all.
pub const RESIDUAL: &[ParamDef] = &[
    param(
        "project",
        ParamKind::Word(&["never", "on_shape_change", "always"]),
        false,
    ),
    param("norm", ParamKind::Flag, false),
    param("skip", ParamKind::Word(&["always", "on_same_shape"]), false),
];

/// The options of a loop, `repeat up to 16, gradients = 4`.
pub const LOOP: &[ParamDef] = &[param("gradients", ParamKind::Size, false)];

/// Everything that a specification can call.
pub fn layers() -> impl Iterator<Item = &'static LayerDef> {
    FILES.iter().copied().flatten()
}

/// The operations that join paths.
pub fn joins() -> impl Iterator<Item = &'static LayerDef> + Clone {
    let all = FILES.iter().copied().flatten();
    all.filter(|layer| layer.paths().is_some())
}

/// The layer of this name.
pub fn find(name: &str) -> Option<&'static LayerDef> {
    layers().find(|layer| layer.name == name)
}

/// The kinds that `share isomorphic` can be narrowed to.
pub fn kinds() -> impl Iterator<Item = &'static str> + Clone {
    let all = FILES.iter().copied().flatten();
    all.filter(|layer| matches!(layer.family, Family::Weights | Family::Norm))
        .map(|layer| layer.name)
}

/// The map sizes, for layers that take maps only.
fn map_of(name: &str, input: Shape) -> Result<(u64, u64, u64), Problem> {
    match input {
        Shape::Map {
            channels,
            height,
            width,
        } => Ok((channels, height, width)),
        Shape::Signal { channels, length } => Ok((channels, 1, length)),
        Shape::Flat(features) => Err(Problem::new(
            Code::WrongInput,
            format!("`{name}` expects feature maps, but its input is a vector of {features} features"),
        )
        .help("move it before the global pooling or `flatten` that produces the vector")),
        Shape::Tokens { .. } | Shape::Ids { .. } => Err(not_taken(name, input)),
    }
}

/// The problem of a layer that does not take sequences.
pub(crate) fn not_taken(name: &str, input: Shape) -> Problem {
    let text = format!("`{name}` cannot take {}", in_words(input));
    let help = match input {
        Shape::Ids { .. } => "write `embedding(features)` before it",
        Shape::Map { .. } | Shape::Flat(_) => "it takes sequences: `to_tokens` makes one of feature maps",
        Shape::Signal { .. } => {
            "a signal has one row: `to_tokens` makes a sequence of it, and an input of `channels x height x width` is feature maps"
        }
        Shape::Tokens { .. } => {
            "sequences take `linear`, `attention`, norms over the features, activations and dropout; an input of `channels x height x width` is feature maps, one of `channels x length as signal` a signal"
        }
    };
    Problem::new(Code::WrongInput, text).help(help)
}

/// Features of the positions of maps or of the tokens of a sequence.
fn positions_of(name: &str, input: Shape) -> Result<u64, Problem> {
    match input {
        Shape::Tokens { features, .. } => Ok(features),
        input => map_of(name, input).map(|(channels, ..)| channels),
    }
}

/// Whether it is anything but token ids.
fn is_numbers(input: Shape) -> bool {
    !matches!(input, Shape::Ids { .. })
}

/// Whether input and output channels can be split into this many groups, which are the argument for a parameter.
fn groups_divide([inputs, outputs]: [u64; 2], groups: u64, groups_param: Option<&'static str>) -> Result<(), Problem> {
    for (count, which) in [(inputs, "input"), (outputs, "output")] {
        if count % groups != 0 {
            let text = format!("{count} {which} channels cannot be split into {groups} groups");
            let problem = Problem::new(Code::GroupsDoNotDivide, text).help(format!(
                "{groups} must divide both {inputs} input and {outputs} output channels"
            ));
            return Err(match groups_param {
                Some(name) => problem.at(name),
                None => problem,
            });
        }
    }
    Ok(())
}

/// The shape of inputs that are joined one by one; `what` is what cannot be done to those that do not fit, in the
/// participle, and `help` how they would.
fn joined(
    inputs: &[Shape],
    join: impl Fn(Shape, Shape) -> Option<Shape>,
    (code, what, help): (Code, &str, &str),
) -> Result<Shape, Problem> {
    let mut so_far = inputs[0];
    for (joined, next) in inputs.iter().copied().enumerate().skip(1) {
        so_far = join(so_far, next).ok_or_else(|| {
            let text = format!("{} and {} cannot be {what}", in_words(so_far), in_words(next));
            Problem {
                clash: Some(Box::new(Clash { joined, so_far, next })),
                ..Problem::new(code, text).help(help)
            }
        })?;
    }
    Ok(so_far)
}

/// The shape of equal inputs.
fn equal(inputs: &[Shape], what: &str) -> Result<Shape, Problem> {
    let help = "all paths must have the same shape";
    joined(inputs, |a, b| (a == b).then_some(a), (Code::ShapesDiffer, what, help))
}

/// A size as a value of the language; sizes are below `limits::DIMENSION`.
fn size(value: u64) -> Value {
    Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

/// One size for both directions, or `3x5`.
fn pair([height, width]: [u64; 2]) -> String {
    match height == width {
        true => height.to_string(),
        false => format!("{height}x{width}"),
    }
}
