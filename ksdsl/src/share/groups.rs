//! Groups: their kernels, their names, and who belongs to them.

use super::{Clause, assign, parts_of};
use crate::diag::{Code, Diagnostic};
use crate::ir::{Group, Layer, LayerId, Part, Visit};

impl Clause<'_, '_> {
    /// Makes a group of isomorphic layers.
    pub(super) fn group(&mut self, layers: Vec<LayerId>, name: String, groups: Option<Option<i64>>) {
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

fn slot(layer: &Layer, part: Part) -> Option<&Visit> {
    match part {
        Part::Kernel | Part::Norm => layer.kernel.as_ref(),
        Part::Bias => layer.bias.as_ref(),
    }
}
