//! Sharing clauses become groups: which layers use which kernel.
//!
//! Afterwards every group has at least one visit, all its visits have equal parameter shapes, and
//! no part of a layer belongs to two groups.

mod assign;
mod groups;
mod isomorphic;
mod members;
mod select;

use crate::ast::{Select, Selector, Share, SharePart};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::elaborate::Elaborated;
use crate::ir::{LayerId, Network, Op, Part};
use crate::limits;
use crate::source::Span;
use crate::value::{Env, eval_bool, eval_int};
use select::Index;
use std::collections::HashMap;

/// Resolves the clauses of an elaborated network.
pub fn resolve(elaborated: Elaborated<'_>, diagnostics: &mut Diagnostics) -> Network {
    let Elaborated {
        mut network,
        shares,
        env,
        incomplete,
    } = elaborated;
    let index = Index::new(&network.layers);
    let mut names = Names::default();
    let mut budget = limits::SELECTED_PLACES;
    for share in shares {
        let holds = share
            .when
            .as_ref()
            .is_none_or(|when| eval_bool(when, &env, diagnostics) == Some(true));
        if !holds {
            continue;
        }
        let mut clause = Clause {
            share,
            network: &mut network,
            index: &index,
            names: &mut names,
            budget: &mut budget,
            incomplete,
            diagnostics,
        };
        for (layers, name) in clause.sets(&env) {
            let groups = share.into.as_ref().map(|into| eval_int(into, &env, clause.diagnostics));
            clause.group(layers, name, groups);
        }
        if budget == 0 {
            diagnostics.push(too_many_places(share.span));
            break;
        }
    }
    network
}

fn too_many_places(span: Span) -> Diagnostic {
    let text = format!(
        "the sharing clauses up to this one look at more than {} places",
        limits::SELECTED_PLACES
    );
    Diagnostic::error(Code::NetworkTooLarge, span, text).help("name a scope instead of `**`, or share in fewer clauses")
}

/// The names of groups so far: the clause each is from, and the number its next namesake gets.
type Names = HashMap<String, (Span, u32)>;

/// One clause at work.
struct Clause<'a, 'd> {
    share: &'a Share,
    network: &'a mut Network,
    index: &'a Index,
    names: &'a mut Names,
    /// Places that may still be looked at.
    budget: &'a mut usize,
    /// Layers are missing because of errors, so that selectors may match too little.
    incomplete: bool,
    diagnostics: &'d mut Diagnostics,
}

impl Clause<'_, '_> {
    /// The sets of layers that are to share, with the name each gets.
    fn sets(&mut self, env: &Env) -> Vec<(Vec<LayerId>, String)> {
        match &self.share.select {
            Select::Paths(selectors) => {
                let mut layers = Vec::new();
                let errors = self.diagnostics.errors();
                for selector in selectors {
                    let matched = self.select(selector, env);
                    layers.extend(self.leaves(matched, selector.span));
                }
                layers.sort_unstable();
                layers.dedup();
                layers.retain(|&layer| !matches!(self.network.layers[layer].op, Op::Invalid));
                let known = layers.len();
                layers.retain(|&layer| self.has_part(layer));
                let failed = self.diagnostics.errors() > errors || known > layers.len();
                if layers.is_empty() || failed || !self.all_isomorphic(&layers) {
                    return Vec::new();
                }
                let name = self.path_name(selectors);
                vec![(layers, name)]
            }
            Select::Isomorphic { kind, scopes } => {
                let layers = self.candidates(kind.as_ref().map(|kind| kind.value.as_str()), scopes, env);
                self.isomorphic_sets(&layers, kind.as_ref().map(|kind| kind.value.as_str()), scopes)
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
            Select::Isomorphic { .. } => self.share.span,
        }
    }
}

/// The parts of a layer that a clause shares.
fn parts_of(op: &Op, part: SharePart) -> Vec<Part> {
    let mut parts: Vec<Part> = op.tensors().into_iter().map(|tensor| tensor.part).collect();
    parts.dedup();
    parts.retain(|has| match part {
        SharePart::All => true,
        SharePart::Kernel => *has == Part::Kernel,
        SharePart::Bias => *has == Part::Bias,
    });
    parts
}
