//! The network: layers, groups and the tree the forward pass follows.

use super::{Layer, Op, Part, Path, Segment, Shape, Tensor};
use crate::source::Span;
use crate::value::Value;
use std::fmt;

/// The position of a layer in [`Network::layers`].
pub type LayerId = usize;

/// The position of a group in [`Network::groups`].
pub type GroupId = usize;

/// The position of a value in [`Network::values`].
pub type ValueId = usize;

/// A value of the forward pass that has a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kept {
    /// Its name, which others may have too.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
}

/// The count of loops, an argument of the forward pass.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Count {
    /// The name of the loops.
    pub name: String,
    /// Its maximum.
    pub most: u64,
}

/// A count that loops cannot have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongCount {
    /// The name of the loops.
    pub name: String,
    /// How often they can run; 0 if the network has none of this name.
    pub most: u64,
    /// The count that was given.
    pub given: u64,
}

impl fmt::Display for WrongCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WrongCount { name, most: 0, .. } => write!(f, "the network has no loop `{name}`"),
            WrongCount { name, most, given } => write!(f, "the loop `{name}` runs 1 to {most} times, not {given}"),
        }
    }
}

/// An input or an output of a network.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Port {
    /// Its name; an only one may have none.
    pub name: Option<String>,
    /// The shape of one image or vector of a batch.
    pub shape: Shape,
    /// The value it is; none for an input or an output without a name.
    pub value: Option<ValueId>,
}

/// Layers that use the same kernel or, where the clause splits them, the same few kernels.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name: the field of the shared kernel.
    pub name: String,
    /// The parts shared through it.
    pub parts: Vec<Part>,
    /// The operation of one of its layers: its parameters have the shapes that are stored.
    pub op: Op,
    /// The number of kernels, stored one after the other in one tensor, of which each visit uses its own combination.
    pub bank: Option<u64>,
    /// Its layers, in the order of the forward pass.
    pub visits: Vec<LayerId>,
    /// The kernel each visit uses.
    pub assignment: Vec<u32>,
    /// The number of kernels it has.
    pub kernels: u32,
    /// The mapping of its clause, if the clause says one.
    pub mapping: Option<Mapping>,
    /// The clause that made it.
    pub span: Span,
}

/// How isomorphic layers came to their kernels.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// As the clause says it, with numbers for expressions: `cycle(groups = 3) at sandwich`.
    pub words: String,
    /// The kernel of every layer that the clause selects, those included that keep their own.
    pub kernels: Vec<Option<u32>>,
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
            .map(|tensor| Tensor {
                shape: self.bank.into_iter().chain(tensor.shape).collect(),
                ..tensor
            })
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
    /// One iteration of a `repeat` whose body is more than a block.
    Iteration,
    /// The body of a loop.
    Loop,
}

/// A part of the tree with a path of its own.
#[derive(Clone, Debug)]
pub struct Scope {
    /// What it is.
    pub kind: ScopeKind,
    /// Its path.
    pub path: Path,
    /// The statement that it is made by.
    pub span: Span,
    /// The number of segments of its parent scope's path.
    pub parent_depth: usize,
    /// What is in it.
    pub nodes: Vec<Node>,
    /// Its input shape.
    pub input: Shape,
    /// Its output shape.
    pub output: Shape,
    /// The values from outside that its steps use, in the order of their first use.
    pub takes: Vec<ValueId>,
    /// Those of them that its steps set.
    pub sets: Vec<ValueId>,
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
    /// A loop.
    Loop(Loop),
    /// Branches of one input and what joins their outputs.
    Join(Join),
    /// The current value gets a name.
    Keep(ValueId),
    /// A name gets the current value.
    Set(ValueId),
    /// The named value becomes the current one.
    From(ValueId),
}

/// A repetition whose count is given at run time, at least 1. What its scope sets and its output go on to the next
/// iteration.
#[derive(Clone, Debug)]
pub struct Loop {
    /// The position of its count in [`Network::loops`].
    pub count: usize,
    /// The maximum of the count.
    pub most: u64,
    /// In training, how many of the last iterations gradients flow through; none for all.
    pub gradients: Option<u64>,
    /// The body, which gives the shape that it takes.
    pub scope: Scope,
    /// A value of the body, a vector of one feature, that is known after the loop: in inference an item stops where it is
    /// above 0.
    pub exit: Option<ValueId>,
}

/// Branches of one input and what joins their outputs.
#[derive(Clone, Debug)]
pub struct Join {
    /// What joins them.
    pub op: Op,
    /// Its layer, for an operation that has parameters or multiply-adds.
    pub layer: Option<LayerId>,
    /// The branches, at least one.
    pub arms: Vec<Arm>,
    /// The joined shape.
    pub output: Shape,
}

/// A branch.
#[derive(Clone, Debug)]
pub struct Arm {
    /// What generated code calls its output.
    pub name: &'static str,
    /// Its steps; none for the identity.
    pub nodes: Vec<Node>,
    /// The shape it gives.
    pub output: Shape,
}

/// A resolved network.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// The `///` lines above it.
    pub docs: Vec<String>,
    /// What specifies it, as written: the blocks of the source, its family, and itself if it is an
    /// instance.
    pub text: String,
    /// Its parameters with their values, as text.
    pub parameters: Vec<(String, Value)>,
    /// Its inputs, at least one; the first is the current value at the beginning.
    #[doc(hidden)]
    pub inputs: Vec<Port>,
    /// Its outputs, at least one; without names there is one, the last value.
    #[doc(hidden)]
    pub outputs: Vec<Port>,
    /// The forward pass.
    #[doc(hidden)]
    pub nodes: Vec<Node>,
    /// The values that have names.
    #[doc(hidden)]
    pub values: Vec<Kept>,
    /// The counts of loops, in the order of the first loops.
    #[doc(hidden)]
    pub loops: Vec<Count>,
    /// All layers in the order of the forward pass.
    #[doc(hidden)]
    pub layers: Vec<Layer>,
    /// All sharing groups, in the order of the clauses.
    #[doc(hidden)]
    pub groups: Vec<Group>,
}

impl Arm {
    /// The value that it begins with, if that is one with a name rather than the input of the join.
    pub fn source(&self) -> Option<ValueId> {
        match self.nodes.first() {
            Some(Node::From(value)) => Some(*value),
            _ => None,
        }
    }
}

impl Network {
    /// Multiply-adds of all layers per image.
    pub fn macs(&self) -> u128 {
        self.layers.iter().map(Layer::macs).sum()
    }

    /// How often each loop runs: as these say by name, else as often as it can.
    ///
    /// # Errors
    /// If there is no such loop, or it cannot run so often.
    pub fn counts(&self, given: &[(String, u64)]) -> Result<Vec<u64>, WrongCount> {
        let mut counts: Vec<u64> = self.loops.iter().map(|of| of.most).collect();
        for (name, count) in given {
            counts[self.count(name, *count)?] = *count;
        }
        Ok(counts)
    }

    /// The position in [`Network::loops`] of the loops of this name, which can run so often.
    ///
    /// # Errors
    /// If there are none, or they cannot.
    pub fn count(&self, name: &str, given: u64) -> Result<usize, WrongCount> {
        let at = self.loops.iter().position(|of| of.name == name);
        let most = at.map_or(0, |at| self.loops[at].most);
        at.filter(|_| (1..=most).contains(&given)).ok_or_else(|| WrongCount {
            name: name.to_owned(),
            most,
            given,
        })
    }

    /// A tensor of a layer as it is stored: that of the group if it is shared.
    pub fn stored(&self, layer: &Layer, tensor: Tensor) -> Tensor {
        let group = layer.visit(tensor.part).map(|visit| &self.groups[visit.group]);
        let shared = group.and_then(|group| {
            let mut tensors = group.tensors().into_iter();
            tensors.find(|stored| stored.name == tensor.name)
        });
        shared.unwrap_or(tensor)
    }

    /// The shape of the first input.
    pub fn input(&self) -> Shape {
        self.inputs[0].shape
    }

    /// The shape of the first output.
    pub fn output(&self) -> Shape {
        self.outputs[0].shape
    }

    /// Whether inference takes large batches through the network in slices: not with several inputs or outputs, or
    /// with sequences.
    pub fn runs_in_slices(&self) -> bool {
        let is_sliced = |port: &Port| matches!(port.shape, Shape::Map { .. } | Shape::Flat(_));
        let ports = [self.inputs.as_slice(), &self.outputs];
        ports.iter().all(|ports| matches!(ports, [port] if is_sliced(port)))
    }

    /// The values of the inputs after the first.
    pub fn more_inputs(&self) -> Vec<ValueId> {
        self.inputs.iter().skip(1).filter_map(|port| port.value).collect()
    }

    /// The values that are outputs; none where the last value is the output.
    pub fn output_values(&self) -> Vec<ValueId> {
        self.outputs.iter().filter_map(|port| port.value).collect()
    }

    /// Elements of the largest activation per image, including the input.
    pub fn largest_activation(&self) -> u64 {
        let of_layers = self.layers.iter().flat_map(|layer| [layer.input, layer.output]);
        of_layers
            .chain(self.inputs.iter().chain(&self.outputs).map(|port| port.shape))
            .map(Shape::elements)
            .fold(0, u64::max)
    }
}
