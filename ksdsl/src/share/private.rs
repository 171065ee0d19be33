//! What a clause lets every visit have of its own.

use super::Clause;
use crate::ast::{Select, Share, SharePart};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::ir::{LayerId, Part, join_sizes};
use crate::mappings::{PRIVATE_PARTS, PrivateKind, find};
use crate::ops::read;
use crate::source::Span;
use crate::value::Env;

/// The parts after `with private`, their numbers computed.
#[derive(Debug, Default)]
pub(super) struct PrivateParts {
    /// Where the clause asks for a bias.
    pub(super) bias: Option<Span>,
    /// Where the clause asks for factors.
    pub(super) scale: Option<Span>,
    /// The rank of an addition, where it is written and where the clause asks for it.
    pub(super) rank: Option<(u64, Span, Span)>,
}

impl PrivateParts {
    /// Reads what a clause says; `None` if something cannot be used, which is reported.
    pub(super) fn read(share: &Share, env: &Env, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut private = PrivateParts::default();
        for call in &share.private {
            // The checks of names have reported a part that does not exist.
            let def = find(PRIVATE_PARTS, &call.name.value)?;
            let args = read(def.params, &call.args, env, diagnostics)?;
            match def.kind {
                PrivateKind::Bias => private.bias = Some(call.span),
                PrivateKind::Scale => private.scale = Some(call.span),
                PrivateKind::LowRank => private.rank = Some((args.size("rank", 1), args.span("rank")?, call.span)),
            }
        }
        Some(private)
    }
}

impl Clause<'_, '_> {
    /// What the visits of a group have of their own for its kernel: whether factors, and an addition of
    /// which rank.
    pub(super) fn own_parts(&mut self, visits: &[LayerId], parts: &[Part]) -> (bool, Option<u64>) {
        let (scale, rank) = (self.private.scale, self.private.rank);
        let words = match (scale, rank) {
            (None, None) => return (false, None),
            (Some(at), None) => (at, "to scale", "`scale`"),
            (None, Some((.., at))) => (at, "to add to", "`low_rank`"),
            (Some(at), Some(_)) => (at, "to scale or to add to", "`scale` and `low_rank`"),
        };
        if !visits.iter().all(|layer| self.has_kernel(*layer, parts, words)) {
            return (false, None);
        }
        let fits = |clause: &mut Self, rank, at| visits.iter().all(|layer| clause.fits(*layer, rank, at));
        let rank = rank.and_then(|(rank, at, _)| fits(self, rank, at).then_some(rank));
        (scale.is_some(), rank)
    }

    /// Whether the group has the kernel of a convolution or linear layer: reported if not, but for the
    /// norms of blocks.
    fn has_kernel(&mut self, layer: LayerId, parts: &[Part], (at, what, own): (Span, &str, &str)) -> bool {
        let layer = &self.network.layers[layer];
        let has_kernel = parts.contains(&Part::Kernel) && layer.op.kernel_matrix().is_some();
        // Of `bias of` the checks of names have reported it.
        let said = self.share.part == SharePart::Bias || matches!(self.share.select, Select::Blocks { .. });
        if !has_kernel && !said {
            let text = format!("`{}` has no kernel {what}", layer.path);
            let sharing = layer.op.sharing();
            let why = sharing.and_then(|sharing| sharing.refuses_rows()).unwrap_or_default();
            let diagnostic = Diagnostic::error(Code::NothingToShare, at, text)
                .and(layer.span, format!("it is `{}`", layer.op.word()))
                .help(format!("{why}: leave out {own}"));
            self.diagnostics.push(diagnostic);
        }
        has_kernel
    }

    /// Whether a matrix of the kernel's size can have this rank: reported if not.
    fn fits(&mut self, layer: LayerId, rank: u64, at: Span) -> bool {
        let layer = &self.network.layers[layer];
        let (Some([rows, columns]), Some(shape)) = (layer.op.kernel_matrix(), layer.op.kernel_shape()) else {
            return false;
        };
        let most = rows.min(columns);
        if rank > most {
            let text = format!(
                "`rank` cannot be {rank}: the kernel of `{}`, {}, is a matrix of {rows} x {columns}",
                layer.path,
                join_sizes(&shape)
            );
            self.diagnostics.push(
                Diagnostic::error(Code::OutOfRange, at, text)
                    .label(format!("must be at most {most}"))
                    .and(layer.span, "this layer"),
            );
        }
        rank <= most
    }
}
