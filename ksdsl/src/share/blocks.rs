//! Whole blocks: the layers at the same position of several blocks share.

use super::isomorphic::Signature;
use super::members::plain_name;
use super::narrow::Excluded;
use super::select::NodeId;
use super::{Clause, Family, Set, has_weights, parts_of};
use crate::ast::Selector;
use crate::diag::{Code, Diagnostic};
use crate::ir::{LayerId, ScopeKind, Segment};
use crate::source::Span;
use crate::value::Env;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Isomorphic layers at the same position of several blocks: each with the number of its block.
type Members = Vec<(usize, LayerId)>;

/// Where blocks are looked for, and what of them is shared.
pub(super) struct Search<'s> {
    pub(super) selectors: &'s [Selector],
    /// Whether the selectors are scopes that contain the blocks.
    pub(super) inside: bool,
    /// Whether each scope has families of its own.
    pub(super) each: bool,
    pub(super) norms: bool,
}

/// A selected block.
struct Block {
    node: NodeId,
    /// The scope it was found in, where each has families of its own.
    scope: Option<NodeId>,
    /// Which selector it is from.
    selector: usize,
    layers: Vec<LayerId>,
}

impl Clause<'_, '_> {
    /// The families of blocks a clause selects: blocks that have isomorphic layers at the same position,
    /// directly or through others. The mapping is that of a family's blocks.
    pub(super) fn block_families(&mut self, search: &Search<'_>, excluded: &Excluded, env: &Env) -> Vec<Family> {
        let errors = self.diagnostics.errors();
        let blocks = self.blocks(search, env);
        let layers: Vec<LayerId> = blocks.iter().flat_map(|block| &block.layers).copied().collect();
        self.check_excluded(excluded, &layers);
        let blocks = self.narrowed(blocks, excluded);
        if self.diagnostics.errors() > errors || *self.budget == 0 {
            return Vec::new();
        }
        let sets = self.same_places(&blocks, search.norms);
        let roots = joined(blocks.len(), &sets);
        let mut families: BTreeMap<usize, Vec<Members>> = BTreeMap::new();
        for set in sets {
            families.entry(roots[set[0].0]).or_default().push(set);
        }
        let family = |(root, sets)| self.family(root, sets, &roots, &blocks, search.selectors);
        families.into_iter().map(family).collect()
    }

    /// The selected blocks in the order of the forward pass.
    fn blocks(&mut self, search: &Search<'_>, env: &Env) -> Vec<Block> {
        let Some(found) = self.selected_blocks(search.selectors, search.inside, env) else {
            return Vec::new();
        };
        if let Some((inner, outer)) = self.nested(&found) {
            self.overlap(inner, outer, search.selectors[found[&inner].0].span);
            return Vec::new();
        }
        let block = |(node, (selector, scope))| {
            let mut layers = Vec::new();
            self.index.layers_below(node, &mut layers);
            layers.sort_unstable();
            Block {
                node,
                scope: Some(scope).filter(|_| search.each),
                selector,
                layers,
            }
        };
        let mut blocks: Vec<Block> = found.into_iter().map(block).collect();
        let layers = blocks.iter().map(|block| block.layers.len()).sum();
        *self.budget = self.budget.saturating_sub(layers);
        blocks.sort_unstable_by_key(|block| block.layers.first().copied());
        blocks
    }

    /// The blocks that the clause does not leave out, without the layers that it does; of each scope, every so
    /// many.
    fn narrowed(&self, mut blocks: Vec<Block>, excluded: &Excluded) -> Vec<Block> {
        for block in &mut blocks {
            block.layers.retain(|layer| !excluded.contains(*layer));
        }
        blocks.retain(|block| !block.layers.is_empty());
        let mut scopes: BTreeMap<Option<NodeId>, Vec<Block>> = BTreeMap::new();
        for block in blocks {
            scopes.entry(block.scope).or_default().push(block);
        }
        let scopes = scopes.into_values();
        let mut blocks: Vec<Block> = scopes.flat_map(|blocks| self.narrow.every(blocks)).collect();
        blocks.sort_unstable_by_key(|block| block.layers.first().copied());
        blocks
    }

    /// The places of the selected blocks, with the first selector that selects each and the place that it leads to.
    /// `None` if a selector leads to no block, which is reported.
    fn selected_blocks(
        &mut self,
        selectors: &[Selector],
        inside: bool,
        env: &Env,
    ) -> Option<BTreeMap<NodeId, (usize, NodeId)>> {
        let scopes = if inside { self.block_nodes() } else { HashSet::new() };
        let mut found = BTreeMap::new();
        for (at, selector) in selectors.iter().enumerate() {
            for matched in self.select(selector, env) {
                if matched.layer.is_some() {
                    self.not_a_block(matched.node, inside, selector.span);
                    return None;
                }
                let nodes = match inside {
                    true => self.index.outermost(matched.node, &scopes, self.budget),
                    false => vec![matched.node],
                };
                if nodes.is_empty() && !self.incomplete {
                    self.no_blocks(matched.node, selector.span);
                    return None;
                }
                for node in nodes {
                    found.entry(node).or_insert((at, matched.node));
                }
            }
        }
        Some(found)
    }

    /// The places of blocks and of iterations that are none.
    fn block_nodes(&self) -> HashSet<NodeId> {
        let scopes = self.network.scopes();
        let scopes = scopes.filter(|scope| !matches!(scope.kind, ScopeKind::Stage | ScopeKind::Loop));
        scopes.filter_map(|scope| self.index.find(&scope.path)).collect()
    }

    /// A selected block inside another one.
    fn nested(&self, found: &BTreeMap<NodeId, (usize, NodeId)>) -> Option<(NodeId, NodeId)> {
        found.keys().find_map(|&inner| {
            let mut above = self.index.above(inner);
            above.find(|node| found.contains_key(node)).map(|outer| (inner, outer))
        })
    }

    /// The layers that stand at the same position of two or more blocks and are isomorphic, each with
    /// its block: in the order of their first members.
    fn same_places(&self, blocks: &[Block], norms: bool) -> Vec<Members> {
        let mut order = Vec::new();
        let mut sets: HashMap<(Option<NodeId>, &[Segment], Signature), Members> = HashMap::new();
        for (at, block) in blocks.iter().enumerate() {
            let depth = self.index.depth(block.node);
            for &id in &block.layers {
                let layer = &self.network.layers[id];
                let wanted = has_weights(&layer.op) || (norms && layer.op.is_norm());
                if !wanted || parts_of(&layer.op, self.part()).is_empty() || self.refused_use(id).is_some() {
                    continue;
                }
                let key = (
                    block.scope,
                    &layer.path.0[depth..],
                    Signature::of(&layer.op, self.part(), self.use_of(id)),
                );
                let set = sets.entry(key.clone()).or_default();
                if set.is_empty() {
                    order.push(key);
                }
                set.push((at, id));
            }
        }
        let sets = order.iter().filter_map(|key| sets.remove(key));
        sets.filter(|set| set.len() > 1).collect()
    }

    fn family(
        &self,
        root: usize,
        sets: Vec<Members>,
        roots: &[usize],
        blocks: &[Block],
        selectors: &[Selector],
    ) -> Family {
        let members: Vec<usize> = (0..blocks.len()).filter(|block| roots[*block] == root).collect();
        let position: HashMap<usize, usize> = members.iter().enumerate().map(|(at, block)| (*block, at)).collect();
        let mut used: Vec<usize> = members.iter().map(|block| blocks[*block].selector).collect();
        used.sort_unstable();
        used.dedup();
        let base = match &self.share.name {
            Some(name) => name.value.clone(),
            None if blocks[root].scope.is_some() => {
                let scope = blocks[root].scope.map(|scope| self.index.path(scope).0);
                relative_name(&scope.unwrap_or_default())
            }
            None => {
                let mut names: Vec<String> = used.iter().map(|at| plain_name(&selectors[*at])).collect();
                names.dedup();
                names.join("_")
            }
        };
        let set = |set: Members| {
            let (first, layer) = set[0];
            let depth = self.index.depth(blocks[first].node);
            let name = relative_name(&self.network.layers[layer].path.0[depth..]);
            Set {
                name: format!("{base}_{name}"),
                at: set.iter().map(|(block, _)| position[block]).collect(),
                layers: set.into_iter().map(|(_, layer)| layer).collect(),
            }
        };
        Family {
            visits: members.len(),
            what: "blocks",
            starts: members
                .iter()
                .filter_map(|block| blocks[*block].layers.first())
                .copied()
                .collect(),
            sets: sets.into_iter().map(set).collect(),
        }
    }

    fn not_a_block(&mut self, node: NodeId, inside: bool, span: Span) {
        let path = self.index.path(node);
        let help = match inside {
            true => "name a scope that contains blocks".to_owned(),
            false => format!("write `share {path}` to share a layer, or name the block it is in"),
        };
        let text = format!("`{path}` is a layer, not a block");
        self.diagnostics
            .push(Diagnostic::error(Code::MatchesNothing, span, text).help(help));
    }

    fn no_blocks(&mut self, node: NodeId, span: Span) {
        let path = self.index.path(node);
        let text = match path.0.is_empty() {
            true => "the network contains no blocks".to_owned(),
            false => format!("`{path}` contains no blocks"),
        };
        self.diagnostics.push(
            Diagnostic::error(Code::MatchesNothing, span, text)
                .label("searched here for blocks and repetitions")
                .help("write `share isomorphic in ...` to share layers that are in no block"),
        );
    }

    fn overlap(&mut self, inner: NodeId, outer: NodeId, span: Span) {
        let (inner, outer) = (self.index.path(inner), self.index.path(outer));
        let outer = match outer.0.is_empty() {
            true => "the network itself".to_owned(),
            false => format!("`{outer}`"),
        };
        let text = format!("`{inner}` is inside {outer}, which is also selected");
        self.diagnostics.push(
            Diagnostic::error(Code::ClaimedTwice, span, text)
                .help("select blocks of one nesting level with `[*]` instead of `**`"),
        );
    }
}

/// For every block, the first of those it is joined with by common sets.
fn joined(blocks: usize, sets: &[Members]) -> Vec<usize> {
    let mut first: Vec<usize> = (0..blocks).collect();
    let find = |first: &mut Vec<usize>, mut at: usize| {
        while first[at] != at {
            first[at] = first[first[at]];
            at = first[at];
        }
        at
    };
    for set in sets {
        for pair in set.windows(2) {
            let (a, b) = (find(&mut first, pair[0].0), find(&mut first, pair[1].0));
            first[a.max(b)] = a.min(b);
        }
    }
    (0..blocks).map(|block| find(&mut first, block)).collect()
}

/// `attention_query` of `attention.query`, `0_conv` of `[0].conv`.
pub(super) fn relative_name(path: &[Segment]) -> String {
    let words: Vec<String> = path
        .iter()
        .map(|segment| match segment {
            Segment::Name(name) => name.clone(),
            Segment::Index(index) => index.to_string(),
        })
        .collect();
    words.join("_")
}
