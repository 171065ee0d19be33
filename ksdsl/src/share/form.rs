//! What the visits of a clause make of the kernel that they share: its transpose, a part of it, or a combination of
//! several. Such a clause shares kernels alone: biases have other sizes, and norms are no kernels.

use super::isomorphic::Use;
use super::{Clause, has_weights, parts_of};
use crate::ast::{MappingExpr, Share, SharePart};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::ir::{Layer, LayerId, Op, View, join_sizes};
use crate::mappings::{MAPPINGS, MappingKind, find};
use crate::ops::read;
use crate::source::Span;
use crate::value::Env;
use std::collections::HashSet;

/// What a clause says of it.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// The kernels of a bank, and where the clause asks for them.
    pub(super) bank: Option<(u64, Span)>,
    /// Where the clause asks for slices.
    pub(super) slices: Option<Span>,
    /// The layers that use the kernel transposed.
    pub(super) transposed: HashSet<LayerId>,
}

impl Form {
    /// Reads what a clause says; `None` if something cannot be used, which is reported.
    pub(super) fn read(share: &Share, env: &Env, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut form = Form::default();
        let Some(MappingExpr::Named(call)) = &share.into else {
            return Some(form);
        };
        let def = find(MAPPINGS, &call.name.value)?;
        match def.kind {
            MappingKind::Bank => {
                let args = read(def.params, &call.args, env, diagnostics)?;
                form.bank = Some((args.size("kernels", 1), call.span));
            }
            MappingKind::Slices => form.slices = Some(call.span),
            _ => {}
        }
        Some(form)
    }

    fn use_of(&self, layer: LayerId) -> Use {
        Use {
            transposed: self.transposed.contains(&layer),
            sliced: self.slices.is_some(),
        }
    }
}

/// What is stored for a group, and which part of it each visit uses.
pub(super) struct Stored {
    pub(super) op: Op,
    pub(super) views: Vec<View>,
}

impl Clause<'_, '_> {
    /// Whether visits make something of the kernel.
    pub(super) fn shares_kernels_alone(&self) -> bool {
        self.form.bank.is_some() || self.form.slices.is_some() || !self.share.transposed.is_empty()
    }

    /// How a layer is to use the kernel.
    pub(super) fn use_of(&self, layer: LayerId) -> Use {
        self.form.use_of(layer)
    }

    /// Finds the layers after `with transposed`.
    pub(super) fn select_transposed(&mut self, env: &Env) -> Vec<LayerId> {
        let share = self.share;
        let mut transposed = Vec::new();
        for selector in &share.transposed {
            for found in self.select(selector, env) {
                let mut layers = Vec::new();
                self.index.layers_below(found.node, &mut layers);
                *self.budget = self.budget.saturating_sub(layers.len());
                // Of a scope the layers that have a transpose are meant.
                let has = |id: &LayerId| transpose(&self.network.layers[*id].op);
                if found.layer.is_none() {
                    layers.retain(has);
                } else if let Some(&id) = layers.iter().find(|id| !has(id)) {
                    let layer = &self.network.layers[id];
                    if !layer.op.is_invalid() {
                        let diagnostic = no_use(layer, selector.span, "to transpose", "remove this path");
                        self.diagnostics.push(diagnostic);
                    }
                    continue;
                }
                transposed.extend(layers);
            }
        }
        self.form.transposed = transposed.iter().copied().collect();
        transposed
    }

    /// Whether a layer has a kernel that can be used as the clause says: reported if not.
    pub(super) fn has_use(&mut self, layer: LayerId) -> bool {
        let refused = self.refused_use(layer);
        let diagnostic = refused.map(|(at, what, help)| no_use(&self.network.layers[layer], at, what, help));
        let has = diagnostic.is_none();
        if let Some(diagnostic) = diagnostic {
            self.diagnostics.push(diagnostic);
        }
        has
    }

    /// What a layer's kernel cannot be used for: where the clause asks for it, in words, and what to do.
    pub(super) fn refused_use(&self, layer: LayerId) -> Option<(Span, &'static str, &'static str)> {
        let op = &self.network.layers[layer].op;
        match (self.form.bank, self.form.slices) {
            (Some((_, at)), _) if op.kernel_matrix().is_none() => Some((at, "to combine", "leave out `into bank`")),
            (_, Some(at)) if op.sharing().is_none_or(|sharing| sharing.sliced.is_none()) => {
                Some((at, "to take slices of", "leave out `into slices`"))
            }
            _ => None,
        }
    }

    /// Whether a bank has no more kernels than visits: reported if not.
    pub(super) fn fits_bank(&mut self, visits: usize, what: &str) -> bool {
        let Some((kernels, at)) = self.form.bank.filter(|(kernels, _)| *kernels > visits as u64) else {
            return true;
        };
        if visits > 0 {
            let text = format!("a bank of {kernels} kernels stores more than the {visits} {what} have");
            let diagnostic = Diagnostic::error(Code::TooManyGroups, at, text);
            self.diagnostics
                .push(diagnostic.help(format!("use at most {visits} kernels")));
        }
        visits == 0
    }

    /// What is stored for these visits: the kernel of the first that does not use it transposed, or the one that
    /// contains all others. `None` if there is none, which is reported.
    pub(super) fn stored(&mut self, visits: &[LayerId]) -> Option<Stored> {
        let plain = |id: &LayerId| !self.form.transposed.contains(id);
        let first = visits.iter().copied().find(plain).or_else(|| visits.first().copied())?;
        // Layers that are all transposed are so of nothing: they share as they are.
        let any_plain = plain(&first);
        let exchanged = |id: LayerId| {
            let sharing = self.network.layers[id].op.sharing();
            any_plain
                && !plain(&id)
                && sharing
                    .and_then(|sharing| sharing.transposed)
                    .is_some_and(|of| of.exchanged)
        };
        let mut stored = Stored {
            op: self.network.layers[first].op.clone(),
            views: Vec::with_capacity(visits.len()),
        };
        for &id in visits {
            stored.views.push(View {
                transposed: exchanged(id),
                slice: false,
            });
        }
        match self.form.slices {
            Some(at) => self.largest(visits, stored, at),
            None => Some(stored),
        }
    }

    /// The kernel of the visits that has the most rows and the most columns.
    fn largest(&mut self, visits: &[LayerId], mut stored: Stored, at: Span) -> Option<Stored> {
        let shapes = visits.iter().zip(&stored.views).map(|(id, view)| {
            let mut shape = self.network.layers[*id].op.kernel_shape().unwrap_or_default();
            if view.transposed && shape.len() > 1 {
                shape.swap(0, 1);
            }
            shape
        });
        let shapes: Vec<Vec<u64>> = shapes.collect();
        let most = |axis: usize| shapes.iter().filter_map(|shape| shape.get(axis)).copied().max();
        let is_most = |shape: &[u64], axis: usize| shape.get(axis).copied() == most(axis);
        let largest = |at: &usize| !stored.views[*at].transposed && (0..2).all(|axis| is_most(&shapes[*at], axis));
        let Some(largest) = (0..visits.len()).find(largest) else {
            let with = |axis| (0..visits.len()).find(|at| is_most(&shapes[*at], axis)).unwrap_or(0);
            let diagnostic = self.none_contains_all([0, 1].map(with).map(|at| (visits[at], &shapes[at])), at);
            self.diagnostics.push(diagnostic);
            return None;
        };
        stored.op = self.network.layers[visits[largest]].op.clone();
        for (view, shape) in stored.views.iter_mut().zip(&shapes) {
            view.slice = *shape != shapes[largest];
        }
        Some(stored)
    }

    fn none_contains_all(&self, [rows, columns]: [(LayerId, &Vec<u64>); 2], at: Span) -> Diagnostic {
        let [(one, of_one), (other, of_other)] =
            [rows, columns].map(|(id, shape)| (&self.network.layers[id], join_sizes(shape)));
        let text = format!(
            "no layer has a kernel that contains both those of `{}`, {of_one}, and `{}`, {of_other}",
            one.path, other.path
        );
        Diagnostic::error(Code::NotIsomorphic, at, text)
            .and(one.span, "this has the most output channels")
            .and(other.span, "this has the most input channels")
            .help("the largest kernel is stored: select a layer with the most input channels and the most output channels")
    }

    /// How two layers that cannot share one kernel as it is may use one nevertheless.
    pub(super) fn other_form(&self, one: LayerId, other: LayerId) -> Option<String> {
        let [first, second] = [one, other].map(|id| &self.network.layers[id]);
        let sharing = [first, second].map(|layer| layer.op.sharing());
        let [Some(of_first), Some(of_second)] = sharing else {
            return None;
        };
        if self.share.part == SharePart::Bias || self.shares_kernels_alone() {
            return None;
        }
        let of_transposed = of_second.transposed.map(|transposed| transposed.of);
        if of_transposed.as_ref() == Some(&of_first.alike()) {
            return Some(format!(
                "`{}` has the shape of the transposed kernel: write `share {} with transposed {}`",
                second.path, first.path, second.path
            ));
        }
        let shapes = [first, second].map(|layer| layer.op.kernel_shape().unwrap_or_default());
        let contains = |one: &[u64], other: &[u64]| one.iter().zip(other).all(|(one, other)| one >= other);
        let [one, other] = &shapes;
        let nested = contains(one, other) || contains(other, one);
        (nested && of_first.sliced.is_some() && of_first.sliced == of_second.sliced).then(|| SLICES.to_owned())
    }
}

const SLICES: &str = "select only isomorphic layers, with a range such as `[1..]` or by `share isomorphic`, or write `into slices`: each layer then uses the first rows and columns of the largest kernel";

/// Whether an operation can be the transpose of another.
fn transpose(op: &Op) -> bool {
    let sharing = op
        .sharing()
        .filter(|_| has_weights(op) && !parts_of(op, SharePart::Kernel).is_empty());
    sharing.is_some_and(|sharing| sharing.transposed.is_some())
}

/// The error for a layer without a kernel that can be used so.
fn no_use(layer: &Layer, at: Span, what: &str, help: &str) -> Diagnostic {
    let text = format!("`{}` has no kernel {what}", layer.path);
    let why = layer.op.sharing().and_then(|sharing| sharing.refuses_rows());
    Diagnostic::error(Code::NothingToShare, at, text)
        .and(layer.span, format!("it is `{}`", layer.op.word()))
        .help(match why {
            Some(why) => format!("{why}: {help}"),
            None => help.to_owned(),
        })
}
