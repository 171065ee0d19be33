//! Networks, instances and blocks as a whole: names, parameters, inputs and outputs.

use super::{Checker, Place, Scope, calls, is_step, names, place};
use crate::ast::{Arg, Block, Body, Dims, Net, NetKind, Param, Statement};
use crate::diag::{Code, Diagnostic, nearest};
use crate::ops;
use crate::source::Name;

impl<'f> Checker<'f, '_> {
    pub(super) fn items(&mut self) {
        for net in self.file.all_nets() {
            names::check_allowed(&net.name, self.diagnostics);
            match self.nets.get(net.name.value.as_str()) {
                Some(first) if first.name.span != net.name.span => {
                    names::duplicate("network", &net.name, first.name.span, self.diagnostics);
                }
                _ => {}
            }
        }
        for block in &self.file.blocks {
            self.define(block);
            self.blocks.insert(&block.name.value, block);
        }
        for block in &self.file.blocks {
            self.block(block, &mut Scope::default());
        }
        for net in self.file.all_nets() {
            self.net(net);
        }
    }

    fn net(&mut self, net: &'f Net) {
        match &net.kind {
            NetKind::Family { params, body } => {
                let mut scope = Scope::default();
                self.params(params, &mut scope);
                scope.has_current = true;
                for statement in &body.statements {
                    if let Statement::Block(block) = statement {
                        self.define(block);
                        self.inner.insert(&block.name.value, block);
                    }
                }
                self.body(body, Place::Net, &mut scope);
                self.ports(net, body);
                self.inner.clear();
            }
            NetKind::Instance { base, args } => self.instance(base, args),
        }
    }

    fn instance(&mut self, base: &'f Name, args: &'f [Arg]) {
        let found = self.nets.get(base.value.as_str());
        match found.map(|net| &net.kind) {
            Some(NetKind::Family { params, .. }) => {
                calls::check(base, args, &calls::user(params), self.diagnostics);
                for arg in args {
                    for size in &arg.value.sizes {
                        self.expr(size, &Scope::default());
                    }
                }
            }
            Some(NetKind::Instance { .. }) => self.diagnostics.push(
                Diagnostic::error(
                    Code::UnknownNet,
                    base.span,
                    format!("`{}` is itself an instance", base.value),
                )
                .help("instantiate the network it is an instance of"),
            ),
            None if self.diagnostics.is_full() || self.file.lost.contains(&base.value) => {}
            None => {
                let families = self.file.all_nets();
                let families = families.filter(|net| matches!(net.kind, NetKind::Family { .. }));
                let names = families.map(|net| net.name.value.as_str());
                let near = nearest(&base.value, names.clone()).map(|name| format!("did you mean `{name}`?"));
                let all: Vec<&str> = names.take(12).collect();
                let all = (!all.is_empty()).then(|| format!("in scope: {}", all.join(", ")));
                self.diagnostics.push(
                    Diagnostic::error(Code::UnknownNet, base.span, format!("unknown network `{}`", base.value))
                        .maybe_help(near.or(all)),
                );
            }
        }
    }

    /// A network has an `input`, and where there are several, each has a name. Nothing follows the last `output`.
    fn ports(&mut self, net: &Net, body: &Body) {
        let inputs = body.statements.iter().filter_map(|statement| match statement {
            Statement::Input(input) => Some((&input.name, &input.dims)),
            _ => None,
        });
        let inputs: Vec<(&Option<Name>, &Dims)> = inputs.collect();
        if inputs.is_empty() && !self.file.lost.contains("input") {
            let text = format!("network `{}` has no `input`", net.name.value);
            self.diagnostics.push(
                Diagnostic::error(Code::Input, net.name.span, text)
                    .help("add `input channels x height x width`, `input features`, or `input tokens x features`"),
            );
        }
        let unnamed = inputs.iter().rev().find(|(name, _)| name.is_none());
        if let (Some((_, unnamed)), true) = (unnamed, inputs.len() > 1) {
            self.diagnostics.push(
                Diagnostic::error(Code::Input, unnamed.span, "each of several inputs needs a name")
                    .help("write `input name: channels x height x width`, or keep one input"),
            );
        }
        self.outputs(body);
    }

    fn outputs(&mut self, body: &Body) {
        let mut names: Vec<&Name> = Vec::new();
        for statement in &body.statements {
            let Statement::Output(name) = statement else { continue };
            names::check_allowed(name, self.diagnostics);
            match names.iter().find(|first| first.value == name.value) {
                Some(first) => names::duplicate("output", name, first.span, self.diagnostics),
                None => names.push(name),
            }
        }
        let is_output = |statement: &Statement| matches!(statement, Statement::Output(_));
        let Some(last) = body.statements.iter().rposition(is_output) else {
            return;
        };
        if let Some(step) = body.statements[last..].iter().find(|statement| is_step(statement)) {
            let text = "the value after this step is no output";
            self.diagnostics.push(
                Diagnostic::warning(Code::Unused, place(step), text)
                    .help("name it with `output` at the end, or remove the step"),
            );
        }
    }

    pub(super) fn define(&mut self, block: &'f Block) {
        names::check_allowed(&block.name, self.diagnostics);
        if ops::find(&block.name.value).is_some() {
            let text = format!("`{}` is a layer of the language", block.name.value);
            self.diagnostics.push(
                Diagnostic::error(Code::DuplicateName, block.name.span, text).help("choose another name for the block"),
            );
        } else if let Some(first) = self.known_block(&block.name.value) {
            names::duplicate("block", &block.name, first.name.span, self.diagnostics);
        }
    }

    pub(super) fn block(&mut self, block: &'f Block, scope: &mut Scope) {
        let (mark, outer) = (scope.len(), scope.enter_block());
        let had_current = std::mem::replace(&mut scope.has_current, true);
        self.params(&block.params, scope);
        self.body(&block.body, Place::Block, scope);
        scope.truncate(mark);
        scope.leave_block(outer);
        scope.has_current = had_current;
    }

    /// Defaults may refer to the parameters before them.
    fn params(&mut self, params: &'f [Param], scope: &mut Scope) {
        for param in params {
            if let Some(default) = &param.default {
                self.expr(default, scope);
            }
            scope.define("parameter", &param.name, self.diagnostics);
        }
    }
}
