//! The walk over a tree that finds its names, with the scopes in which they are known.

use super::super::selectors;
use super::{CallSite, Clause, Kind, Occurrence, Symbols};
use crate::ast::{Arg, Block, Body, Call, Expr, ExprKind, File, MappingExpr, Net, NetKind, Param, PathArm};
use crate::ast::{Select, Share, Statement, Step, StepKind};
use crate::ops;
use crate::source::{Name, Span};
use std::collections::HashMap;

/// The names and calls of a file, blocks first.
pub(super) fn walk(file: &File) -> Symbols {
    let mut walker = Walker {
        file,
        inner: HashMap::new(),
        scope: Vec::new(),
        found: Symbols::default(),
    };
    file.blocks.iter().for_each(|block| walker.block(block));
    for net in file.all_nets() {
        walker.net(net);
    }
    walker.found
}

struct Walker<'f> {
    file: &'f File,
    /// The blocks of the network at hand.
    inner: HashMap<&'f str, &'f Block>,
    /// The names that expressions see, innermost last.
    scope: Vec<(&'f str, Span, Kind)>,
    found: Symbols,
}

impl<'f> Walker<'f> {
    fn add(&mut self, span: Span, of: Span, kind: Kind) {
        self.found.occurrences.push(Occurrence {
            span,
            of,
            kind,
            exact: true,
        });
    }

    fn define(&mut self, name: &Name, kind: Kind) {
        self.add(name.span, name.span, kind);
    }

    fn bind(&mut self, name: &'f Name, kind: Kind) {
        self.define(name, kind);
        self.scope.push((&name.value, name.span, kind));
    }

    fn find_block(&self, name: &str) -> Option<&'f Block> {
        let of_file = || self.file.blocks.iter().find(|block| block.name.value == name);
        self.inner.get(name).copied().or_else(of_file)
    }

    fn net(&mut self, net: &'f Net) {
        self.define(&net.name, Kind::Net);
        match &net.kind {
            NetKind::Family { params, body } => {
                self.params(params);
                let blocks = body.statements.iter().filter_map(|statement| match statement {
                    Statement::Block(block) => Some((block.name.value.as_str(), block)),
                    _ => None,
                });
                self.inner = blocks.collect();
                self.body(body);
                self.clauses(body);
                self.inner.clear();
                self.scope.clear();
            }
            NetKind::Instance { base, args } => {
                let family = self.file.all_nets().find(|net| net.name.value == base.value);
                if let Some(family) = family {
                    self.add(base.span, family.name.span, Kind::Net);
                }
                let params = match family.map(|family| &family.kind) {
                    Some(NetKind::Family { params, .. }) => params.as_slice(),
                    _ => &[],
                };
                self.args(args, params);
            }
        }
    }

    /// The paths of the clauses of a network, which the body must be known for.
    fn clauses(&mut self, body: &'f Body) {
        let tree = selectors::Tree {
            body,
            inner: &self.inner,
            blocks: &self.file.blocks,
        };
        for statement in &body.statements {
            if let Statement::Share(share) = statement {
                for selector in selectors(share) {
                    tree.resolve(selector, &mut self.found.occurrences);
                }
            }
        }
    }

    fn block(&mut self, block: &'f Block) {
        self.define(&block.name, Kind::Block);
        let mark = self.scope.len();
        self.params(&block.params);
        self.body(&block.body);
        self.scope.truncate(mark);
    }

    fn params(&mut self, params: &'f [Param]) {
        for param in params {
            if let Some(default) = &param.default {
                self.expr(default);
            }
            self.bind(&param.name, Kind::Parameter);
        }
    }

    fn body(&mut self, body: &'f Body) {
        let mark = self.scope.len();
        body.statements.iter().for_each(|statement| self.statement(statement));
        self.scope.truncate(mark);
    }

    fn statement(&mut self, statement: &'f Statement) {
        match statement {
            Statement::Input(input) => {
                let exprs = input.dims.sizes.iter().chain(&input.vocabulary);
                exprs.for_each(|expr| self.expr(expr));
                if let Some(name) = &input.name {
                    self.bind(name, Kind::Value);
                }
            }
            Statement::Output(name) => self.define(name, Kind::Output),
            Statement::Let(name, value) => {
                self.expr(value);
                self.bind(name, Kind::Constant);
            }
            Statement::Keep(name) | Statement::Exit(name) => self.bind(name, Kind::Value),
            Statement::Set(target) => self.expr(target),
            Statement::Block(block) => self.block(block),
            Statement::Stage(name, body) => {
                self.define(name, Kind::Stage);
                self.body(body);
            }
            Statement::Share(share) => self.share(share),
            Statement::Step(step) => self.step(step),
            Statement::Invalid(_) => {}
        }
    }

    fn step(&mut self, step: &'f Step) {
        if let Some(label) = &step.label {
            self.define(label, Kind::Label);
        }
        match &step.kind {
            StepKind::Call(call) => self.step_call(step, call),
            StepKind::Residual {
                args, body, shortcut, ..
            } => {
                self.args(args, &[]);
                self.body(body);
                shortcut.iter().for_each(|shortcut| self.body(shortcut));
            }
            StepKind::Repeat {
                count,
                up_to,
                index,
                body,
            } => {
                self.expr(count);
                up_to.iter().for_each(|up_to| self.args(&up_to.args, &[]));
                let mark = self.scope.len();
                if let Some(index) = index {
                    self.bind(index, Kind::Index);
                }
                self.body(body);
                self.scope.truncate(mark);
                // What a loop leaves is known behind it.
                for statement in &body.statements {
                    if let (Statement::Exit(name), true) = (statement, up_to.is_some()) {
                        self.scope.push((&name.value, name.span, Kind::Value));
                    }
                }
            }
            StepKind::Each {
                values, names, body, ..
            } => {
                values.iter().for_each(|value| self.expr(value));
                self.body(body);
                names.iter().for_each(|name| self.bind(name, Kind::Value));
            }
            StepKind::When {
                condition,
                then,
                otherwise,
            } => {
                self.expr(condition);
                self.body(then);
                otherwise.iter().for_each(|body| self.body(body));
            }
            StepKind::Sequence(body) => self.body(body),
            StepKind::From(source) => self.expr(source),
        }
    }

    fn step_call(&mut self, step: &'f Step, call: &'f Call) {
        self.found.calls.push(CallSite {
            callee: call.name.clone(),
            span: call.span,
            label: step.label.as_ref().map(|label| label.span),
            end: step.span.end,
        });
        self.call(call);
        for PathArm { label, body } in call.paths() {
            if let Some(label) = label {
                self.define(label, Kind::Label);
            }
            self.body(body);
        }
    }

    /// The name and the arguments of a layer, a block, or what stands for one.
    fn call(&mut self, call: &'f Call) {
        self.callee(&call.name, &call.args);
    }

    fn callee(&mut self, name: &'f Name, args: &'f [Arg]) {
        if ops::find(&name.value).is_some() {
            return self.args(args, &[]);
        }
        match self.find_block(&name.value) {
            Some(block) => {
                self.add(name.span, block.name.span, Kind::Block);
                self.args(args, &block.params);
            }
            None => {
                self.name(&name.value, name.span);
                self.args(args, &[]);
            }
        }
    }

    /// Arguments, with the parameters that they may name.
    fn args(&mut self, args: &'f [Arg], params: &[Param]) {
        for arg in args {
            let param = arg.name.as_ref().and_then(|name| {
                let param = params.iter().find(|param| param.name.value == name.value)?;
                Some((name.span, param.name.span))
            });
            if let Some((span, of)) = param {
                self.add(span, of, Kind::Parameter);
            }
            arg.value.sizes.iter().for_each(|size| self.expr(size));
        }
    }

    /// A name in an expression.
    fn name(&mut self, name: &str, span: Span) {
        let known = self.scope.iter().rev().find(|(known, ..)| *known == name);
        match known.copied() {
            Some((_, of, kind)) => self.add(span, of, kind),
            None => {
                if let Some(block) = self.find_block(name) {
                    self.add(span, block.name.span, Kind::Block);
                }
            }
        }
    }

    fn expr(&mut self, expr: &'f Expr) {
        match &expr.kind {
            ExprKind::Name(name) => self.name(name, expr.span),
            ExprKind::Function(name, args) => self.callee(name, args),
            ExprKind::List(items) => items.iter().for_each(|item| self.expr(item)),
            ExprKind::Index(list, index) => {
                self.expr(list);
                self.expr(index);
            }
            ExprKind::Negate(inner) | ExprKind::Not(inner) => self.expr(inner),
            ExprKind::Binary(left, _, right) => {
                self.expr(left);
                self.expr(right);
            }
            ExprKind::Invalid | ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_) | ExprKind::Kept(_) => {}
        }
    }

    fn share(&mut self, share: &'f Share) {
        self.found.clauses.push(Clause { span: share.span });
        if let Some(name) = &share.name {
            self.define(name, Kind::Kernel);
        }
        if let Some((_, args)) = share.kind() {
            self.args(args, &[]);
        }
        match &share.into {
            Some(MappingExpr::Groups(expr)) => self.expr(expr),
            Some(MappingExpr::Named(call)) => self.args(&call.args, &[]),
            Some(MappingExpr::List(kernels, _)) => kernels.iter().flatten().for_each(|expr| self.expr(expr)),
            None => {}
        }
        for call in share.at.iter().chain(&share.private) {
            self.args(&call.args, &[]);
        }
        for expr in share.every.iter().chain(&share.when) {
            self.expr(expr);
        }
        for selector in selectors(share) {
            selectors::numbers(selector).for_each(|expr| self.expr(expr));
        }
    }
}

/// All paths of a clause.
fn selectors(share: &Share) -> impl Iterator<Item = &crate::ast::Selector> {
    let selected = match &share.select {
        Select::Paths(paths) => paths,
        Select::Isomorphic { scopes, .. } => scopes,
        Select::Blocks { selectors, .. } => selectors,
    };
    selected.iter().chain(&share.except).chain(&share.transposed)
}
