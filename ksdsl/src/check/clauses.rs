//! The parts of `share` clauses: selections, mappings, places, private parts.

use super::{Checker, Scope, calls, names};
use crate::ast::{Arg, Call, MappingExpr, Segment, Select, Share, SharePart};
use crate::diag::{Code, Diagnostic, nearest};
use crate::mappings::{ClauseDef, MAPPINGS, MappingKind, PLACES, PRIVATE_PARTS, find};
use crate::source::Name;
use crate::{foreign, ops};

impl<'f> Checker<'f, '_> {
    pub(super) fn share(&mut self, share: &'f Share, scope: &Scope) {
        let selectors = match &share.select {
            Select::Paths(selectors) | Select::Blocks { selectors, .. } => selectors,
            Select::Isomorphic { kind, args, scopes, .. } => {
                if let Some(kind) = kind {
                    self.share_kind(kind, args, scope);
                }
                scopes
            }
        };
        if let Some(every) = &share.every {
            self.expr(every, scope);
        }
        let selectors = selectors.iter().chain(&share.except).chain(&share.transposed);
        for segment in selectors.flat_map(|selector| &selector.segments) {
            match segment {
                Segment::Index(expr) => self.expr(expr, scope),
                Segment::Range(from, to, _) => {
                    for expr in [from, to].into_iter().flatten() {
                        self.expr(expr, scope);
                    }
                }
                Segment::Name(_) | Segment::AnyIndex(_) => {}
            }
        }
        if let Some(mapping) = &share.into {
            self.mapping(mapping, scope);
        }
        if let Some(place) = &share.at {
            self.named_mapping(place, PLACES, "place", scope);
        }
        self.private_parts(share, scope);
        self.forms(share);
        if let Some(when) = &share.when {
            self.expr(when, scope);
        }
        if let Some(name) = &share.name {
            names::check_allowed(name, self.diagnostics);
        }
    }

    fn private_parts(&mut self, share: &'f Share, scope: &Scope) {
        for (at, call) in share.private.iter().enumerate() {
            if !self.named_mapping(call, PRIVATE_PARTS, "private part", scope) {
                continue;
            }
            let name = &call.name.value;
            let first = share.private[..at].iter().find(|other| other.name.value == *name);
            let diagnostic = match first {
                Some(first) => {
                    Diagnostic::error(Code::SurplusArgument, call.span, format!("`{name}` is already private"))
                        .and(first.span, "first given here")
                        .help("remove one of them")
                }
                None if share.part == SharePart::Bias => {
                    let text = format!("`bias of` shares no kernel, so `{name}` has no effect");
                    Diagnostic::error(Code::SurplusArgument, call.span, text).help("remove it, or remove `bias of`")
                }
                None => continue,
            };
            self.diagnostics.push(diagnostic);
        }
    }

    /// What visits make of a shared kernel needs one.
    fn forms(&mut self, share: &Share) {
        if share.part != SharePart::Bias {
            return;
        }
        let transposed = share.transposed.first().map(|path| (path.span, "with transposed"));
        let mapped = match &share.into {
            Some(MappingExpr::Named(call)) => match find(MAPPINGS, &call.name.value).map(|def| def.kind) {
                Some(MappingKind::Bank) => Some((call.span, "into bank")),
                Some(MappingKind::Slices) => Some((call.span, "into slices")),
                _ => None,
            },
            _ => None,
        };
        if let Some((at, words)) = transposed.or(mapped) {
            let text = format!("`bias of` shares no kernel, so `{words}` has no effect");
            let diagnostic = Diagnostic::error(Code::SurplusArgument, at, text);
            self.diagnostics.push(diagnostic.help("remove it, or remove `bias of`"));
        }
    }

    fn mapping(&mut self, mapping: &'f MappingExpr, scope: &Scope) {
        match mapping {
            MappingExpr::Groups(groups) => self.expr(groups, scope),
            MappingExpr::List(visits, _) => {
                for kernel in visits.iter().flatten() {
                    self.expr(kernel, scope);
                }
            }
            MappingExpr::Named(call) => {
                let spreads = |def: &ClauseDef<_>| def.params.iter().any(|param| param.name == "rate");
                let spreads = find(MAPPINGS, &call.name.value).is_some_and(spreads);
                if self.named_mapping(call, MAPPINGS, "mapping", scope) && spreads {
                    self.groups_or_rate(call);
                }
            }
        }
    }

    /// Whether a mapping or a place exists and has valid arguments.
    fn named_mapping<K>(&mut self, call: &'f Call, defs: &'static [ClauseDef<K>], what: &str, scope: &Scope) -> bool {
        let (name, errors) = (&call.name, self.diagnostics.errors());
        match find(defs, &name.value) {
            Some(def) => {
                calls::check(name, &call.args, &calls::built_in(def.params), self.diagnostics);
                self.layer_args(call.args.iter(), def.params, scope);
            }
            None => {
                let known: Vec<&str> = defs.iter().map(|def| def.name).collect();
                let near = nearest(&name.value, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
                let all = format!("the {what}s are {}", known.join(", "));
                let text = format!("unknown {what} `{}`", name.value);
                self.diagnostics
                    .push(Diagnostic::error(Code::UnknownCall, name.span, text).maybe_help(near.or(Some(all))));
            }
        }
        self.diagnostics.errors() == errors
    }

    /// A mapping takes either the number of kernels or the number of visits per kernel.
    fn groups_or_rate(&mut self, call: &Call) {
        let given = |position: usize, name: &str| {
            let mut args = call.args.iter().enumerate();
            args.any(|(at, arg)| arg.name.as_ref().map_or(at == position, |given| given.value == name))
        };
        let name = &call.name.value;
        let help = format!("write `{name}(groups = ...)` or `{name}(rate = ...)`");
        let (code, text) = match (given(0, "groups"), given(1, "rate")) {
            (false, false) => (Code::MissingArgument, "needs a number of groups or a rate"),
            (true, true) => (Code::SurplusArgument, "takes a number of groups or a rate, not both"),
            _ => return,
        };
        self.diagnostics
            .push(Diagnostic::error(code, call.span, format!("`{name}` {text}")).help(help));
    }

    fn share_kind(&mut self, kind: &Name, args: &'f [Arg], scope: &Scope) {
        if let Some(layer) = ops::find(&kind.value).filter(|_| ops::kinds().any(|known| known == kind.value)) {
            calls::check(kind, args, &calls::optional(layer.params), self.diagnostics);
            self.layer_args(args.iter(), layer.params, scope);
            return;
        }
        let text = format!("`{}` is not a kind of layer that can be shared", kind.value);
        let diagnostic = Diagnostic::error(Code::UnknownCall, kind.span, text);
        // A layer without parameters is no misspelt kind.
        let misspelt = || nearest(&kind.value, ops::kinds()).filter(|_| ops::find(&kind.value).is_none());
        let near = foreign::kind(&kind.value).or_else(misspelt);
        self.diagnostics.push(match near {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")).fix(kind.span, near),
            None => {
                let all: Vec<&str> = ops::kinds().collect();
                diagnostic.help(format!("the kinds with parameters are {}", all.join(", ")))
            }
        });
    }
}
