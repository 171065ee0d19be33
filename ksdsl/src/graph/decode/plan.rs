//! Which networks run token by token, and where each visit keeps its keys and values.

use crate::graph::walk::size;
use crate::ir::{self, Join, Layer, LayerId, Loop, Network, Node, Op, Path, Shape, ValueId, Walk as _, in_words};
use crate::ops::conv::Conv;
use crate::source::Span;
use std::fmt;
use std::ops::Range;

/// Why a network does not run token by token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotCausal {
    network: String,
    /// The path of a layer, or the name of an operation.
    layer: Option<String>,
    span: Option<Span>,
    reason: String,
}

impl NotCausal {
    /// Where the layer is written, if one is to blame that has a place.
    pub fn span(&self) -> Option<Span> {
        self.span
    }
}

impl fmt::Display for NotCausal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            network, layer, reason, ..
        } = self;
        write!(f, "network `{network}` cannot run token by token: ")?;
        match layer {
            Some(layer) => write!(f, "`{layer}`: {reason}"),
            None => f.write_str(reason),
        }
    }
}

impl std::error::Error for NotCausal {}

/// The slots of a layer: one for each iteration of the loops around it, the inner ones next to each other.
#[derive(Clone, Debug)]
struct Slots {
    first: usize,
    /// The loops around the layer, outer ones first, with their counts.
    loops: Vec<(Path, usize)>,
}

impl Slots {
    /// The number of slots of one iteration of the loop at this depth.
    fn inside(&self, depth: usize) -> usize {
        self.loops[depth + 1..].iter().map(|(_, count)| count).product()
    }

    /// The slots of an iteration of a loop, of which those of the loops around it are given, too.
    fn of(&self, iterations: &[usize]) -> Range<usize> {
        let numbered = iterations.iter().zip(&self.loops);
        let number = numbered.fold(0, |number, (iteration, (_, count))| number * count + iteration);
        let each: usize = self.loops[iterations.len()..].iter().map(|(_, count)| count).product();
        let start = self.first + number * each;
        start..start + each
    }
}

/// A network that runs token by token.
#[derive(Debug)]
pub(in crate::graph) struct Plan {
    /// By layer; of those that keep something.
    slots: Vec<Option<Slots>>,
    /// All slots.
    pub(in crate::graph) count: usize,
    /// Tokens that the network takes.
    pub(in crate::graph) context: usize,
    /// First tokens that see each other.
    pub(in crate::graph) prefix: usize,
    /// Whether a loop may end early.
    pub(in crate::graph) exits: bool,
    /// The outer steps from this one on need the last position only.
    pub(in crate::graph) tail: usize,
}

impl Plan {
    /// That of a network whose loops run so often.
    pub(in crate::graph) fn new(network: &Network, counts: &[usize]) -> Result<Self, NotCausal> {
        let fail = |reason: String| NotCausal {
            network: network.name.clone(),
            layer: None,
            span: None,
            reason,
        };
        let [input] = network.inputs.as_slice() else {
            return Err(fail(format!(
                "it has {} inputs, not one of token ids",
                network.inputs.len()
            )));
        };
        let Shape::Ids { length, .. } = input.shape else {
            return Err(fail(format!("its input is {}, not token ids", in_words(input.shape))));
        };
        let mut check = Check {
            network,
            counts,
            context: length,
            loops: Vec::new(),
            plan: Self {
                slots: vec![None; network.layers.len()],
                count: 0,
                context: size(length),
                prefix: 0,
                exits: false,
                tail: tail(network),
            },
        };
        check.nodes(&network.nodes, input.shape)?;
        if check.plan.exits && check.plan.prefix > 0 {
            let reason = "each token leaves its loop for itself, but tokens of a prefix come together";
            return Err(fail(reason.to_owned()));
        }
        match network.output() {
            Shape::Flat(_) => Ok(check.plan),
            Shape::Tokens { length: outputs, .. } if outputs == length => Ok(check.plan),
            shape => Err(fail(format!(
                "its output is {}, not logits of each token",
                in_words(shape)
            ))),
        }
    }

    /// The slot of a visit, if it has one.
    pub(in crate::graph) fn slot(&self, layer: LayerId, iterations: &[usize]) -> Option<usize> {
        let slots = self.slots[layer].as_ref()?;
        Some(slots.of(iterations).start)
    }

    /// For each layer in a loop that ended early, the slots of its last iteration and those of all that did not run.
    pub(in crate::graph) fn unreached(
        &self,
        of: &Loop,
        iterations: &[usize],
    ) -> Vec<(Range<usize>, Vec<Range<usize>>)> {
        let Some((last, around)) = iterations.split_last() else {
            return Vec::new();
        };
        let inside = self.slots.iter().flatten().filter(|slots| {
            let at = slots.loops.get(around.len());
            at.is_some_and(|(path, _)| *path == of.scope.path)
        });
        let of_layer = |slots: &Slots| {
            let of = |iteration| slots.of(&[around, &[iteration]].concat());
            let rest = last + 1..slots.loops[around.len()].1;
            debug_assert_eq!(of(*last).len(), slots.inside(around.len()));
            (of(*last), rest.map(of).collect())
        };
        inside.map(of_layer).collect()
    }
}

/// The first of the outer steps after which there are nothing but layers that look at one position, which so need the last
/// position only.
fn tail(network: &Network) -> usize {
    let is_of_one = |node: &&Node| match node {
        Node::Layer(id) => {
            let op = &network.layers[*id].op;
            op.downcast::<Conv>().is_none() && !op.counts_positions()
        }
        _ => false,
    };
    match network.output_values().is_empty() {
        true => network.nodes.len() - network.nodes.iter().rev().take_while(is_of_one).count(),
        false => network.nodes.len(),
    }
}

/// Takes shapes through a network and notes the slots of its layers.
struct Check<'n> {
    network: &'n Network,
    counts: &'n [usize],
    context: u64,
    /// The loops around what is checked.
    loops: Vec<(Path, usize)>,
    plan: Plan,
}

impl Check<'_> {
    fn is_sequence(&self, shape: Shape) -> bool {
        let is_one = matches!(shape, Shape::Ids { .. } | Shape::Tokens { .. } | Shape::Signal { .. });
        is_one && shape.pixels() == self.context
    }

    fn is_vector(shape: &Shape) -> bool {
        matches!(shape, Shape::Flat(_))
    }

    fn op(&mut self, op: &Op, inputs: &[Shape], output: Shape) -> Result<(), String> {
        if inputs.iter().all(Self::is_vector) {
            return match Self::is_vector(&output) {
                true => Ok(()),
                false => Err(format!("it makes {} of the newest token", in_words(output))),
            };
        }
        if let Some(other) = inputs.iter().find(|input| !self.is_sequence(**input)) {
            let tokens = self.context;
            return Err(format!(
                "it takes {}, not a sequence of the {tokens} tokens",
                in_words(*other)
            ));
        }
        op.decodes(inputs)?;
        self.plan.prefix = self.plan.prefix.max(size(op.whole_prefix()));
        match self.is_sequence(output) || Self::is_vector(&output) {
            true => Ok(()),
            false => Err(format!("it makes {} of the sequence", in_words(output))),
        }
    }

    fn blame(&self, op: &Op, layer: Option<&Layer>, reason: String) -> NotCausal {
        let path = layer.map(|layer| layer.path.to_string());
        NotCausal {
            network: self.network.name.clone(),
            layer: Some(path.unwrap_or_else(|| op.word().to_owned())),
            span: layer.map(|layer| layer.span),
            reason,
        }
    }

    /// A layer keeps something for each iteration around it.
    fn keeps(&mut self, layer: LayerId) {
        self.plan.slots[layer] = Some(Slots {
            first: self.plan.count,
            loops: self.loops.clone(),
        });
        self.plan.count += self.loops.iter().map(|(_, count)| count).product::<usize>();
    }
}

impl ir::Walk for Check<'_> {
    type Value = Shape;
    type Error = NotCausal;

    fn layer(&mut self, id: LayerId, x: Shape) -> Result<Shape, NotCausal> {
        let network = self.network;
        let layer = &network.layers[id];
        let checked = self.op(&layer.op, &[x], layer.output);
        checked.map_err(|reason| self.blame(&layer.op, Some(layer), reason))?;
        if layer.op.downcast::<Conv>().is_some() {
            self.keeps(id);
        }
        Ok(layer.output)
    }

    fn fork(&mut self, x: Shape) -> Result<[Shape; 2], NotCausal> {
        Ok([x; 2])
    }

    fn keep(&mut self, _: ValueId, _: Shape) {}

    fn from(&mut self, id: ValueId, _: Option<Shape>) -> Result<Shape, NotCausal> {
        Ok(self.network.values[id].shape)
    }

    fn repeat(&mut self, of: &Loop, x: Shape) -> Result<Shape, NotCausal> {
        self.plan.exits |= of.exit.is_some();
        self.loops.push((of.scope.path.clone(), self.counts[of.count]));
        let x = self.nodes(&of.scope.nodes, x);
        self.loops.pop();
        x
    }

    fn join(&mut self, join: &Join, first: Shape, others: Vec<Shape>) -> Result<Shape, NotCausal> {
        let network = self.network;
        let inputs = [&[first], others.as_slice()].concat();
        let layer = join.layer.map(|id| &network.layers[id]);
        let checked = self.op(&join.op, &inputs, join.output);
        checked.map_err(|reason| self.blame(&join.op, layer, reason))?;
        if let Some(id) = join.layer {
            self.keeps(id);
        }
        Ok(join.output)
    }
}
