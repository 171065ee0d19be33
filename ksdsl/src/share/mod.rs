//! Sharing clauses become groups: which layers use which kernel.
//!
//! Afterwards every group has at least one visit, all its visits have equal parameter shapes, and
//! no part of a layer belongs to two groups.

mod advice;
mod assign;
mod blocks;
mod form;
mod groups;
mod isomorphic;
mod mapping;
mod members;
mod narrow;
mod outcome;
mod private;
pub(crate) mod select;

use crate::ast::{Select, Selector, Share, SharePart};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::elaborate::{Elaborated, Unshared};
use crate::ir::{Layer, LayerId, Network, Op, Part, View};
use crate::limits;
use crate::source::Span;
use crate::value::{Env, eval_bool};
use blocks::Search;
use form::Form;
use mapping::ClauseMapping;
use narrow::Narrow;
use outcome::Selected;
use private::PrivateParts;
use select::Index;
use std::collections::HashMap;
use std::ops::Range;

/// Resolves the clauses of an elaborated network.
pub fn resolve(elaborated: Elaborated<'_>, diagnostics: &mut Diagnostics) -> Network {
    let (
        mut network,
        Clauses {
            shares,
            env,
            incomplete,
        },
    ) = unshared(elaborated);
    let index = Index::new(network.layers.iter().map(|layer| &layer.path));
    let mut names = GroupNames::default();
    let mut budget = limits::SELECTED_PLACES;
    for share in shares {
        let holds = share
            .when
            .as_ref()
            .is_none_or(|when| eval_bool(when, &env, diagnostics) == Some(true));
        if !holds {
            continue;
        }
        let Some(private) = PrivateParts::read(share, &env, diagnostics) else {
            continue;
        };
        let Some(narrow) = Narrow::read(share, &env, diagnostics) else {
            continue;
        };
        let Some(form) = Form::read(share, &env, diagnostics) else {
            continue;
        };
        let mut clause = Clause {
            share,
            private,
            form,
            narrow,
            network: &mut network,
            index: &index,
            names: &mut names,
            budget: &mut budget,
            incomplete,
            diagnostics,
        };
        if let Some(mapping) = ClauseMapping::read(share, &env, clause.diagnostics) {
            clause.groups(&mapping, &env);
        }
        if budget == 0 {
            diagnostics.push(too_many_places(share.span));
            break;
        }
    }
    network
}

/// The clauses of a network with what they are read in.
struct Clauses<'f> {
    shares: Vec<&'f Share>,
    env: Env,
    incomplete: bool,
}

/// The network in which nothing is shared, and its clauses.
fn unshared(elaborated: Elaborated<'_>) -> (Network, Clauses<'_>) {
    let layer = |layer: Unshared| Layer {
        path: layer.path,
        op: layer.op,
        input: layer.input,
        output: layer.output,
        span: layer.span,
        kernel: None,
        bias: None,
        scaled: false,
        rank: None,
        combined: None,
        view: View::default(),
        iterations: layer.iterations,
    };
    let network = Network {
        name: elaborated.head.name.to_owned(),
        docs: elaborated.head.docs.to_vec(),
        text: elaborated.head.text,
        parameters: elaborated.parameters,
        inputs: elaborated.inputs,
        outputs: elaborated.outputs,
        nodes: elaborated.nodes,
        values: elaborated.values,
        loops: elaborated.loops,
        layers: elaborated.layers.into_iter().map(layer).collect(),
        groups: Vec::new(),
    };
    let clauses = Clauses {
        shares: elaborated.shares,
        env: elaborated.env,
        incomplete: elaborated.incomplete,
    };
    (network, clauses)
}

fn too_many_places(span: Span) -> Diagnostic {
    let text = format!(
        "the `share` clauses up to this one visit more than {} positions",
        limits::SELECTED_PLACES
    );
    Diagnostic::error(Code::NetworkTooLarge, span, text).help("name a scope instead of `**`, or share in fewer clauses")
}

/// The names of groups so far: the clause each is from, and the number its next namesake gets.
type GroupNames = HashMap<String, (Span, u32)>;

/// One clause at work.
struct Clause<'a, 'd> {
    share: &'a Share,
    private: PrivateParts,
    form: Form,
    narrow: Narrow,
    network: &'a mut Network,
    index: &'a Index,
    names: &'a mut GroupNames,
    /// Places that may still be looked at.
    budget: &'a mut usize,
    /// Layers are missing because of errors, so that selectors may match too little.
    incomplete: bool,
    diagnostics: &'d mut Diagnostics,
}

/// Layers that are to share, in the order of the forward pass.
struct Set {
    layers: Vec<LayerId>,
    /// The name their group is to have.
    name: String,
    /// Which visit of the family's mapping each layer is.
    at: Vec<usize>,
}

/// Sets with one mapping.
struct Family {
    /// The visits that are mapped to kernels.
    visits: usize,
    /// What a visit is, in the plural.
    what: &'static str,
    /// The first layer of every visit.
    starts: Vec<LayerId>,
    sets: Vec<Set>,
}

impl Family {
    /// A set whose layers are the visits.
    fn of(layers: Vec<LayerId>, name: String) -> Self {
        Family {
            visits: layers.len(),
            what: "layers",
            starts: layers.clone(),
            sets: vec![Set {
                at: (0..layers.len()).collect(),
                layers,
                name,
            }],
        }
    }
}

impl Clause<'_, '_> {
    /// What is shared.
    fn part(&self) -> SharePart {
        match self.private.bias.is_some() || self.shares_kernels_alone() {
            true => SharePart::Kernel,
            false => self.share.part,
        }
    }

    /// Makes the groups of the clause.
    fn groups(&mut self, mapping: &ClauseMapping<'_>, env: &Env) {
        let first = self.network.groups.len();
        let families = self.families(env);
        let selected = Selected::of(&families);
        for family in families {
            // A mapping need not fit the visits that are left where layers are missing.
            if self.incomplete {
                continue;
            }
            let Some(shared) = self.shared_visits(mapping, &family) else {
                continue;
            };
            if !self.fits_bank(shared.len(), family.what) {
                continue;
            }
            let Some(kernels) = mapping.kernels(shared, family.visits, family.what, env, self.diagnostics) else {
                continue;
            };
            for set in family.sets {
                let kernels = set.at.iter().map(|visit| kernels[*visit]).collect();
                self.group(set.layers, set.name, &kernels, mapping.words.clone());
            }
        }
        if !self.diagnostics.has_errors() && !self.incomplete && *self.budget > 0 {
            self.check_outcome(first, &selected);
        }
    }

    /// The visits of a family that share: those at a place of the family, or of the network.
    fn shared_visits(&mut self, mapping: &ClauseMapping<'_>, family: &Family) -> Option<Range<usize>> {
        if !self.share.of_network {
            return mapping.shared(family.visits, family.what, self.diagnostics);
        }
        let layers = self.network.layers.iter().enumerate();
        let weights: Vec<LayerId> = layers
            .filter(|(_, layer)| has_weights(&layer.op))
            .map(|(id, _)| id)
            .collect();
        let place = mapping.shared(weights.len(), "layers with kernels in the network", self.diagnostics)?;
        let visit = |end: usize| {
            let is_before = |start: &LayerId| weights.partition_point(|layer| layer < start) < end;
            family.starts.partition_point(is_before)
        };
        Some(visit(place.start)..visit(place.end))
    }

    /// The sets of layers that are to share.
    fn families(&mut self, env: &Env) -> Vec<Family> {
        let share = self.share;
        let errors = self.diagnostics.errors();
        let excluded = self.excluded(env);
        let transposed = self.select_transposed(env);
        if self.diagnostics.errors() > errors {
            return Vec::new();
        }
        match &share.select {
            Select::Paths(selectors) => {
                let mut layers = Vec::new();
                let errors = self.diagnostics.errors();
                for selector in selectors {
                    let matched = self.select(selector, env);
                    layers.extend(self.leaves(matched, selector));
                }
                layers.extend(transposed);
                layers.sort_unstable();
                layers.dedup();
                layers.retain(|&layer| !self.network.layers[layer].op.is_invalid());
                self.check_excluded(&excluded, &layers);
                layers.retain(|&layer| !excluded.contains(layer));
                let mut layers = self.narrow.every(layers);
                let known = layers.len();
                layers.retain(|&layer| self.has_part(layer) && self.has_use(layer));
                let failed = self.diagnostics.errors() > errors || known > layers.len();
                if layers.is_empty() || failed || !self.all_isomorphic(&layers) {
                    return Vec::new();
                }
                let name = self.path_name(selectors);
                vec![Family::of(layers, name)]
            }
            Select::Isomorphic { kind, scopes, each, .. } => {
                let kind = kind.as_ref().map(|kind| kind.value.as_str());
                let mut places = self.candidates(kind, (scopes, *each), env);
                for (layers, _) in &mut places {
                    layers.retain(|layer| !self.form.transposed.contains(layer));
                    layers.extend(&transposed);
                    layers.sort_unstable();
                    layers.dedup();
                }
                let all: Vec<LayerId> = places.iter().flat_map(|(layers, _)| layers).copied().collect();
                self.check_excluded(&excluded, &all);
                let mut families = Vec::new();
                for (mut layers, base) in places {
                    layers.retain(|&layer| !excluded.contains(layer));
                    let sets = self.isomorphic_sets(&layers, &base);
                    families.extend(sets.into_iter().map(|(layers, name)| Family::of(layers, name)));
                }
                families
            }
            Select::Blocks {
                selectors,
                inside,
                each,
                norms,
            } => {
                let search = Search {
                    selectors,
                    inside: *inside,
                    each: *each,
                    norms: *norms,
                };
                self.block_families(&search, &excluded, env)
            }
        }
    }

    fn select(&mut self, selector: &Selector, env: &Env) -> Vec<select::Match> {
        self.index
            .select(selector, env, self.incomplete, self.budget, self.diagnostics)
    }

    /// Where the clause says which layers it selects.
    fn selected(&self) -> Span {
        match &self.share.select {
            Select::Paths(selectors) => match selectors.as_slice() {
                [first, .., last] => first.span.to(last.span),
                [one] => one.span,
                [] => self.share.span,
            },
            Select::Isomorphic { .. } | Select::Blocks { .. } => self.share.span,
        }
    }
}

/// Whether layers of this kind share where a clause names no kind: norms are private to each visit
/// unless they are requested.
fn has_weights(op: &Op) -> bool {
    op.sharing().is_some_and(|sharing| sharing.whole.is_none())
}

/// The parts of a layer that a clause shares.
fn parts_of(op: &Op, part: SharePart) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for tensor in op.tensors() {
        if !parts.contains(&tensor.part) {
            parts.push(tensor.part);
        }
    }
    parts.retain(|has| match part {
        SharePart::All => true,
        SharePart::Kernel => *has == Part::Kernel,
        SharePart::Bias => *has == Part::Bias,
    });
    parts
}
