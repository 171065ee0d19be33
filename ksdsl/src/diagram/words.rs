//! What a picture says of its parts.

use super::kernels::{Kernels, label};
use super::tree::{Body, Frame};
use crate::analyse::{LayerCost, analyse};
use crate::ir::{Layer, LayerId, Network, Node, Op, Path, ScopeKind, Segment, ValueId, join_sizes};
use crate::ops;
use crate::paths::compress;
use crate::summary::{thousands, traits};
use std::collections::HashSet;

/// The most patterns of paths that a title lists.
const PATHS: usize = 16;
/// The most kernels of repetitions that a title lists.
const KERNELS: usize = 256;
/// The most characters of a name.
pub(super) const NAME: usize = 32;

/// Words for the parts of a network.
pub(super) struct Words<'n> {
    pub(super) network: &'n Network,
    pub(super) kernels: Kernels<'n>,
    costs: Vec<LayerCost>,
    /// The values that end loops.
    exits: HashSet<ValueId>,
}

/// `1 layer`, `2 layers`.
pub(super) fn plural(number: u64, word: &str) -> String {
    match number {
        1 => format!("1 {word}"),
        number => format!("{} {word}s", thousands(number)),
    }
}

impl<'n> Words<'n> {
    pub(super) fn new(network: &'n Network) -> Self {
        Words {
            network,
            kernels: Kernels::new(network),
            costs: analyse(network).layers,
            exits: exits(&network.nodes),
        }
    }

    /// Whether a value ends a loop.
    pub(super) fn is_exit(&self, id: ValueId) -> bool {
        self.exits.contains(&id)
    }

    pub(super) fn first(&self, layers: &[LayerId]) -> Option<&'n Layer> {
        layers.first().map(|id| &self.network.layers[*id])
    }

    /// The name that a layer was given, what it is, and its arguments.
    pub(super) fn layer(&self, layer: &Layer) -> (Option<String>, String, Vec<String>) {
        let word = layer.op.word();
        let (name, kind) = match layer.path.0.last() {
            Some(Segment::Name(name)) => match ops::find(unnumbered(name)) {
                Some(found) => (None, found.name),
                None => (Some(name.clone()), word),
            },
            _ => (None, word),
        };
        let channels =
            (layer.op.kernel_shape().is_some() && !layer.op.is_norm()).then(|| layer.output.channels().to_string());
        let arguments = channels.into_iter().chain(traits(layer)).collect();
        (name, kind.to_owned(), arguments)
    }

    /// What is shown when the pointer is on a layer.
    pub(super) fn layer_title(&self, layers: &[LayerId], op: &Op) -> String {
        let mut lines = self.paths(layers);
        if layers.is_empty() {
            lines.push(op.word().to_owned());
        }
        if let Some(layer) = self.first(layers) {
            let mut line = op.word().to_owned();
            let details = traits(layer).join(", ");
            if !details.is_empty() {
                line.push_str(&format!(" ({details})"));
            }
            lines.push(format!("{line}: {} \u{2192} {}", layer.input, layer.output));
            lines.extend(op.kernel_shape().map(|shape| format!("kernel {}", join_sizes(&shape))));
        }
        lines.extend(self.counts(layers));
        lines.extend(self.kernel_lines(layers));
        lines.join("\n")
    }

    fn paths(&self, layers: &[LayerId]) -> Vec<String> {
        let all = compress(layers.iter().map(|id| &self.network.layers[*id].path));
        let mut lines: Vec<String> = all.iter().take(PATHS).cloned().collect();
        let more = all.len().saturating_sub(PATHS);
        lines.extend((more > 0).then(|| format!("and {more} more")));
        lines
    }

    /// Parameters and multiply-adds.
    pub(super) fn counts(&self, layers: &[LayerId]) -> Vec<String> {
        let sum = |of: fn(&LayerCost) -> u64| layers.iter().map(|id| of(&self.costs[*id])).sum::<u64>();
        let [stored, used, macs] = [sum(|cost| cost.stored), sum(|cost| cost.used), sum(|cost| cost.macs)];
        let mut lines = Vec::new();
        if used > 0 || stored > 0 {
            lines.push(match stored == used {
                true => plural(stored, "parameter"),
                false => format!("{} stored, {} used", plural(stored, "parameter"), thousands(used)),
            });
        }
        lines.extend((macs > 0).then(|| plural(macs, "multiply-add")));
        lines
    }

    /// Whether a layer has parameters, its own or shared ones.
    pub(super) fn has_parameters(&self, layers: &[LayerId]) -> bool {
        layers
            .iter()
            .any(|id| self.costs[*id].used > 0 || self.costs[*id].stored > 0)
    }

    /// Which shared kernels repetitions use.
    fn kernel_lines(&self, layers: &[LayerId]) -> Vec<String> {
        let [kernels, biases] = self.kernels.series(layers);
        let line = |series: Vec<Option<usize>>, part: &str| {
            series.iter().any(Option::is_some).then(|| {
                let name = |kernel: &Option<usize>| kernel.map_or_else(|| "own".to_owned(), label);
                let is_same = series.windows(2).all(|pair| pair[0] == pair[1]);
                let most = if is_same { 1 } else { KERNELS };
                let mut names: Vec<String> = series.iter().take(most).map(name).collect();
                let more = if is_same {
                    0
                } else {
                    series.len().saturating_sub(KERNELS)
                };
                names.extend((more > 0).then(|| format!("and {more} more")));
                format!("shared {part}: {}", names.join(" "))
            })
        };
        line(kernels, "kernel")
            .into_iter()
            .chain(line(biases, "bias"))
            .collect()
    }

    /// The title of a box: what it is called, and the indices that it stands for.
    pub(super) fn frame(&self, frame: &Frame<'_>) -> (String, String) {
        let Some(scope) = frame.scopes.first() else {
            return Default::default();
        };
        let relative = scope.relative();
        let named = relative.iter().rev().find_map(|segment| match segment {
            Segment::Name(name) => Some(name.as_str()),
            Segment::Index(_) => None,
        });
        let name = match (&scope.kind, named) {
            (ScopeKind::Block(block), Some(name)) if unnumbered(name) != block => format!("{name}: {block}"),
            (ScopeKind::Block(block), _) => block.clone(),
            (_, Some(name)) => name.to_owned(),
            (_, None) => "repeat".to_owned(),
        };
        let index = |path: &Path| match path.0.last() {
            Some(Segment::Index(index)) => Some(*index),
            _ => None,
        };
        let last = frame.scopes.last().and_then(|scope| index(&scope.path));
        let indices = match (index(&scope.path), last) {
            (Some(first), Some(last)) if frame.times > 1 => format!("[{first}..{}]", u64::from(last) + 1),
            (Some(first), last) if last == Some(first) => format!("[{first}]"),
            _ => String::new(),
        };
        (name, indices)
    }

    /// What is shown when the pointer is on the title of a box.
    pub(super) fn frame_title(&self, frame: &Frame<'_>) -> String {
        let all = compress(frame.scopes.iter().map(|scope| &scope.path));
        let mut lines: Vec<String> = all.iter().take(PATHS).cloned().collect();
        if let (Some(first), Some(last)) = (frame.scopes.first(), frame.scopes.last()) {
            lines.push(format!("{} \u{2192} {}", first.input, last.output));
        }
        if let Body::Closed(layers) = &frame.body {
            lines.push(plural(layers.len() as u64, "layer"));
            lines.extend(self.counts(layers));
        }
        lines.join("\n")
    }

    /// What a loop does besides what is in it.
    pub(super) fn loop_lines(&self, frame: &Frame<'_>) -> Vec<String> {
        let Some(of) = frame.of_loop else {
            return Vec::new();
        };
        let gradients = of.gradients.map(|last| format!("gradients of the last {last}"));
        let exit = of.exit.map(|id| {
            let name = super::measure::shortened(&self.network.values[id].name, NAME);
            format!("items stop at {name} > 0")
        });
        gradients.into_iter().chain(exit).collect()
    }
}

/// The values that end loops.
fn exits(nodes: &[Node]) -> HashSet<ValueId> {
    let mut found = HashSet::new();
    let mut stack: Vec<&Node> = nodes.iter().collect();
    while let Some(node) = stack.pop() {
        match node {
            Node::Scope(scope) => stack.extend(&scope.nodes),
            Node::Loop(of) => {
                found.extend(of.exit);
                stack.extend(&of.scope.nodes);
            }
            Node::Join(join) => stack.extend(join.arms.iter().flat_map(|arm| &arm.nodes)),
            Node::Layer(_) | Node::Keep(_) | Node::Set(_) | Node::From(_) => {}
        }
    }
    found
}

/// `conv` of `conv_2`.
fn unnumbered(name: &str) -> &str {
    let end = name.trim_end_matches(|c: char| c.is_ascii_digit());
    match end.strip_suffix('_') {
        Some(base) if end.len() < name.len() => base,
        _ => name,
    }
}
