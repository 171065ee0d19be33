//! Loops: repetitions whose count is an argument of the forward pass.
//!
//! The body is elaborated once, so that nothing in it can depend on the count: its layers are one set, whose parameters
//! all iterations use.

use super::Elaborator;
use crate::ast::{Body, Expr, UpTo};
use crate::diag::{Code, Diagnostic};
use crate::ir::{Count, Loop, Node, Op, Path, ScopeKind, Shape, ValueId, in_words};
use crate::limits;
use crate::ops;
use crate::source::{Name, Span};
use crate::value::{Value, eval_int};

/// The loops of a network, and where we are in them.
#[derive(Default)]
pub(super) struct Loops {
    /// The counts so far, each with the place of its first loop.
    counts: Vec<(Count, Span)>,
    /// The most iterations of all loops that we are in together; none outside.
    pub(super) iterations: Option<u64>,
    /// The exit of the loop that we are in.
    exit: Option<ExitValue>,
    /// The exits of loops that have ended, whose names the statements around them see.
    pub(super) ended: Vec<(String, Value)>,
}

/// The value of an exit.
struct ExitValue {
    name: String,
    id: ValueId,
}

impl Loops {
    /// The counts, in the order of their first loops.
    pub(super) fn into_counts(self) -> Vec<Count> {
        self.counts.into_iter().map(|(count, _)| count).collect()
    }
}

impl<'f> Elaborator<'f, '_> {
    /// A loop, whose body gives the shape that it takes.
    pub(super) fn run_time_loop(
        &mut self,
        (most, up_to): (&'f Expr, &'f UpTo),
        body: &'f Body,
        label: &Name,
        shape: Option<Shape>,
        nodes: &mut Vec<Node>,
    ) -> Option<Shape> {
        let path = self.named_path(label);
        let most = self.most(most);
        let args = ops::read(ops::LOOP, &up_to.args, &self.env, self.diagnostics);
        let (Some(most), Some(args)) = (most, args) else {
            self.incomplete = true;
            return None;
        };
        let gradients = args.get("gradients").map(|_| args.size("gradients", most));
        if let (Some(at), true) = (args.span("gradients"), gradients > Some(most)) {
            let text = format!(
                "a loop of at most {most} iterations has no gradients through {}",
                args.size("gradients", 0)
            );
            self.diagnostics.push(
                Diagnostic::error(Code::OutOfRange, at, text)
                    .label(format!("must be at most {most}"))
                    .help("without it gradients flow through all iterations"),
            );
        }
        let count = self.count(label, most)?;
        let (scope, exit) = self.loop_body(path, most, body, shape);
        let (Some(Node::Scope(scope)), Some(input)) = (scope, shape) else {
            return None;
        };
        if scope.output != input {
            self.changes_shape(up_to.span, body, input, scope.output);
            return None;
        }
        nodes.push(Node::Loop(Loop {
            count,
            most,
            gradients,
            scope,
            exit,
        }));
        Some(input)
    }

    /// The body as a scope, and its exit.
    fn loop_body(
        &mut self,
        path: Path,
        most: u64,
        body: &'f Body,
        shape: Option<Shape>,
    ) -> (Option<Node>, Option<ValueId>) {
        let iterations = self.loops.iterations.unwrap_or(1).saturating_mul(most);
        let outer = self.loops.iterations.replace(iterations);
        let outer_exit = self.loops.exit.take();
        let mut made = Vec::new();
        self.iteration_at((ScopeKind::Loop, path), body, shape, &mut made);
        self.loops.iterations = outer;
        let exit = std::mem::replace(&mut self.loops.exit, outer_exit);
        let id = exit.map(|ExitValue { name, id }| {
            self.leaves_scope(id);
            self.loops.ended.push((name, Value::Kept(id)));
            id
        });
        (made.pop(), id)
    }

    /// Names the current value as the exit of the loop.
    pub(super) fn exit(&mut self, name: &Name, shape: Option<Shape>, nodes: &mut Vec<Node>) -> Option<Value> {
        let value = self.keep(name, shape, nodes);
        if let Some(shape) = shape.filter(|shape| *shape != Shape::Flat(1)) {
            let text = format!("an exit is one logit per item, not {}", in_words(shape));
            self.diagnostics.push(
                Diagnostic::error(Code::WrongInput, name.span, text)
                    .label(format!("the value here is {}", in_words(shape)))
                    .help("end with a vector of one feature: `global_avg_pool`, `linear(1)`"),
            );
            self.incomplete = true;
            return value;
        }
        if let Some(Value::Kept(id)) = value {
            let name = name.value.clone();
            self.is_used(id);
            self.loops.exit = Some(ExitValue { name, id });
        }
        value
    }

    fn most(&mut self, expr: &Expr) -> Option<u64> {
        let value = eval_int(expr, &self.env, self.diagnostics)?;
        let text = format!("a loop cannot run up to {value} times");
        if value < 1 {
            self.diagnostics.push(
                Diagnostic::error(Code::OutOfRange, expr.span, text)
                    .label("must be at least 1")
                    .help("a loop runs at least once"),
            );
            return None;
        }
        if value > limits::LAYERS as i64 {
            self.diagnostics.push(
                Diagnostic::error(Code::NetworkTooLarge, expr.span, text)
                    .label(format!("must be at most {}", limits::LAYERS))
                    .help("reduce the maximum"),
            );
            return None;
        }
        u64::try_from(value).ok()
    }

    /// The count of this name: loops of one name have one count, and so one maximum.
    fn count(&mut self, label: &Name, most: u64) -> Option<usize> {
        let known = self
            .loops
            .counts
            .iter()
            .position(|(count, _)| count.name == label.value);
        let Some(at) = known else {
            let name = label.value.clone();
            self.loops.counts.push((Count { name, most }, label.span));
            return Some(self.loops.counts.len() - 1);
        };
        let (count, first) = &self.loops.counts[at];
        if count.most == most {
            return Some(at);
        }
        let text = format!(
            "the loops `{}` have one count, but run up to {} and {most} times",
            count.name, count.most
        );
        self.diagnostics.push(
            Diagnostic::error(Code::DuplicateName, label.span, text)
                .label(format!("up to {most} times"))
                .and(*first, format!("up to {} times", count.most))
                .help("give one of them another name, or both the same maximum"),
        );
        self.incomplete = true;
        None
    }

    fn changes_shape(&mut self, at: Span, body: &Body, input: Shape, output: Shape) {
        let (input, output) = (in_words(input), in_words(output));
        let text = format!("an iteration of this loop takes {input} and gives {output}");
        let end = Span::new(body.span.end as usize - 1, body.span.end as usize);
        self.diagnostics.push(
            Diagnostic::error(Code::ShapesDiffer, at, text)
                .label(format!("each iteration receives {input}"))
                .and(end, format!("its body gives {output}"))
                .help("end the body with the shape that it begins with"),
        );
        self.incomplete = true;
    }

    /// Whether a layer may stand here: in a loop none may have running statistics, which differ from iteration to
    /// iteration.
    pub(super) fn fits_loops(&mut self, path: &Path, op: &Op, span: Span) -> bool {
        let has_statistics = op.tensors().iter().any(|tensor| !tensor.trainable);
        if self.loops.iterations.is_none() || !has_statistics {
            return true;
        }
        let text = format!("`{path}` has running statistics, which the iterations of a loop cannot share");
        self.diagnostics.push(
            Diagnostic::error(Code::WrongInput, span, text)
                .label("its statistics differ from iteration to iteration")
                .help("use `layer_norm` or another norm without them, or a repetition with a fixed count: `repeat n`"),
        );
        false
    }
}
