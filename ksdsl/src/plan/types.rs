//! The plan of a network: structs, their fields, the steps of their forward passes.

use crate::ir::{GroupId, Init, Kept, Network, Op, Part, Path, PrivateTensors, ScopeKind, Shape, View};
use crate::ops::Module;

/// The position of a struct in [`Plan::types`].
pub(crate) type TypeId = usize;

/// The position of a field in [`Body::fields`].
pub(crate) type FieldId = usize;

/// The plan of a network.
pub(crate) struct Plan<'n> {
    pub(crate) network: &'n Network,
    /// The structs of stages, blocks and iterations, inner ones first.
    pub(crate) types: Vec<Type>,
    /// The model itself.
    pub(crate) root: Body,
}

/// A struct for one or more equal scopes.
pub(crate) struct Type {
    pub(crate) name: String,
    /// Where the network comes to it first: before what it contains, after what came before.
    pub(crate) order: usize,
    pub(crate) kind: ScopeKind,
    pub(crate) body: Body,
    /// The scopes it stands for.
    pub(crate) paths: Vec<Path>,
    /// Whether its forward pass uses shared kernels.
    pub(crate) uses_shared: bool,
    /// Whether its forward pass needs to know the pass it is part of.
    pub(crate) uses_pass: bool,
}

/// Fields and forward pass: what makes two scopes equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Body {
    pub(crate) input: Shape,
    pub(crate) output: Shape,
    pub(crate) fields: Vec<Field>,
    pub(crate) steps: Vec<Step>,
    /// Its values with names, first those that come from outside.
    pub(crate) values: Vec<Kept>,
    /// How many come from outside.
    pub(crate) takes: usize,
    /// Those that go outside with the output: of those from outside the ones that its steps set, the exit of a loop, and
    /// the outputs of a network.
    pub(crate) sets: Vec<LocalId>,
}

/// The position of a value in [`Body::values`].
pub(crate) type LocalId = usize;

/// A use of a value: which, and whether it is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Use {
    pub(crate) value: LocalId,
    pub(crate) last: bool,
}

/// A field of a struct; `key` is its name in checkpoints, below the struct's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    /// A private tensor.
    Tensor {
        key: String,
        shape: Vec<u64>,
        init: Init,
        part: Part,
    },
    /// A private norm.
    Norm { key: String, of: Module },
    /// A struct.
    Module { key: String, of: TypeId },
    /// Equal structs in a row, under the keys `{prefix}{first}`, `{prefix}{first + 1}`, ...
    Repeat {
        prefix: String,
        first: u32,
        count: usize,
        of: TypeId,
    },
}

/// Where a layer's parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Location {
    /// In a field of the struct.
    Own(FieldId),
    /// In the kernel of a group that serves this visit: the tensor at this position of [`Group::tensors`], or the
    /// module that holds all of them.
    Shared(GroupId, usize),
}

/// A step of a forward pass.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Layer {
        op: Op,
        /// The shape of the input, of the first one of several.
        input: Shape,
        output: Shape,
        /// Where its tensors are, in their order, or the one module that holds them.
        tensors: Vec<Location>,
        /// What it has of its own for a shared kernel.
        private: PrivateTensors<FieldId>,
        /// Which part of a shared kernel it uses.
        view: View,
        /// The branches that it joins; none for an operation of one input.
        arms: Vec<Arm>,
    },
    /// The struct of a field, with the values that it takes.
    Module(FieldId, Vec<Use>),
    /// Equal structs in a row, each with the same values.
    Repeat(FieldId, Vec<Use>),
    /// A loop.
    Loop(LoopStep),
    /// The current value gets a name.
    Keep(LocalId),
    /// A name gets the current value.
    Set(LocalId),
    /// The named value becomes the current one.
    From(Use),
}

/// A loop: the struct of a field, as often as is given at run time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LoopStep {
    pub(crate) field: FieldId,
    /// The position of its count in [`Network::loops`].
    pub(crate) count: usize,
    pub(crate) most: u64,
    /// In training, how many of the last iterations gradients flow through; none for all.
    pub(crate) gradients: Option<u64>,
    /// The values that each iteration takes.
    pub(crate) uses: Vec<Use>,
    /// The value that says which items stop, the last that an iteration gives.
    pub(crate) exit: Option<LocalId>,
}

/// A branch: the name of its output, its steps, and the shape they give.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Arm {
    pub(crate) name: &'static str,
    pub(crate) steps: Vec<Step>,
    pub(crate) output: Shape,
}

impl Step {
    /// The branches in it.
    pub(crate) fn arms(&self) -> &[Arm] {
        match self {
            Step::Layer { arms, .. } => arms,
            Step::Module(..) | Step::Repeat(..) | Step::Loop(_) | Step::Keep(_) | Step::Set(_) | Step::From(_) => &[],
        }
    }
}

impl Arm {
    /// The value that it begins with, if that is one with a name rather than the input of the join.
    pub(crate) fn source(&self) -> Option<Use> {
        match self.steps.first() {
            Some(Step::From(source)) => Some(*source),
            _ => None,
        }
    }
}
