//! Residual connections, branches, repetitions and optional parts.

use super::{Elaborator, Level};
use crate::ast::{Arg, Body, Expr, Statement, Step, StepKind};
use crate::diag::{Code, Diagnostic};
use crate::ir::{Arm, Join, Node, Op, Path, ScopeKind, Shape, in_words};
use crate::limits;
use crate::ops::add::Add;
use crate::ops::batch_norm::BatchNorm;
use crate::ops::{self, Args, projection};
use crate::source::{Name, Span};
use crate::value::{Value, eval_bool, eval_int};

impl<'f> Elaborator<'f, '_> {
    /// A construct that is neither a call nor a repetition, in the current path.
    pub(super) fn structure(&mut self, step: &'f Step, shape: Option<Shape>, nodes: &mut Vec<Node>) -> Option<Shape> {
        match &step.kind {
            StepKind::Residual {
                head,
                args,
                body,
                shortcut,
            } => self.residual(*head, args, (body, shortcut.as_ref()), shape, nodes),
            StepKind::When {
                condition,
                then,
                otherwise,
            } => match eval_bool(condition, &self.env, self.diagnostics) {
                Some(true) => self.body(then, shape, nodes),
                Some(false) => otherwise.as_ref().map_or(shape, |body| self.body(body, shape, nodes)),
                None => {
                    self.incomplete = true;
                    None
                }
            },
            StepKind::Sequence(body) => self.body(body, shape, nodes),
            StepKind::From(source) => self.from(source, nodes),
            StepKind::Call(_) | StepKind::Repeat { .. } | StepKind::Each { .. } => shape,
        }
    }

    pub(super) fn repeat(
        &mut self,
        count: &'f Expr,
        index: Option<&Name>,
        body: &'f Body,
        label: Option<&Name>,
        mut shape: Option<Shape>,
        nodes: &mut Vec<Node>,
    ) -> Option<Shape> {
        let path = label.map(|label| self.named_path(label));
        let count_span = count.span;
        let Some(count) = self.repeat_count(count) else {
            self.incomplete = true;
            return None;
        };
        let errors = self.diagnostics.errors();
        let labelled = path.is_some();
        if let Some(path) = path {
            self.levels.push(Level::new(path));
        }
        for iteration in 0..count {
            self.spend(1, count_span);
            // A mistake in one iteration is a mistake in all: once is enough.
            if self.aborted || self.diagnostics.errors() > errors {
                self.incomplete = true;
                shape = None;
                break;
            }
            let mark = self.env.len();
            if let Some(index) = index {
                self.env.bind(&index.value, Some(Value::Int(iteration)));
            }
            shape = self.iteration(body, shape, nodes);
            self.env.truncate(mark);
        }
        if labelled {
            self.levels.pop();
        }
        shape
    }

    /// Carries out a body on each of several values. Each is set to its result, or that gets a name of its own.
    pub(super) fn each(
        &mut self,
        (values, names): (&'f [Expr], &'f [Name]),
        body: &'f Body,
        label: Option<&Name>,
        nodes: &mut Vec<Node>,
    ) -> Option<Shape> {
        let path = label.map(|label| self.named_path(label));
        let labelled = path.is_some();
        self.levels.extend(path.map(Level::new));
        let errors = self.diagnostics.errors();
        let (mut shape, mut results) = (None, Vec::new());
        for (at, value) in values.iter().enumerate() {
            if self.aborted || self.diagnostics.errors() > errors {
                self.incomplete = true;
                shape = None;
                break;
            }
            let source = self.from(value, nodes);
            shape = self.iteration(body, source, nodes);
            match names.get(at) {
                None => self.set(value, shape, nodes),
                Some(name) => {
                    let value = self.keep(name, shape, nodes);
                    results.push((name.value.as_str(), value));
                }
            }
        }
        if labelled {
            self.levels.pop();
        }
        let results = results
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        self.loops.ended.extend(results);
        shape
    }

    fn repeat_count(&mut self, count: &Expr) -> Option<i64> {
        let value = eval_int(count, &self.env, self.diagnostics)?;
        if value < 0 {
            self.diagnostics.push(
                Diagnostic::error(Code::OutOfRange, count.span, format!("cannot repeat {value} times"))
                    .label("must not be negative"),
            );
            return None;
        }
        if value > limits::LAYERS as i64 {
            let text = format!(
                "cannot repeat {value} times: a network has at most {} layers",
                limits::LAYERS
            );
            self.diagnostics
                .push(Diagnostic::error(Code::NetworkTooLarge, count.span, text).help("reduce the count"));
            return None;
        }
        Some(value)
    }

    /// One iteration: where the body is a single block without a name, that block; otherwise the
    /// body becomes a block of its own, so that its layers have paths of their own.
    fn iteration(&mut self, body: &'f Body, shape: Option<Shape>, nodes: &mut Vec<Node>) -> Option<Shape> {
        let path = self.level().next_index();
        self.iteration_at((ScopeKind::Iteration, path), body, shape, nodes)
    }

    /// The body of a repetition or loop under a path.
    pub(super) fn iteration_at(
        &mut self,
        (kind, path): (ScopeKind, Path),
        body: &'f Body,
        shape: Option<Shape>,
        nodes: &mut Vec<Node>,
    ) -> Option<Shape> {
        if let [
            Statement::Step(Step {
                label: None,
                kind: StepKind::Call(call),
                ..
            }),
        ] = body.statements.as_slice()
            && ops::find(&call.name.value).is_none()
            && self.is_block(call)
        {
            return self.block_at(call, path, shape, nodes);
        }
        self.scope(kind, path, shape, nodes, |this, shape, inner| {
            this.body(body, shape, inner)
        })
    }

    fn residual(
        &mut self,
        head: Span,
        args: &'f [Arg],
        (body, shortcut): (&'f Body, Option<&'f Body>),
        shape: Option<Shape>,
        nodes: &mut Vec<Node>,
    ) -> Option<Shape> {
        let args = ops::read(ops::RESIDUAL, args, &self.env, self.diagnostics);
        let (mut main, mut skip) = (Vec::new(), Vec::new());
        let output = self.body(body, shape, &mut main);
        let other = match shortcut {
            Some(shortcut) => self.body(shortcut, shape, &mut skip),
            None => shape,
        };
        let (args, input, output, other) = (args?, shape?, output?, other?);
        if main.is_empty() {
            self.diagnostics.push(
                Diagnostic::error(Code::Empty, head, "this residual connection has no layers")
                    .help("add layers or remove it"),
            );
            return None;
        }
        if self.contradicts_skip(&args, shortcut, head) {
            return None;
        }
        if input != output && args.word("skip", "always") == "on_same_shape" {
            nodes.extend(main);
            return Some(output);
        }
        let project = match args.word("project", "never") {
            "always" => true,
            "on_shape_change" => input != output,
            _ => false,
        };
        match shortcut {
            Some(_) if args.get("project").is_some() => {
                let span = args.span("project").unwrap_or(head);
                let text = "a residual connection has a projection or a shortcut, not both";
                self.diagnostics
                    .push(Diagnostic::error(Code::SurplusArgument, span, text).help("remove one of them"));
                return None;
            }
            Some(shortcut) if other != output => {
                self.shapes_differ(
                    head,
                    ("the body", output, body.span),
                    ("the shortcut", other, Some(shortcut.span)),
                );
                return None;
            }
            None if project => self.project(head, &args, input, output, &mut skip)?,
            None if input != output => {
                self.shapes_differ(head, ("the body", output, body.span), ("the input", input, None));
                return None;
            }
            _ => {}
        }
        let arm = |name, nodes| Arm { name, nodes, output };
        nodes.push(Node::Join(Join {
            op: Op::new(Add),
            layer: None,
            arms: vec![arm("main", main), arm("skip", skip)],
            output,
        }));
        Some(output)
    }

    /// Whether a connection whose input is added only to an output of its shape says what else to add: reported.
    fn contradicts_skip(&mut self, args: &Args, shortcut: Option<&Body>, head: Span) -> bool {
        let (span, what) = match (args.span("project"), shortcut) {
            _ if args.word("skip", "always") == "always" => return false,
            (Some(span), _) => (span, "`project`"),
            (None, Some(_)) => (args.span("skip").unwrap_or(head), "a shortcut"),
            (None, None) => return false,
        };
        let text = format!("`skip = on_same_shape` adds nothing to another shape, so that {what} has no effect");
        self.diagnostics
            .push(Diagnostic::error(Code::SurplusArgument, span, text).help("remove one of them"));
        true
    }

    fn shapes_differ(
        &mut self,
        head: Span,
        (one, a, one_at): (&str, Shape, Span),
        (two, b, two_at): (&str, Shape, Option<Span>),
    ) {
        let (a, b) = (in_words(a), in_words(b));
        let text = format!("{a} and {b} cannot be added");
        let help = match two_at {
            Some(_) => "make body and shortcut produce the same shape",
            None => "write `residual(project = on_shape_change)`, or make the shapes equal",
        };
        let mut diagnostic = Diagnostic::error(Code::ShapesDiffer, head, text)
            .label(match two_at {
                Some(_) => "body and shortcut differ".to_owned(),
                None => format!("{two} is {b}"),
            })
            .and(
                Span {
                    start: one_at.start,
                    end: one_at.start + 1,
                },
                format!("{one} gives {a}"),
            );
        if let Some(at) = two_at {
            diagnostic = diagnostic.and(
                Span {
                    start: at.start,
                    end: at.start + 1,
                },
                format!("{two} gives {b}"),
            );
        }
        self.diagnostics.push(diagnostic.help(help));
    }

    /// The 1x1 convolution (He et al. 2016, option B), with batch norm unless `norm = false`.
    fn project(&mut self, head: Span, args: &Args, input: Shape, output: Shape, skip: &mut Vec<Node>) -> Option<()> {
        let Some(conv) = projection(input, output) else {
            let (input, output) = (in_words(input), in_words(output));
            let text = format!("no 1x1 convolution maps {input} to {output}");
            self.diagnostics.push(
                Diagnostic::error(Code::CannotProject, head, text)
                    .label(format!("the input is {input}, the body gives {output}"))
                    .help("write the shortcut explicitly: `residual { ... } shortcut { ... }`"),
            );
            return None;
        };
        let path = self.level().unnamed("project", head);
        self.levels.push(Level::new(path));
        let path = self.level().unnamed("conv", head);
        let mut shape = self.add_layer(path, Op::new(conv), input, output, head, skip);
        if args.flag("norm", true) {
            let path = self.level().unnamed("batch_norm", head);
            let norm = Op::new(BatchNorm::new(output.channels()));
            shape = shape.and_then(|shape| self.add_layer(path, norm, shape, shape, head, skip));
        }
        self.levels.pop();
        shape.map(|_| ())
    }
}
