//! Calls, `share` clauses and the expressions in them.

use super::{Checker, Scope, calls};
use crate::ast::{Arg, Call, Expr, ExprKind};
use crate::diag::{Code, Diagnostic, nearest};
use crate::foreign::{self, Ours};
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
