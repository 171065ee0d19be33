//! What changed between two networks. Layers are aligned by their paths, shared kernels by their names.

use crate::ir::{Layer, Network, Node, Scope, ScopeKind, join_sizes};
use crate::source::Span;
use crate::summary::{LayerSummary, MappingSummary, Setting, SharedKernel, Summary};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The differences of two networks.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// Whether there are none: the networks compute the same, with the same parameters, from the same initial values.
    pub equal: bool,
    /// The first network.
    pub before: Side,
    /// The second network.
    pub after: Side,
    /// Numbers of both, whether they differ or not.
    pub counts: Vec<Count>,
    /// Inputs and outputs that differ.
    pub ports: Vec<Change>,
    /// Layers of the first that the second lacks.
    pub removed: Vec<LayerSummary>,
    /// Layers of the second that the first lacks.
    pub added: Vec<LayerSummary>,
    /// Layers of both that differ.
    pub changed: Vec<Changed>,
    /// Layers of both that run in another order.
    pub moved: Vec<String>,
    /// Shared kernels that differ, or that only one has.
    pub groups: Vec<GroupChange>,
    /// Mappings of visits to kernels that differ, by group.
    pub mappings: Vec<Change>,
    /// Whether layers are connected in another way, although all of them and their order are equal; not looked at where
    /// layers differ.
    pub connections: bool,
}

/// One of the networks.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// Its name.
    pub name: String,
    /// The values of its parameters.
    pub settings: BTreeMap<String, Setting>,
}

/// A number.
#[derive(Clone, Debug, Serialize)]
pub struct Count {
    /// What is counted.
    pub what: &'static str,
    /// Of the first network.
    pub before: u128,
    /// Of the second network.
    pub after: u128,
}

/// Something that both have, and that differs.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Change {
    /// What it is.
    pub what: String,
    /// In the first network.
    pub before: String,
    /// In the second network.
    pub after: String,
}

/// A layer of both networks that differs.
#[derive(Clone, Debug, Serialize)]
pub struct Changed {
    /// Its path.
    pub path: String,
    /// What differs.
    pub changes: Vec<Change>,
}

/// A shared kernel that differs.
#[derive(Clone, Debug, Serialize)]
pub struct GroupChange {
    /// Its name.
    pub name: String,
    /// `changed`, or `removed` or `added` where only one network has it.
    pub state: &'static str,
    /// What differs, for one that both have; the others have visits alone.
    pub changes: Vec<Change>,
    /// The visits that it loses.
    pub visits_removed: Vec<String>,
    /// The visits that it gains.
    pub visits_added: Vec<String>,
}

/// Compares two networks with their summaries.
pub fn diff(before: (&Network, &Summary), after: (&Network, &Summary)) -> Difference {
    let (a, b) = (before.1, after.1);
    let (ours, theirs) = (by_path(&a.layers), by_path(&b.layers));
    let only = |layers: &[LayerSummary], others: &HashMap<&str, usize>| -> Vec<LayerSummary> {
        let missing = layers.iter().filter(|layer| !others.contains_key(layer.path.as_str()));
        missing.cloned().collect()
    };
    let mut difference = Difference {
        equal: false,
        before: side(a),
        after: side(b),
        counts: counts(a, b),
        ports: [
            change("input", a.input_in_words(), b.input_in_words()),
            change("output", a.output_in_words(), b.output_in_words()),
        ]
        .into_iter()
        .flatten()
        .collect(),
        removed: only(&a.layers, &theirs),
        added: only(&b.layers, &ours),
        changed: changed(before, after, &theirs),
        moved: moved(&a.layers, &theirs),
        groups: groups(&a.groups, &b.groups),
        mappings: mappings(&a.mappings, &b.mappings),
        connections: false,
    };
    let same_layers = difference.removed.is_empty() && difference.added.is_empty() && difference.moved.is_empty();
    let same_layers = same_layers && difference.changed.is_empty() && difference.ports.is_empty();
    difference.connections = same_layers && connections(before.0) != connections(after.0);
    difference.equal =
        same_layers && !difference.connections && difference.groups.is_empty() && difference.mappings.is_empty();
    difference
}

fn side(summary: &Summary) -> Side {
    Side {
        name: summary.name.clone(),
        settings: summary.settings.clone(),
    }
}

fn by_path(layers: &[LayerSummary]) -> HashMap<&str, usize> {
    let numbered = layers.iter().enumerate();
    numbered.map(|(number, layer)| (layer.path.as_str(), number)).collect()
}

fn change(what: &str, before: String, after: String) -> Option<Change> {
    (before != after).then(|| Change {
        what: what.to_owned(),
        before,
        after,
    })
}

fn counts(a: &Summary, b: &Summary) -> Vec<Count> {
    let of = |summary: &Summary| {
        [
            ("layers", summary.layers.len() as u128),
            ("parameters", summary.parameters.trainable.into()),
            ("without sharing", summary.parameters.unshared.into()),
            ("running statistics", summary.parameters.buffers.into()),
            ("multiply-adds", summary.macs.into()),
            ("model bytes", summary.memory.model_bytes.into()),
            ("inference bytes", summary.memory.inference_bytes),
            ("training bytes", summary.memory.training_bytes),
        ]
    };
    let both = of(a).into_iter().zip(of(b));
    both.map(|((what, before), (_, after))| Count { what, before, after })
        .collect()
}

fn changed(before: (&Network, &Summary), after: (&Network, &Summary), theirs: &HashMap<&str, usize>) -> Vec<Changed> {
    let layers = before.1.layers.iter().zip(&before.0.layers);
    let compare = |(old, old_layer): (&LayerSummary, &Layer)| {
        let number = *theirs.get(old.path.as_str())?;
        let (new, new_layer) = (&after.1.layers[number], &after.0.layers[number]);
        let mut changes: Vec<Change> = properties(old)
            .into_iter()
            .zip(properties(new))
            .filter_map(|((what, before), (_, after))| change(what, before, after))
            .collect();
        let init = |layer: &Layer| format!("{:?}", layer.op.tensors().iter().map(|t| &t.init).collect::<Vec<_>>());
        let same = old.op == new.op && old.kernel == new.kernel;
        changes.extend(change("initial values", init(old_layer), init(new_layer)).filter(|_| same));
        (!changes.is_empty()).then(|| Changed {
            path: old.path.clone(),
            changes,
        })
    };
    layers.filter_map(compare).collect()
}

/// What can differ of a layer; an empty text where it has nothing of the kind.
fn properties(layer: &LayerSummary) -> [(&'static str, String); 9] {
    [
        ("layer", layer.op.to_owned()),
        ("arguments", layer.details.clone()),
        ("input", join_sizes(&layer.input)),
        ("output", join_sizes(&layer.output)),
        ("kernel", layer.kernel.as_deref().map(join_sizes).unwrap_or_default()),
        ("shared kernel", layer.group.clone().unwrap_or_default()),
        ("shared bias", layer.bias_group.clone().unwrap_or_default()),
        ("parameters", layer.unshared.to_string()),
        ("multiply-adds", layer.macs.to_string()),
    ]
}

/// The layers of both that are not in the longest sequence that both run in the same order.
fn moved(layers: &[LayerSummary], theirs: &HashMap<&str, usize>) -> Vec<String> {
    let common: Vec<(&str, usize)> = layers
        .iter()
        .filter_map(|layer| Some((layer.path.as_str(), *theirs.get(layer.path.as_str())?)))
        .collect();
    // The ends of the shortest-ending increasing sequences by length (Fredman 1975), and what precedes each.
    let (mut ends, mut before): (Vec<usize>, Vec<Option<usize>>) = (Vec::new(), Vec::new());
    for (at, (_, place)) in common.iter().enumerate() {
        let length = ends.partition_point(|end| common[*end].1 < *place);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let kept: HashSet<usize> = std::iter::successors(ends.last().copied(), |at| before[*at]).collect();
    let others = common.iter().enumerate().filter(|(at, _)| !kept.contains(at));
    others.map(|(_, (path, _))| (*path).to_owned()).collect()
}

fn groups(ours: &[SharedKernel], theirs: &[SharedKernel]) -> Vec<GroupChange> {
    let find = |groups: &'_ [SharedKernel], name: &str| groups.iter().position(|group| group.name == name);
    let mut changes = Vec::new();
    for group in ours {
        let other = find(theirs, &group.name).map(|at| &theirs[at]);
        changes.extend(group_change(Some(group), other));
    }
    let new = theirs.iter().filter(|group| find(ours, &group.name).is_none());
    changes.extend(new.filter_map(|group| group_change(None, Some(group))));
    changes
}

fn group_change(before: Option<&SharedKernel>, after: Option<&SharedKernel>) -> Option<GroupChange> {
    let visits = |group: Option<&SharedKernel>| group.map(|group| group.visits.clone()).unwrap_or_default();
    let without = |visits: &[String], others: &[String]| -> Vec<String> {
        let others: HashSet<&String> = others.iter().collect();
        visits.iter().filter(|visit| !others.contains(visit)).cloned().collect()
    };
    let (old, new) = (visits(before), visits(after));
    let mut changes = Vec::new();
    if let (Some(a), Some(b)) = (before, after) {
        changes.extend(change("shape", join_sizes(&a.shape), join_sizes(&b.shape)));
        changes.extend(change("parts", a.parts.join(", "), b.parts.join(", ")));
        changes.extend(change("parameters", a.parameters.to_string(), b.parameters.to_string()));
    }
    let found = GroupChange {
        name: before.or(after)?.name.clone(),
        state: match (before, after) {
            (Some(_), Some(_)) => "changed",
            (Some(_), None) => "removed",
            _ => "added",
        },
        changes,
        visits_removed: without(&old, &new),
        visits_added: without(&new, &old),
    };
    let same = found.changes.is_empty() && found.visits_removed.is_empty() && found.visits_added.is_empty();
    (!same).then_some(found)
}

fn mappings(ours: &[MappingSummary], theirs: &[MappingSummary]) -> Vec<Change> {
    let texts = |mappings: &[MappingSummary]| -> BTreeMap<String, String> {
        let text = |mapping: &MappingSummary| {
            let kernels = mapping.kernels.iter();
            let kernels: Vec<String> = kernels
                .map(|kernel| kernel.map_or("_".into(), |it| it.to_string()))
                .collect();
            (
                mapping.group.clone(),
                format!("{}: {}", mapping.mapping, kernels.join(" ")),
            )
        };
        mappings.iter().map(text).collect()
    };
    let (old, new) = (texts(ours), texts(theirs));
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let text = |texts: &BTreeMap<String, String>, name: &str| texts.get(name).cloned().unwrap_or_default();
    names
        .into_iter()
        .filter_map(|name| change(name, text(&old, name), text(&new, name)))
        .collect()
}

/// The forward pass as text, without the names of blocks and where they are written.
pub(crate) fn connections(network: &Network) -> String {
    let mut nodes = network.nodes.clone();
    nodes.iter_mut().for_each(forget_blocks);
    format!("{nodes:?} {:?} {:?}", network.inputs, network.outputs)
}

fn forget_blocks(node: &mut Node) {
    let in_scope = |scope: &mut Scope| {
        scope.kind = ScopeKind::Stage;
        scope.span = Span::default();
        scope.nodes.iter_mut().for_each(forget_blocks);
    };
    match node {
        Node::Scope(scope) => in_scope(scope),
        Node::Loop(inner) => in_scope(&mut inner.scope),
        Node::Join(join) => join
            .arms
            .iter_mut()
            .flat_map(|arm| &mut arm.nodes)
            .for_each(forget_blocks),
        Node::Layer(_) | Node::Keep(_) | Node::Set(_) | Node::From(_) => {}
    }
}
