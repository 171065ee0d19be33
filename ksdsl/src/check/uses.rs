//! Calls, `share` clauses and the expressions in them.

use super::{Checker, Scope, calls, names};
use crate::ast::{Arg, Call, Expr, ExprKind, MappingExpr, Segment, Select, Share, SharePart};
use crate::diag::{Code, Diagnostic, nearest};
use crate::foreign::{self, Ours};
use crate::mappings::{ClauseDef, MAPPINGS, MappingKind, PLACES, PRIVATE_PARTS, find};
use crate::ops;
use crate::source::{Name, Span};
use crate::value::{FUNCTIONS, is_function};

impl<'f> Checker<'f, '_> {
    pub(super) fn call(&mut self, call: &'f Call, scope: &Scope) {
        let (name, args) = (&call.name, &call.args);
        if let Some(layer) = ops::find(&name.value) {
            if !self.has_its_paths(layer, call) {
                return;
            }
            if layer.paths().is_some() {
                return self.join_args(layer, call, scope);
            }
            calls::check(name, args, &calls::built_in(layer.params), self.diagnostics);
            self.numbers_by_position(layer, args);
            self.layer_args(args.iter(), layer.params, scope);
            return;
        }
        let Some(block) = self.known_block(&name.value) else {
            if scope.knows(&name.value) {
                self.call_of_value(call, scope);
                return;
            }
            // Of arguments of what does not exist nobody knows which words they may be.
            self.unknown_call(call);
            return;
        };
        if call.paths.is_some() {
            self.no_paths(call);
        }
        self.any_args(args, scope);
        calls::check(name, args, &calls::user(&block.params), self.diagnostics);
    }

    /// The arguments of an operation of several inputs: values by position, parameters by name.
    fn join_args(&mut self, layer: &ops::LayerDef, call: &'f Call, scope: &Scope) {
        let (named, values): (Vec<&Arg>, Vec<&Arg>) = call.args.iter().partition(|arg| arg.name.is_some());
        if self.layers_as_inputs(layer, &values, scope) {
            return;
        }
        for size in values.iter().flat_map(|arg| &arg.value.sizes) {
            self.expr(size, scope);
            self.no_number(layer, size);
        }
        // A number by position was meant for a parameter, which is not missing then.
        if !call.values().flat_map(|arg| &arg.value.sizes).any(is_number) {
            let owned: Vec<Arg> = named.iter().copied().cloned().collect();
            calls::check(&call.name, &owned, &calls::built_in(layer.params), self.diagnostics);
        }
        self.layer_args(named.into_iter(), layer.params, scope);
    }

    /// Reports layers where an operation of several inputs takes values with names: `add(relu, gelu)`.
    fn layers_as_inputs(&mut self, layer: &ops::LayerDef, values: &[&Arg], scope: &Scope) -> bool {
        let called = |size: &Expr| match &size.kind {
            ExprKind::Name(name) | ExprKind::Function(Name { value: name, .. }, _) => {
                !scope.knows(name) && (ops::find(name).is_some() || self.known_block(name).is_some())
            }
            _ => false,
        };
        let mut sizes = values.iter().flat_map(|arg| &arg.value.sizes);
        if !sizes.any(called) {
            return false;
        }
        let [first, .., last] = values else {
            return self.no_layer(layer, values[0].value.span);
        };
        self.no_layer(layer, first.value.span.to(last.value.span))
    }

    fn no_layer(&mut self, layer: &ops::LayerDef, at: Span) -> bool {
        let text = format!(
            "`{}` takes values with names in parentheses, layers in paths",
            layer.name
        );
        let help = layer.with_paths().map(|shape| format!("write `{shape}`"));
        self.diagnostics
            .push(Diagnostic::error(Code::WrongType, at, text).maybe_help(help));
        true
    }

    /// Reports a number where an operation of several inputs takes values with names.
    fn no_number(&mut self, layer: &ops::LayerDef, size: &Expr) {
        if !is_number(size) {
            return;
        }
        let text = format!(
            "`{}` takes values with names by position, parameters by name",
            layer.name
        );
        let help = layer
            .params
            .first()
            .map(|param| format!("write `{} = ...`", param.name));
        self.diagnostics
            .push(Diagnostic::error(Code::WrongType, size.span, text).maybe_help(help));
    }

    /// What a parameter or a constant stands for is known when blocks are expanded.
    fn call_of_value(&mut self, call: &'f Call, scope: &Scope) {
        if call.paths.is_some() {
            self.no_paths(call);
        }
        self.any_args(&call.args, scope);
    }

    /// The arguments of what is not known here.
    fn any_args(&mut self, args: &'f [Arg], scope: &Scope) {
        for size in args.iter().flat_map(|arg| &arg.value.sizes) {
            self.expr(size, scope);
        }
    }

    /// Whether a call has as many paths as its layer joins; reported if not.
    fn has_its_paths(&mut self, layer: &ops::LayerDef, call: &Call) -> bool {
        let Some([least, most]) = layer.paths() else {
            return call.paths.is_none() || self.no_paths(call);
        };
        // Numbers by position are reported with the arguments.
        let is_value = |arg: &&Arg| arg.value.sizes.iter().any(|size| !is_number(size));
        let (name, values) = (layer.name, call.values().filter(is_value).count());
        // Without paths the current value is the first input.
        let given = values + call.paths.as_ref().map_or(usize::from(values > 0), Vec::len);
        if call.has_invalid_paths() || (least..=most).contains(&given) {
            return true;
        }
        let text = match call.paths {
            None if values == 0 => format!("`{name}` needs paths in braces, or values"),
            None if least == most => format!("`{name}` needs {} values besides the current one", in_words(least - 1)),
            None => format!(
                "`{name}` needs at least {} values besides the current one",
                in_words(least - 1)
            ),
            Some(_) if least == most => format!("`{name}` needs {} paths", in_words(least)),
            Some(_) => format!("`{name}` needs at least {} paths", in_words(least)),
        };
        // Arguments in the place of paths, or the name.
        let arguments = Span {
            start: call.name.span.end,
            ..call.span
        };
        let place = match call.paths.is_none() && layer.params.is_empty() && !call.args.is_empty() {
            true => arguments,
            false => call.span,
        };
        let help = layer.with_paths().map(|shape| format!("write `{shape}`"));
        self.diagnostics
            .push(Diagnostic::error(Code::Empty, place, text).maybe_help(help));
        false
    }

    /// Reports paths where none belong.
    fn no_paths(&mut self, call: &Call) -> bool {
        let text = format!("`{}` takes no paths", call.name.value);
        let diagnostic = Diagnostic::error(Code::SurplusArgument, call.span, text);
        self.diagnostics.push(diagnostic.help("remove the braces after it"));
        false
    }

    /// Arguments of the language's own constructs may be words as well as values.
    pub(super) fn layer_args(
        &mut self,
        args: impl Iterator<Item = &'f Arg>,
        params: &'static [ops::ParamDef],
        scope: &Scope,
    ) {
        for (position, arg) in args.enumerate() {
            let param = match &arg.name {
                Some(name) => params.iter().find(|param| param.name == name.value),
                None => params.get(position),
            };
            self.window_product(arg, param);
            for size in &arg.value.sizes {
                match (&size.kind, param) {
                    // Of a parameter that does not exist nobody knows whether it takes words.
                    (ExprKind::Name(_), None) => {}
                    (ExprKind::Name(_), Some(param)) if self.takes_words_only(param.kind, size, scope) => {}
                    (ExprKind::Name(name), Some(param)) if self.word_of_another(param, name, size.span, scope) => {}
                    (ExprKind::Name(name), Some(param)) if !self.file.lost.contains(name) => {
                        let takes = ops::takes(param, name);
                        if self.is_word(name) {
                            continue;
                        }
                        let takes = (takes.0, takes.1.as_deref());
                        scope.check_known(name, size.span, takes, self.diagnostics);
                    }
                    (ExprKind::Function(name, inner), Some(param)) if ops::is_function(param.kind, &name.value) => {
                        self.any_args(inner, scope);
                    }
                    _ => self.expr(size, scope),
                }
            }
        }
    }

    /// A name that is a word of this parameter, or for a parameter that takes nothing but words is
    /// no name of the user's: reading the argument says which words there are.
    fn takes_words_only(&self, kind: ops::ParamKind, expr: &Expr, scope: &Scope) -> bool {
        let ExprKind::Name(name) = &expr.kind else { return false };
        let words_only = matches!(kind, ops::ParamKind::Init | ops::ParamKind::Word(_));
        ops::is_word(kind, name) || (words_only && !scope.knows(name))
    }

    /// Whether a name is a word of the language, but for other parameters: reported.
    fn word_of_another(&mut self, param: &ops::ParamDef, name: &str, at: Span, scope: &Scope) -> bool {
        let Some(of) = ops::parameter_of(name).filter(|of| !scope.knows(name) && *of != param.name) else {
            return false;
        };
        let text = format!("`{}` takes {}", param.name, param.kind.wanted());
        let label = format!("`{name}` is a value of `{of}`");
        self.diagnostics
            .push(Diagnostic::error(Code::WrongType, at, text).label(label));
        true
    }

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

    pub(super) fn expr(&mut self, expr: &'f Expr, scope: &Scope) {
        match &expr.kind {
            ExprKind::Name(name) if self.file.lost.contains(name) || self.is_word(name) => {}
            ExprKind::Name(name) => scope.check_known(
                name,
                expr.span,
                (&[], self.near_word(name, scope).as_deref()),
                self.diagnostics,
            ),
            ExprKind::Function(name, args) if is_function(&name.value) => {
                self.function(name, args);
                self.any_args(args, scope);
            }
            ExprKind::Function(name, args) => self.call_as_value(name, args, scope),
            ExprKind::List(items) => items.iter().for_each(|item| self.expr(item, scope)),
            ExprKind::Index(list, index) => {
                self.expr(list, scope);
                self.expr(index, scope);
            }
            ExprKind::Negate(inner) | ExprKind::Not(inner) => self.expr(inner, scope),
            ExprKind::Binary(left, _, right) => {
                self.expr(left, scope);
                self.expr(right, scope);
            }
            ExprKind::Invalid | ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_) | ExprKind::Kept(_) => {}
        }
    }

    /// Whether a name is a value of its own: a word of the language, or a layer or a block.
    fn is_word(&self, name: &str) -> bool {
        ops::is_language_word(name) || self.known_block(name).is_some()
    }

    /// What to say of an unknown name that is nearly a word.
    fn near_word(&self, name: &str, scope: &Scope) -> Option<String> {
        if scope.knows(name) || self.diagnostics.is_full() {
            return None;
        }
        let blocks = self.blocks.keys().chain(self.inner.keys()).copied();
        let near = nearest(name, ops::language_words()).or_else(|| nearest(name, blocks))?;
        // Of all words some are near to any short name.
        let letters = strsim::damerau_levenshtein(name, near);
        (letters <= name.len() / 4).then(|| format!("did you mean `{near}`?"))
    }

    /// A layer, a block or an initialisation with arguments, in the place of a value.
    fn call_as_value(&mut self, name: &'f Name, args: &'f [Arg], scope: &Scope) {
        if let Some(layer) = ops::find(&name.value) {
            calls::check(name, args, &calls::built_in(layer.params), self.diagnostics);
            self.layer_args(args.iter(), layer.params, scope);
            return;
        }
        self.any_args(args, scope);
        match self.known_block(&name.value) {
            Some(block) => calls::check(name, args, &calls::user(&block.params), self.diagnostics),
            None if ops::is_init(&name.value) || self.file.lost.contains(&name.value) => {}
            None => self.diagnostics.push(unknown_function(name)),
        }
    }

    fn function(&mut self, name: &Name, args: &[Arg]) {
        let (given, Some((_, wanted))) = (args.len(), FUNCTIONS.iter().find(|(known, _)| *known == name.value)) else {
            return;
        };
        if given == *wanted {
            let odd = args.iter().find(|arg| arg.name.is_some() || arg.value.sizes.len() != 1);
            if let Some(arg) = odd {
                let text = format!("`{}` takes values without names, separated by `,`", name.value);
                self.diagnostics
                    .push(Diagnostic::error(Code::WrongType, arg.value.span, text));
            }
            return;
        }
        let code = match given < *wanted {
            true => Code::MissingArgument,
            false => Code::SurplusArgument,
        };
        let (were, arguments) = match (given, wanted) {
            (1, _) => ("was", "arguments"),
            (_, 1) => ("were", "argument"),
            _ => ("were", "arguments"),
        };
        let text = format!("`{}` takes {wanted} {arguments}, but {given} {were} given", name.value);
        self.diagnostics.push(Diagnostic::error(code, name.span, text));
    }
}

/// Whether a number or a boolean is written here.
fn is_number(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_))
}

/// A small number.
fn in_words(number: usize) -> String {
    match number {
        2 => "two".to_owned(),
        3 => "three".to_owned(),
        other => other.to_string(),
    }
}

fn unknown_function(name: &Name) -> Diagnostic {
    let text = format!("unknown function `{}`", name.value);
    let diagnostic = Diagnostic::error(Code::UnknownName, name.span, text);
    let known: Vec<&str> = FUNCTIONS.iter().map(|(known, _)| *known).collect();
    match (
        foreign::function(&name.value),
        nearest(&name.value, known.iter().copied()),
    ) {
        (Some(Ours::Name(ours)), _) => diagnostic.write(name.span, ours),
        (Some(Ours::Otherwise(how) | Ours::Nothing(how)), _) => diagnostic.help(how),
        (None, Some(near)) => diagnostic.help(format!("did you mean `{near}`?")).fix(name.span, near),
        (None, None) => diagnostic.help(format!("the functions are {}", known.join(", "))),
    }
}
