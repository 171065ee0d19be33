//! Groups: their kernels, their names, and who belongs to them.

use super::form::Stored;
use super::mapping::Kernels;
use super::{Clause, parts_of};
use crate::diag::{Code, Diagnostic};
use crate::ir::{Group, LayerId, Mapping, Part, Visit};
use crate::ops;
use std::collections::{BTreeSet, HashMap};

impl Clause<'_, '_> {
    /// Makes a group of those of these isomorphic layers that have a kernel in `mapped`.
    pub(super) fn group(&mut self, layers: Vec<LayerId>, name: String, mapped: &Kernels, words: Option<String>) {
        let (mapped, count) = renumber(mapped);
        let members = layers.iter().zip(&mapped);
        let (visits, assignment): (Vec<LayerId>, Vec<u32>) =
            members.filter_map(|(layer, kernel)| Some((*layer, (*kernel)?))).unzip();
        let Some(&first) = visits.first() else { return };
        let parts = parts_of(&self.network.layers[first].op, self.part());
        if self.claimed(&visits, &parts) {
            return;
        }
        let Some(Stored { op, views }) = self.stored(&visits) else {
            return;
        };
        let (scaled, rank) = self.own_parts(&visits, &parts);
        let bank = self.form.bank.map(|(kernels, _)| kernels);
        let id = self.network.groups.len();
        for ((&layer, &kernel), view) in visits.iter().zip(&assignment).zip(views) {
            self.claim(layer, &parts, Visit { group: id, kernel });
            let layer = &mut self.network.layers[layer];
            layer.scaled |= scaled;
            layer.rank = layer.rank.or(rank);
            layer.combined = layer.combined.or(bank);
            if parts.contains(&Part::Kernel) {
                layer.view = view;
            }
        }
        let name = self.unique_name(name);
        self.network.groups.push(Group {
            name,
            parts,
            op,
            bank,
            visits,
            assignment,
            kernels: count,
            mapping: words.map(|words| Mapping { words, kernels: mapped }),
            span: self.share.span,
        });
    }

    /// Reports a layer another group has claimed.
    fn claimed(&mut self, layers: &[LayerId], parts: &[Part]) -> bool {
        let taken = layers.iter().find_map(|&id| {
            let layer = &self.network.layers[id];
            parts.iter().find_map(|part| Some((layer, layer.visit(*part)?)))
        });
        let Some((layer, visit)) = taken else { return false };
        let other = &self.network.groups[visit.group];
        let mut help = "a layer has one kernel: select other layers here, or join the clauses".to_owned();
        let kinds = ops::kinds().filter(|kind| layer.op.is_kind(kind));
        let kinds: Vec<String> = kinds.map(|kind| format!("`{kind}`")).collect();
        if self.share.kind().is_some() && kinds.len() > 1 {
            help.push_str(&format!("; this layer is selected by {}", kinds.join(" and by ")));
        }
        let diagnostic = Diagnostic::error(
            Code::ClaimedTwice,
            self.share.span,
            format!("`{}` is already shared in group `{}`", layer.path, other.name),
        )
        .label("shared again here")
        .help(help);
        let diagnostic = if other.span == self.share.span {
            diagnostic
        } else {
            diagnostic.and(other.span, "first shared here")
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

/// Counts kernels from 0 without gaps, in their order: a set that does not have all blocks of its
/// family may not have all kernels. Returns how many there are, too.
fn renumber(kernels: &Kernels) -> (Vec<Option<u32>>, u32) {
    let used: BTreeSet<usize> = kernels.iter().flatten().copied().collect();
    let numbers: HashMap<usize, u32> = used.into_iter().zip(0..).collect();
    let count = numbers.values().max().map_or(0, |last| last + 1);
    let renumbered = kernels.iter().map(|kernel| Some(numbers[&(*kernel)?]));
    (renumbered.collect(), count)
}
