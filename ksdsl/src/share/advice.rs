//! How to mend a clause that selects what it cannot share.

use super::Clause;
use super::select::Match;
use crate::ast::{ExprKind, Segment, Selector, SharePart};
use crate::diag::{Code, Diagnostic};
use crate::ir::Layer;
use crate::source::Span;

impl Clause<'_, '_> {
    /// The error for a path that leads to a scope where layers are wanted.
    pub(super) fn not_a_layer(&self, matched: &[Match], scope: &Match, selector: &Selector) -> Diagnostic {
        let path = self.index.path(scope.node);
        let children = self.index.children(scope.node);
        let inside: Vec<String> = children.into_iter().take(6).collect();
        let inside = inside.join(", ");
        // `**` alone also matches the network itself.
        let (what, whole) = match path.0.is_empty() {
            true => ("the network itself".to_owned(), true),
            false => (format!("`{path}`"), false),
        };
        let text = format!("{what} is not a layer");
        let diagnostic =
            Diagnostic::error(Code::MatchesNothing, selector.span, text).label("expected a path to layers");
        let several = matched.iter().filter(|found| found.layer.is_none()).count() > 1;
        match (text_of(&selector.segments), self.index.has_indices(scope.node)) {
            _ if whole => diagnostic.help(format!("it contains {inside}; write `share isomorphic`")),
            (Some(path), _) if several && self.share.part == SharePart::All => {
                let start = selector.span.start as usize;
                let help = format!(
                    "write `share blocks {path}` to share the layers at the same position of each, or select one of {inside}"
                );
                diagnostic.help(help).fix(Span::new(start, start), "blocks ")
            }
            (_, true) => diagnostic.help(format!(
                "write `share blocks in {path}` to share the layers at the same position of its blocks, or `share isomorphic in {path}` for all that fit"
            )),
            _ => diagnostic.help(format!("it contains {inside}; select one of them")),
        }
    }

    /// The error for a layer that has nothing of the kind that the clause shares.
    pub(super) fn nothing_to_share(&self, layer: &Layer) -> Diagnostic {
        let own = self.share.private.iter().find(|part| part.name.value == "bias");
        let path = &layer.path;
        let sharing = layer.op.sharing();
        let whole = sharing.as_ref().and_then(|sharing| sharing.whole);
        let (span, text, help) = match (self.part(), own, whole) {
            (SharePart::Kernel, Some(own), Some(whole)) => (
                own.span,
                format!("`{path}` has no kernel, so it cannot have a private bias"),
                format!("{whole}: leave out `with private bias`"),
            ),
            (SharePart::All, ..) => (
                self.selected(),
                format!("`{path}` has nothing to share"),
                OTHERS.to_owned(),
            ),
            (part, ..) => {
                let (what, words) = match part {
                    SharePart::Bias => ("no bias to share", "bias of"),
                    _ => ("no kernel of its own to share", "kernel of"),
                };
                let help = match (whole, sharing) {
                    (Some(whole), _) => format!("{whole}: leave out `{words}`"),
                    (None, Some(_)) => "give the layer `bias = true`, or share its kernel".to_owned(),
                    (None, None) => OTHERS.to_owned(),
                };
                (self.selected(), format!("`{path}` has {what}"), help)
            }
        };
        let diagnostic = Diagnostic::error(Code::NothingToShare, span, text);
        let diagnostic = match span == self.selected() {
            true => diagnostic.label(format!("`{path}` is selected here")),
            false => diagnostic,
        };
        diagnostic
            .and(layer.span, format!("it is `{}`", layer.op.word()))
            .help(help)
    }

    /// Says how layers that differ in a field may share nevertheless.
    pub(super) fn may_share(&self, field: &str, other_form: Option<String>, diagnostic: Diagnostic) -> Diagnostic {
        let start = self.selected().start as usize;
        match (field, other_form) {
            ("bias", _) => diagnostic
                .help("share the kernel alone: `share kernel of ...`; each layer then keeps its own bias, if any")
                .fix(Span::new(start, start), "kernel of "),
            (_, Some(help)) => diagnostic.help(help),
            _ if !self.form.transposed.is_empty() => diagnostic.help(
                "a linear layer from n to m features has the transposed kernel of one from m to n, and a transposed convolution that of a convolution with the same kernel size and groups, from its outputs to its inputs",
            ),
            _ => diagnostic.help(
                "select only isomorphic layers, with a range such as `[1..]`, or write `share isomorphic`, which skips layers that do not match",
            ),
        }
    }
}

const OTHERS: &str = "select convolutions, linear layers or norms";

/// A path as it is written; `None` if an index is an expression.
pub(super) fn text_of(segments: &[Segment]) -> Option<String> {
    let number = |expr: &crate::ast::Expr| match expr.kind {
        ExprKind::Int(value) => Some(value.to_string()),
        _ => None,
    };
    let end = |expr: &Option<crate::ast::Expr>| match expr {
        Some(expr) => number(expr),
        None => Some(String::new()),
    };
    let mut text = String::new();
    for segment in segments {
        match segment {
            Segment::Name(name) if text.is_empty() => text += &name.value,
            Segment::Name(name) => text += &format!(".{}", name.value),
            Segment::AnyIndex(_) => text += "[*]",
            Segment::Index(expr) => text += &format!("[{}]", number(expr)?),
            Segment::Range(from, to, _) => text += &format!("[{}..{}]", end(from)?, end(to)?),
        }
    }
    Some(text)
}
