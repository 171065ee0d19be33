//! What a clause achieved: a warning where nothing is shared, or where a part of it has no effect.
//!
//! Both follow from the groups the clause made, not from what it says.

use super::{Clause, Family};
use crate::ast::{MappingExpr, Select};
use crate::diag::{Code, Diagnostic};
use crate::ir::{Group, LayerId, Part};
use crate::source::Span;

const OR_REMOVE: &str = "make the clause conditional with `when`, or remove it";
const LET_MORE: &str = "let more visits share, or make the clause conditional with `when`";
const SELECT_MORE: &str = "select more layers, or make the clause conditional with `when`";
const FEWER_KERNELS: &str = "use fewer kernels than visits, or make the clause conditional with `when`";

/// What a clause had to work with.
pub(super) struct Selected {
    /// Layers, or blocks, that fit together.
    visits: usize,
    /// What they are, in the plural.
    what: &'static str,
}

impl Selected {
    pub(super) fn of(families: &[Family]) -> Self {
        Selected {
            visits: families.iter().map(|family| family.visits).sum(),
            what: families.first().map_or("layers", |family| family.what),
        }
    }
}

impl Clause<'_, '_> {
    /// Warns if nothing is shared by the groups from `first` on, which are the clause's, and otherwise of
    /// each of its parts that has no effect.
    pub(super) fn check_outcome(&mut self, first: usize, selected: &Selected) {
        let shares = |group: &Group| group.visits.len() > group.kernels as usize;
        if !self.network.groups[first..].iter().any(shares) {
            let warning = self.nothing_shared(first, selected);
            return self.diagnostics.push(warning);
        }
        for (part, at, text, help) in self.without_effect(first) {
            let text = format!("{text}: `{part}` has no effect");
            self.diagnostics
                .push(Diagnostic::warning(Code::SingleMember, at, text).help(help));
        }
    }

    fn nothing_shared(&self, first: usize, selected: &Selected) -> Diagnostic {
        let share = self.share;
        let visits: Vec<LayerId> = self.network.groups[first..]
            .iter()
            .flat_map(|group| group.visits.iter().copied())
            .collect();
        let (at, text, help) = match (visits.as_slice(), selected.visits) {
            ([], 0) => (share.span, self.nothing_fits().to_owned(), OR_REMOVE),
            ([], all) => (
                share.at.as_ref().map_or(share.span, |at| at.span),
                format!("this selects none of the {all} {}", selected.what),
                LET_MORE,
            ),
            ([only], all) => {
                let path = &self.network.layers[*only].path;
                let (how, help) = match all {
                    1 => ("selected", SELECT_MORE),
                    _ => ("left to share", LET_MORE),
                };
                (share.span, format!("only `{path}` is {how}: nothing is shared"), help)
            }
            _ if share.into.is_none() => (
                share.at.as_ref().map_or(share.span, |at| at.span),
                "this selects no two isomorphic layers: nothing is shared".to_owned(),
                LET_MORE,
            ),
            _ => (
                share.into.as_ref().map_or(share.span, MappingExpr::span),
                "every visit has its own kernel: nothing is shared".to_owned(),
                FEWER_KERNELS,
            ),
        };
        Diagnostic::warning(Code::SingleMember, at, text).help(help)
    }

    fn nothing_fits(&self) -> &'static str {
        match self.share.select {
            Select::Blocks { .. } => {
                "no two selected blocks have isomorphic layers at the same position: nothing is shared"
            }
            _ => "no two of the selected layers are isomorphic: nothing is shared",
        }
    }

    /// The parts of the clause that none of its groups takes up: where each is written, why, and what
    /// to do.
    fn without_effect(&self, first: usize) -> Vec<(&'static str, Span, &'static str, &'static str)> {
        let groups = &self.network.groups[first..];
        let layers = || {
            groups
                .iter()
                .flat_map(|group| &group.visits)
                .map(|id| &self.network.layers[*id])
        };
        let has_bias = || layers().any(|layer| layer.op.tensors().iter().any(|tensor| tensor.part == Part::Bias));
        let norms = || groups.iter().any(|group| group.parts.contains(&Part::Norm));
        let no_kernel = "no kernel is shared here";
        let mut parts = Vec::new();
        if let Some(at) = self.private.bias.filter(|_| !has_bias()) {
            let help = "give the layers `bias = true`, or leave out `bias`";
            parts.push(("private bias", at, "none of the selected layers has a bias", help));
        }
        if let Some(at) = self.private.scale.filter(|_| !layers().any(|layer| layer.scaled)) {
            parts.push(("private scale", at, no_kernel, "leave out `scale`"));
        }
        if let Some((.., at)) = self
            .private
            .rank
            .filter(|_| !layers().any(|layer| layer.rank.is_some()))
        {
            parts.push(("private low_rank", at, no_kernel, "leave out `low_rank`"));
        }
        let transposed = |id: &LayerId| self.form.transposed.contains(id);
        let all = || groups.iter().flat_map(|group| &group.visits);
        if let Some(path) = self.share.transposed.first().filter(|_| !all().any(transposed)) {
            let help = "select a layer that has the transposed kernel of another, or leave out `with transposed`";
            parts.push(("with transposed", path.span, "none of these layers fits", help));
        }
        if matches!(self.share.select, Select::Blocks { norms: true, .. }) && !norms() {
            let at = self.share.span;
            parts.push((
                "with norms",
                at,
                "no two selected blocks have equal norms",
                "leave out `with norms`",
            ));
        }
        parts
    }
}
