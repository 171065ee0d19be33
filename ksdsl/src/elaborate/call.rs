//! Layers and blocks.

use super::callees::current;
use super::join::arm;
use super::shapes::product;
use super::{Elaborator, KnownBlock, Unshared, budget};
use crate::ast::{Arg, Block, Call};
use crate::diag::{Code, Diagnostic};
use crate::ir::{Node, Op, Path, ScopeKind, Segment, Shape, in_words};
use crate::ops::{self, Args, Axes, LayerDef, Problem, Resolve};
use crate::source::{Name, Span};
use crate::value::{Env, Value, eval};
use std::collections::HashMap;
use std::rc::Rc;

impl<'f> Elaborator<'f, '_> {
    pub(super) fn call(
        &mut self,
        call: &'f Call,
        label: Option<&Name>,
        shape: Option<Shape>,
        nodes: &mut Vec<Node>,
    ) -> Option<Shape> {
        if let Some(layer) = ops::find(&call.name.value) {
            self.check_hidden(call);
            return match layer.resolve {
                Resolve::Join { resolve, .. } => self.join_call((layer, resolve), call, label, shape, nodes),
                _ => self.layer_call(layer, call, label, shape, nodes),
            };
        }
        // What the language is written in does not see the user's blocks.
        if (!self.is_block(call) || self.built_in.is_some()) && !self.aborted {
            return self.call_of_value(call, label, shape, nodes);
        }
        self.check_hidden(call);
        let path = match label {
            Some(label) => self.named_path(label),
            None => self.level().next_index(),
        };
        self.block_at(call, path, shape, nodes)
    }

    /// Whether a call is one of a block by its name.
    pub(super) fn is_block(&self, call: &Call) -> bool {
        self.blocks.contains_key(call.name.value.as_str())
    }

    /// Expands a block under a path.
    pub(super) fn block_at(
        &mut self,
        call: &Call,
        path: Path,
        shape: Option<Shape>,
        nodes: &mut Vec<Node>,
    ) -> Option<Shape> {
        let Some(&known) = self.blocks.get(call.name.value.as_str()).filter(|_| !self.aborted) else {
            // The checks of names have reported it.
            self.incomplete = true;
            return None;
        };
        let inner = self.block_env(known, &call.args, shape);
        let outer = std::mem::replace(&mut self.env, inner);
        let kind = ScopeKind::Block(known.block.name.value.clone());
        self.span = self.place(call.span);
        let output = self.scope(kind, path, shape, nodes, |this, shape, inner| {
            this.body(&known.block.body, shape, inner)
        });
        self.env = outer;
        output
    }

    /// The names a block sees: its parameters, and those of the network it is defined in.
    fn block_env(&mut self, known: KnownBlock<'f>, args: &[Arg], shape: Option<Shape>) -> Env {
        self.env.set_current(current(shape));
        let mut values = user_args(known.block, args, |arg| match arg.value.sizes.as_slice() {
            [value] => eval(value, &self.env, self.diagnostics),
            _ => {
                let text = "a block's parameter takes one value";
                self.diagnostics
                    .push(Diagnostic::error(Code::WrongType, arg.value.span, text));
                None
            }
        });
        let defaults = known.block.params.iter().filter_map(|param| param.default.as_ref());
        let costs = defaults.map(|default| budget::expression(default.span));
        self.spend(known.block.params.len() + costs.sum::<usize>(), self.span);
        let mut env = if known.in_net {
            Env::inside(Rc::clone(&self.net_env))
        } else {
            Env::inside(Rc::clone(&self.words))
        };
        env.set_current(current(shape));
        for param in &known.block.params {
            let value = match (values.remove(param.name.value.as_str()), &param.default) {
                (Some(value), _) => value,
                (None, Some(default)) => eval(default, &env, self.diagnostics),
                (None, None) => None,
            };
            env.bind(&param.name.value, value);
        }
        env
    }

    pub(super) fn layer_call(
        &mut self,
        layer: &'static LayerDef,
        call: &Call,
        label: Option<&Name>,
        shape: Option<Shape>,
        nodes: &mut Vec<Node>,
    ) -> Option<Shape> {
        let (args, span) = (self.args(layer, &call.args, shape), self.place(call.span));
        let has_values = args.as_ref().is_some_and(|args| args.given_values().next().is_some());
        if let (true, Resolve::One(resolve), Some(args), Some(input)) = (has_values, layer.resolve, &args, shape) {
            return self.layer_with_values((layer, resolve(args, input)), args, input, span, nodes);
        }
        let resolved = match (layer.resolve, &args, shape) {
            (Resolve::One(resolve), Some(args), Some(input)) => Some(resolve(args, input)),
            _ => None,
        };
        if let (Some(Ok(None)), None) = (&resolved, label) {
            return shape;
        }
        let path = match label {
            Some(label) => self.named_path(label),
            None => self.level().unnamed(layer.name, span),
        };
        let (Some(args), Some(input)) = (args, shape) else {
            self.invalid_layer(path, span);
            return None;
        };
        if let Resolve::Block(block) = layer.resolve {
            return match (block.constants)(&args, input) {
                Ok(constants) => self.built_in((layer, constants), path, args, input, span, nodes),
                Err(problem) => self.layer(path, Err(problem), input, &args, span, nodes),
            };
        }
        let result = match resolved.transpose().map(Option::flatten) {
            Ok(None) => return shape,
            Ok(Some(op)) if !op.accepts(input) => Err(ops::not_taken(layer.name, input)),
            Ok(Some(op)) => op.output_of(&[input]).map(|output| (op, output)),
            Err(problem) => Err(problem),
        };
        let result = self.check_order(call, &args, input, result);
        self.layer(path, result, input, &args, span, nodes)
    }

    /// Adds the join of the current value and the values that arguments name.
    fn layer_with_values(
        &mut self,
        (layer, resolved): (&'static LayerDef, Result<Option<Op>, Problem>),
        args: &Args,
        input: Shape,
        span: Span,
        nodes: &mut Vec<Node>,
    ) -> Option<Shape> {
        let mut arms = vec![arm(Vec::new(), input)];
        arms.extend(self.named_values(args));
        let shapes: Vec<Shape> = arms.iter().map(|arm| arm.output).collect();
        let result = resolved.and_then(|op| match op {
            None => Ok(None),
            Some(op) if !op.accepts(input) => Err(ops::not_taken(layer.name, input)),
            Some(op) => Ok(Some((op.output_of(&shapes)?, op))),
        });
        match result {
            Ok(None) => Some(input),
            Ok(Some((output, op))) => self.push_join(op, None, arms, output, nodes),
            Err(problem) => {
                let path = self.level().path.join(Segment::Name(layer.name.to_owned()));
                self.report(problem, &path, input, args, span);
                self.incomplete = true;
                None
            }
        }
    }

    /// The arguments of a call; in a layer that is written in the language, with the initialisations given to that.
    pub(super) fn args(&mut self, layer: &'static LayerDef, args: &[Arg], input: Option<Shape>) -> Option<Args> {
        let is_signal = matches!(input, Some(Shape::Signal { .. }));
        let axes = if is_signal { Axes::Length } else { Axes::Both };
        let mut args = ops::read_along(layer.params, args, (&self.env, axes), self.diagnostics)?;
        if let Some(built_in) = &self.built_in {
            args.inherit(&built_in.args, layer.params);
        }
        Some(args)
    }

    /// Adds a layer, or reports why it cannot be.
    fn layer(
        &mut self,
        path: Path,
        result: Result<(Op, Shape), Problem>,
        input: Shape,
        args: &Args,
        span: Span,
        nodes: &mut Vec<Node>,
    ) -> Option<Shape> {
        match result {
            Ok((op, output)) => self.add_layer(path, op, input, output, span, nodes),
            Err(problem) => {
                self.report(problem, &path, input, args, span);
                self.invalid_layer(path, span);
                None
            }
        }
    }

    pub(super) fn report(&mut self, problem: Problem, path: &Path, input: Shape, args: &Args, span: Span) {
        // What a layer written in the language hands on was given to that.
        let args = self.built_in.as_ref().map_or(args, |built_in| &built_in.args);
        let place = problem.param.and_then(|param| args.span(param)).unwrap_or(span);
        self.diagnostics.push(
            Diagnostic::error(problem.code, place, problem.message)
                .label(format!("`{path}` receives {}", in_words(input)))
                .maybe_help(problem.help),
        );
    }

    /// Adds a layer unless it is too large.
    pub(super) fn add_layer(
        &mut self,
        path: Path,
        op: Op,
        input: Shape,
        output: Shape,
        span: Span,
        nodes: &mut Vec<Node>,
    ) -> Option<Shape> {
        let tensors = op.tensors();
        let sizes = tensors
            .iter()
            .map(|tensor| tensor.shape.clone())
            .chain([output.sizes()]);
        if let Some(sizes) = sizes.into_iter().find(|sizes| product(sizes).is_none()) {
            self.too_many_elements(&format!("`{path}` needs"), &sizes, span);
            self.invalid_layer(path, span);
            return None;
        }
        if !self.fits_loops(&path, &op, span) {
            self.invalid_layer(path, span);
            return None;
        }
        self.push_layer(path, op, input, output, span);
        nodes.push(Node::Layer(self.layers.len() - 1));
        (!self.aborted).then_some(output)
    }

    pub(super) fn invalid_layer(&mut self, path: Path, span: Span) {
        self.incomplete = true;
        self.push_layer(path, Op::invalid(), Shape::Flat(1), Shape::Flat(1), span);
    }

    pub(super) fn push_layer(&mut self, path: Path, op: Op, input: Shape, output: Shape, span: Span) {
        let iterations = self.loops.iterations;
        let spent = self.budget.spend_layer(iterations.unwrap_or(1));
        if let Err(text) = spent.and_then(|()| self.budget.spend_path(&path)) {
            self.abort(Code::NetworkTooLarge, span, text);
        }
        self.layers.push(Unshared {
            path,
            op,
            input,
            output,
            span,
            iterations,
        });
    }
}

/// The arguments of a call by the callee's parameters.
fn user_args<'a>(
    block: &'a Block,
    args: &'a [Arg],
    mut value: impl FnMut(&'a Arg) -> Option<Value>,
) -> HashMap<&'a str, Option<Value>> {
    let param = |position: usize, arg: &'a Arg| match &arg.name {
        Some(name) => Some(name.value.as_str()),
        None => block.params.get(position).map(|param| param.name.value.as_str()),
    };
    args.iter()
        .enumerate()
        .filter_map(|(position, arg)| Some((param(position, arg)?, value(arg))))
        .collect()
}
