//! What a network costs: parameters, multiply-adds, memory.

use crate::ir::{GroupId, Join, Layer, LayerId, Network, Node, Op, Part, Shape, Tensor, Visit};
use std::collections::HashSet;

/// The costs of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analysis {
    /// Trainable parameters, each shared one counted once.
    pub trainable: u64,
    /// Trainable parameters if nothing were shared.
    pub unshared: u64,
    /// Values that training changes without gradients: the running statistics of batch norms.
    pub buffers: u64,
    /// Multiply-adds of convolutions and linear layers for one image; a shared kernel counts at
    /// each visit.
    pub macs: u64,
    /// Largest number of activation values alive at one time in inference, per image.
    pub peak_inference: u64,
    /// Activation values kept for the backward pass plus the largest gradient pair in flight, per
    /// image.
    pub peak_training: u64,
    /// What each layer costs, in the order of the layers.
    pub layers: Vec<LayerCost>,
}

/// What a layer costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerCost {
    /// Trainable parameters stored for it: those of a shared kernel at its first visit only.
    pub stored: u64,
    /// Trainable parameters it uses.
    pub used: u64,
    /// Multiply-adds for one image.
    pub macs: u64,
}

/// Analyses a network.
pub fn analyse(network: &Network) -> Analysis {
    let mut seen = HashSet::new();
    let mut buffers = 0;
    let layers: Vec<LayerCost> = network
        .layers
        .iter()
        .map(|layer| {
            let mut cost = LayerCost {
                macs: layer.op.macs(layer.output),
                ..LayerCost::default()
            };
            for tensor in layer.op.tensors() {
                let size = elements(&tensor);
                let first = shared(layer, &tensor).is_none_or(|key| seen.insert((key, tensor.name)));
                match (tensor.trainable, first) {
                    (true, first) => {
                        cost.used += size;
                        cost.stored += if first { size } else { 0 };
                    }
                    (false, true) => buffers += size,
                    (false, false) => {}
                }
            }
            cost
        })
        .collect();
    let total = |value: fn(&LayerCost) -> u64| layers.iter().map(value).fold(0u64, u64::saturating_add);
    let mut memory = Memory {
        network,
        peak: network.input.elements(),
    };
    memory.run(&network.nodes, network.input.elements(), 0, false);
    Analysis {
        trainable: total(|cost| cost.stored),
        unshared: total(|cost| cost.used),
        buffers,
        macs: total(|cost| cost.macs),
        peak_inference: memory.peak,
        peak_training: training(network),
        layers,
    }
}

fn elements(tensor: &Tensor) -> u64 {
    tensor.shape.iter().product()
}

/// The kernel of a group that holds this tensor of a layer.
fn shared(layer: &Layer, tensor: &Tensor) -> Option<(GroupId, u32)> {
    let visit: Option<Visit> = match tensor.part {
        Part::Kernel | Part::Norm => layer.kernel,
        Part::Bias => layer.bias,
    };
    visit.map(|visit| (visit.group, visit.kernel))
}

/// Whether a layer can write its output over its input.
fn in_place(op: &Op) -> bool {
    matches!(op, Op::Activation(_) | Op::BatchNorm { .. } | Op::Dropout(_))
}

/// Follows the forward pass in inference, where a value dies with its last use.
///
/// Everywhere `live` is the size of the input, `held` that of other values alive meanwhile, and
/// `kept` says that the input is needed again afterwards, so that nothing may be written over it.
struct Memory<'n> {
    network: &'n Network,
    peak: u64,
}

impl Memory<'_> {
    /// Runs nodes one after the other; the size of the output.
    fn run(&mut self, nodes: &[Node], mut live: u64, mut held: u64, mut kept: bool) -> u64 {
        for node in nodes {
            let output = self.node(node, live, held, kept);
            // Only the first node reads the kept input; it stays alive beside what follows.
            if std::mem::take(&mut kept) {
                held = held.saturating_add(live);
            }
            live = output;
        }
        live
    }

    fn node(&mut self, node: &Node, live: u64, held: u64, kept: bool) -> u64 {
        match node {
            Node::Layer(id) => self.layer(*id, live, held, kept),
            Node::Scope(scope) => self.run(&scope.nodes, live, held, kept),
            Node::Residual { main, skip } => {
                let output = self.run(main, live, held, true);
                let other = self.run(skip, live, held.saturating_add(output), kept);
                self.note(held.saturating_add(output).saturating_add(other));
                output
            }
            Node::Branch { join, arms, output } => {
                let mut done = 0u64;
                for (at, (arm, _)) in arms.iter().enumerate() {
                    let kept = kept || at + 1 < arms.len();
                    let out = self.run(arm, live, held.saturating_add(done), kept);
                    done = done.saturating_add(out);
                }
                // Sums and products are written over one of the branches.
                let joined = if *join == Join::Concat { output.elements() } else { 0 };
                self.note(held.saturating_add(done).saturating_add(joined));
                output.elements()
            }
            Node::Gate(gate) => {
                self.run(gate, live, held, true);
                self.note(held.saturating_add(live.saturating_mul(2)));
                live
            }
        }
    }

    fn layer(&mut self, id: LayerId, live: u64, held: u64, kept: bool) -> u64 {
        let layer = &self.network.layers[id];
        let output = layer.output.elements();
        let both = if in_place(&layer.op) && !kept {
            output
        } else {
            live.saturating_add(output)
        };
        self.note(held.saturating_add(both));
        output
    }

    fn note(&mut self, values: u64) {
        self.peak = self.peak.max(values);
    }
}

/// In training every output that is not written over another one is kept; in the backward pass the
/// gradients of one layer's output and input are alive as well.
fn training(network: &Network) -> u64 {
    let elements = |shape: Shape| shape.elements();
    let kept = network
        .layers
        .iter()
        .filter(|layer| !matches!(layer.op, Op::Activation(_)))
        .map(|layer| elements(layer.output))
        .fold(elements(network.input), u64::saturating_add);
    let pair = network
        .layers
        .iter()
        .map(|layer| elements(layer.input).saturating_add(elements(layer.output)))
        .max();
    kept.saturating_add(pair.unwrap_or(0))
}
