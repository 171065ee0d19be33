//! Sharing clauses become groups: which layers use which kernel.
//!
//! Afterwards every group has at least one visit, all its visits have equal parameter shapes, and
//! no part of a layer belongs to two groups.

mod assign;
mod isomorphic;
mod select;

use crate::ast::{Select, Share, SharePart};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::elaborate::Elaborated;
use crate::ir::{Group, LayerId, Network, Op, Part, Visit};
use crate::layers;
use crate::limits;
use crate::source::Span;
use crate::value::{eval_bool, eval_int};
use isomorphic::Signature;
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
    fn sets(&mut self, env: &crate::value::Env) -> Vec<(Vec<LayerId>, String)> {
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

    fn select(&mut self, selector: &crate::ast::Selector, env: &crate::value::Env) -> Vec<select::Match> {
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

    /// Selected paths must be layers.
    fn leaves(&mut self, matched: Vec<select::Match>, span: Span) -> Vec<LayerId> {
        let scope = matched.iter().find(|found| found.layer.is_none());
        if let Some(scope) = scope {
            let path = self.index.path(scope.node);
            let inside = self
                .index
                .children(scope.node)
                .into_iter()
                .take(6)
                .collect::<Vec<_>>()
                .join(", ");
            // `**` alone also matches the network itself.
            let (what, clause) = match path.0.is_empty() {
                true => ("the network itself".to_owned(), "share isomorphic".to_owned()),
                false => (format!("`{path}`"), format!("share isomorphic in {path}")),
            };
            self.diagnostics.push(
                Diagnostic::error(Code::MatchesNothing, span, format!("{what} is not a layer"))
                    .label("a path to layers is needed here")
                    .help(format!("it contains {inside}; select one of them, or write `{clause}`")),
            );
            return Vec::new();
        }
        matched.into_iter().filter_map(|found| found.layer).collect()
    }

    /// Whether a selected layer has what the clause shares; reported if not.
    fn has_part(&mut self, layer: LayerId) -> bool {
        let layer = &self.network.layers[layer];
        let has = parts_of(&layer.op, self.share.part);
        if !has.is_empty() {
            return true;
        }
        let what = match self.share.part {
            SharePart::All => "nothing to share",
            SharePart::Kernel => "no kernel of its own to share",
            SharePart::Bias => "no bias to share",
        };
        let text = format!("`{}` has {what}", layer.path);
        self.diagnostics.push(
            Diagnostic::error(Code::NothingToShare, self.selected(), text)
                .label(format!("`{}` is selected here", layer.path))
                .and(layer.span, format!("it is `{}`", layer.op.word()))
                .help(match (self.share.part, &layer.op) {
                    (SharePart::Bias, Op::Conv(_)) => "give the layer `bias = true`, or share its kernel",
                    (_, Op::BatchNorm { .. } | Op::LayerNorm { .. }) => {
                        "a norm is shared as a whole: leave out `kernel of` or `bias of`"
                    }
                    _ => "select convolutions, linear layers or norms",
                }),
        );
        false
    }

    /// Whether all layers have equal kernels; the first that differs is reported.
    fn all_isomorphic(&mut self, layers: &[LayerId]) -> bool {
        let signature = |id: LayerId| Signature::of(&self.network.layers[id].op, self.share.part);
        let Some(&first) = layers.first() else { return false };
        let wanted = signature(first);
        let Some((&odd, difference)) = layers
            .iter()
            .find_map(|layer| Some((layer, wanted.difference(&signature(*layer))?)))
        else {
            return true;
        };
        let (one, other) = (&self.network.layers[first], &self.network.layers[odd]);
        let text = format!(
            "`{}` and `{}` cannot share: the {} differs, {} and {}",
            one.path, other.path, difference.field, difference.one, difference.other
        );
        let describe = |layer: &crate::ir::Layer, value: &str| match layer.op.kernel_shape() {
            _ if difference.field == "bias" => format!("`{}` has {value}", layer.path),
            Some(shape) if self.share.part != SharePart::Bias => {
                format!("the kernel of `{}` is {}", layer.path, crate::ir::join_sizes(&shape))
            }
            _ => format!("`{}` has {} channels", layer.path, layer.output.channels()),
        };
        let (describe_one, describe_other) = (describe(one, &difference.one), describe(other, &difference.other));
        let diagnostic = Diagnostic::error(Code::NotIsomorphic, self.selected(), text).label("selected here");
        let diagnostic = if one.span == other.span {
            diagnostic.and(one.span, format!("{describe_one}, {describe_other}"))
        } else {
            diagnostic.and(one.span, describe_one).and(other.span, describe_other)
        };
        self.diagnostics.push(
            diagnostic
                .help("select isomorphic layers only, by a range such as `[1..]`, or write `share isomorphic`, which leaves out what does not fit"),
        );
        false
    }

    /// The layers an `isomorphic` clause looks at.
    fn candidates(
        &mut self,
        kind: Option<&str>,
        scopes: &[crate::ast::Selector],
        env: &crate::value::Env,
    ) -> Vec<LayerId> {
        let mut inside: Vec<LayerId> = match scopes {
            [] => (0..self.network.layers.len()).collect(),
            scopes => {
                let mut layers = Vec::new();
                for scope in scopes {
                    for found in self.select(scope, env) {
                        self.index.layers_below(found.node, &mut layers);
                    }
                }
                layers
            }
        };
        *self.budget = self.budget.saturating_sub(inside.len());
        inside.sort_unstable();
        inside.dedup();
        inside.retain(|&layer| {
            let op = &self.network.layers[layer].op;
            let wanted = match kind {
                Some(kind) => layers::is_kind(op, kind),
                // Norms are private to each visit unless they are asked for.
                None => matches!(op, Op::Conv(_) | Op::Linear { .. }),
            };
            wanted && !parts_of(op, self.share.part).is_empty()
        });
        inside
    }

    /// The sets of two or more isomorphic layers, in the order of their first members.
    fn isomorphic_sets(
        &mut self,
        layers: &[LayerId],
        kind: Option<&str>,
        scopes: &[crate::ast::Selector],
    ) -> Vec<(Vec<LayerId>, String)> {
        let mut order: Vec<Signature> = Vec::new();
        let mut sets: HashMap<Signature, Vec<LayerId>> = HashMap::new();
        for &layer in layers {
            let signature = Signature::of(&self.network.layers[layer].op, self.share.part);
            let set = sets.entry(signature).or_default();
            if set.is_empty() {
                order.push(signature);
            }
            set.push(layer);
        }
        let sets: Vec<Vec<LayerId>> = order
            .iter()
            .filter_map(|signature| sets.remove(signature))
            .filter(|set| set.len() > 1)
            .collect();
        if sets.is_empty() && !self.incomplete && !self.diagnostics.has_errors() {
            self.diagnostics.push(
                Diagnostic::warning(
                    Code::SingleMember,
                    self.share.span,
                    "no two isomorphic layers here: nothing is shared",
                )
                .help("make the clause conditional with `when`, or remove it"),
            );
        }
        let several = sets.len() > 1;
        let base = match (&self.share.name, scopes) {
            (Some(name), _) => name.value.clone(),
            (None, []) => kind.unwrap_or("all").to_owned(),
            (None, scopes) => scopes.iter().map(plain_name).collect::<Vec<_>>().join("_"),
        };
        sets.into_iter()
            .map(|set| {
                let word = self.network.layers[set[0]].op.word();
                let name = match &self.share.name {
                    Some(_) if !several => base.clone(),
                    None if base == word => base.clone(),
                    _ => format!("{base}_{word}"),
                };
                (set, name)
            })
            .collect()
    }

    /// The name of a group selected by path: the path's words.
    fn path_name(&self, selectors: &[crate::ast::Selector]) -> String {
        match (&self.share.name, selectors) {
            (Some(name), _) => name.value.clone(),
            (None, [first, ..]) => plain_name(first),
            (None, []) => "kernel".to_owned(),
        }
    }

    /// Makes a group of isomorphic layers.
    fn group(&mut self, layers: Vec<LayerId>, name: String, groups: Option<Option<i64>>) {
        let visits = layers.len();
        let kernels = match groups {
            None => 1,
            Some(None) => return,
            Some(Some(groups)) => match self.split(groups, visits) {
                Some(groups) => groups,
                None => return,
            },
        };
        let op = self.network.layers[layers[0]].op;
        let parts = parts_of(&op, self.share.part);
        if self.claimed(&layers, &parts) {
            return;
        }
        if visits == 1 {
            let path = &self.network.layers[layers[0]].path;
            self.diagnostics.push(
                Diagnostic::warning(
                    Code::SingleMember,
                    self.share.span,
                    format!("only `{path}` is selected: nothing is shared"),
                )
                .help("select more layers, or make the clause conditional with `when`"),
            );
        }
        let id = self.network.groups.len();
        let assignment = assign::contiguous(visits, kernels);
        for (&layer, &kernel) in layers.iter().zip(&assignment) {
            self.claim(layer, &parts, Visit { group: id, kernel });
        }
        let name = self.unique_name(name);
        self.network.groups.push(Group {
            name,
            parts,
            op,
            visits: layers,
            assignment,
            kernels,
            span: self.share.span,
        });
    }

    fn split(&mut self, groups: i64, visits: usize) -> Option<u32> {
        let span = self.share.into.as_ref().map_or(self.share.span, |into| into.span);
        if groups < 1 {
            let text = format!("cannot split into {groups} groups");
            self.diagnostics
                .push(Diagnostic::error(Code::OutOfRange, span, text).label("must be at least 1"));
            return None;
        }
        match u32::try_from(groups) {
            Ok(count) if count as usize <= visits => Some(count),
            _ => {
                let text = format!("{visits} layers cannot be split into {groups} groups");
                self.diagnostics.push(
                    Diagnostic::error(Code::TooManyGroups, span, text).help(format!("use at most {visits} groups")),
                );
                None
            }
        }
    }

    /// Reports a layer another group has claimed.
    fn claimed(&mut self, layers: &[LayerId], parts: &[Part]) -> bool {
        let taken = layers.iter().find_map(|&id| {
            let layer = &self.network.layers[id];
            parts.iter().find_map(|part| Some((layer, *slot(layer, *part)?)))
        });
        let Some((layer, visit)) = taken else { return false };
        let other = &self.network.groups[visit.group];
        let diagnostic = Diagnostic::error(
            Code::ClaimedTwice,
            self.share.span,
            format!("`{}` is already shared in group `{}`", layer.path, other.name),
        )
        .label("claimed again here")
        .help("a layer has one kernel: select other layers here, or join the clauses");
        let diagnostic = if other.span == self.share.span {
            diagnostic
        } else {
            diagnostic.and(other.span, "claimed first here")
        };
        self.diagnostics.push(diagnostic);
        true
    }

    fn claim(&mut self, layer: LayerId, parts: &[Part], visit: Visit) {
        let layer = &mut self.network.layers[layer];
        for part in parts {
            match part {
                Part::Kernel | Part::Norm => layer.kernel = Some(visit),
                Part::Bias => layer.bias = Some(visit),
            }
        }
    }

    /// Names are made unique; a name the writer chose twice is reported.
    fn unique_name(&mut self, name: String) -> String {
        let span = self.share.span;
        if let (Some(written), Some(&(first, _))) = (&self.share.name, self.names.get(&name))
            && first != span
        {
            crate::check::duplicate("shared kernel", written, first, self.diagnostics);
        }
        let mut fresh = name.clone();
        while self.names.contains_key(&fresh) {
            let number = self.names.get_mut(&name).map_or(2, |(_, next)| {
                *next += 1;
                *next
            });
            fresh = format!("{name}_{number}");
        }
        self.names.insert(fresh.clone(), (span, 1));
        fresh
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

fn slot(layer: &crate::ir::Layer, part: Part) -> Option<&Visit> {
    match part {
        Part::Kernel | Part::Norm => layer.kernel.as_ref(),
        Part::Bias => layer.bias.as_ref(),
    }
}

/// The words of a selector joined to a name: `s1_conv1` of `s1[*].conv1`.
fn plain_name(selector: &crate::ast::Selector) -> String {
    let words: Vec<String> = selector
        .segments
        .iter()
        .filter_map(|segment| match segment {
            crate::ast::Segment::Name(name) => {
                let word: String = name.value.chars().filter(|c| *c != '*').collect();
                (!word.is_empty()).then_some(word)
            }
            _ => None,
        })
        .collect();
    if words.is_empty() {
        "kernel".to_owned()
    } else {
        words.join("_")
    }
}
