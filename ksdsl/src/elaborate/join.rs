//! Operations of several inputs: paths and what joins them.

use super::shapes::product;
use super::{Elaborator, Level};
use crate::ast::{Arg, Call, Expr, ExprKind};
use crate::diag::{Code, Diagnostic};
use crate::ir::{Arm, Join, LayerId, Node, Op, Shape, in_words};
use crate::ops::{self, Args, Clash, LayerDef, Problem};
use crate::source::{Name, Span};

type Resolve = fn(&Args, &[Shape]) -> Result<Op, Problem>;

impl<'f> Elaborator<'f, '_> {
    pub(super) fn join_call(
        &mut self,
        (layer, resolve): (&'static LayerDef, Resolve),
        call: &'f Call,
        label: Option<&Name>,
        shape: Option<Shape>,
        nodes: &mut Vec<Node>,
    ) -> Option<Shape> {
        let labelled = label.map(|label| self.named_path(label));
        let inside = labelled.is_some();
        self.levels.extend(labelled.map(Level::new));
        let named: Vec<Arg> = call.args.iter().filter(|arg| arg.name.is_some()).cloned().collect();
        let args = self.args(layer, &named, shape);
        let arms = self.arms(call, shape);
        let output = match (args, arms) {
            (Some(args), Some(arms)) => self.join(layer, resolve, call, args, arms, nodes),
            _ => None,
        };
        self.incomplete |= output.is_none();
        if inside {
            self.levels.pop();
        }
        output
    }

    /// What a call joins, if each gives a shape: its paths or, without any, the current value; then the values that
    /// it names.
    fn arms(&mut self, call: &'f Call, shape: Option<Shape>) -> Option<Vec<Arm>> {
        let mut arms = match call.paths {
            Some(_) => self.path_arms(call, shape),
            None => shape.map(|output| vec![arm(Vec::new(), output)]),
        };
        for value in call.values() {
            let mut nodes = Vec::new();
            let output = self.operand(value, &mut nodes);
            arms = arms.zip(output).map(|(mut arms, output)| {
                arms.push(arm(nodes, output));
                arms
            });
        }
        arms
    }

    /// Goes on from the value that an argument names.
    fn operand(&mut self, arg: &'f Arg, nodes: &mut Vec<Node>) -> Option<Shape> {
        match arg.value.sizes.as_slice() {
            // The checks have reported it.
            [source] if self.is_layer(source) => None,
            [source] => self.from(source, nodes),
            _ => {
                let text = "an operation of several inputs joins values with names";
                self.diagnostics
                    .push(Diagnostic::error(Code::WrongType, arg.value.span, text));
                None
            }
        }
    }

    /// Whether an expression is a layer or a block, written out.
    fn is_layer(&self, expr: &Expr) -> bool {
        let (ExprKind::Name(name) | ExprKind::Function(Name { value: name, .. }, _)) = &expr.kind else {
            return false;
        };
        let is_known = ops::find(name).is_some() || self.blocks.contains_key(name.as_str());
        is_known && !self.env.hides(name, &self.words)
    }

    fn path_arms(&mut self, call: &'f Call, shape: Option<Shape>) -> Option<Vec<Arm>> {
        let path_arm = |this: &mut Self, path: &'f crate::ast::PathArm| {
            let labelled = path.label.as_ref().map(|label| this.named_path(label));
            let inside = labelled.is_some();
            this.levels.extend(labelled.map(Level::new));
            let mut nodes = Vec::new();
            let output = this.body(&path.body, shape, &mut nodes);
            if inside {
                this.levels.pop();
            }
            Some(arm(nodes, output?))
        };
        let arms: Vec<Option<Arm>> = call.paths().iter().map(|path| path_arm(self, path)).collect();
        // The checks have reported a wrong number of paths.
        arms.into_iter().collect()
    }

    fn join(
        &mut self,
        layer: &'static LayerDef,
        resolve: Resolve,
        call: &'f Call,
        args: Args,
        mut arms: Vec<Arm>,
        nodes: &mut Vec<Node>,
    ) -> Option<Shape> {
        let [least, most] = layer.paths()?;
        let shapes: Vec<Shape> = arms.iter().map(|arm| arm.output).collect();
        if !(least..=most).contains(&shapes.len()) {
            return None;
        }
        arms.extend(self.named_values(&args));
        let shapes: Vec<Shape> = arms.iter().map(|arm| arm.output).collect();
        let resolved = resolve(&args, &shapes).and_then(|op| {
            let refused = shapes.iter().find(|shape| !op.accepts(**shape));
            let refused = refused.map(|shape| ops::not_taken(layer.name, *shape));
            refused.map_or_else(|| Ok((op.output_of(&shapes)?, op)), Err)
        });
        let (output, op) = match resolved {
            Ok(resolved) => resolved,
            Err(problem) => {
                self.report_join(problem, layer, call, &args, shapes[0]);
                return None;
            }
        };
        if product(&output.sizes()).is_none() {
            self.too_many_elements("the paths give", &output.sizes(), self.span);
            return None;
        }
        let is_layer = !op.tensors().is_empty() || op.macs(output) > 0;
        let layer = is_layer.then(|| {
            let span = self.place(call.span);
            let path = self.level().unnamed(layer.name, span);
            self.push_layer(path, op.clone(), shapes[0], output, span);
            self.layers.len() - 1
        });
        self.push_join(op, layer, arms, output, nodes)
    }

    /// The values that arguments name, as further inputs.
    pub(super) fn named_values(&mut self, args: &Args) -> Vec<Arm> {
        let value = |(_, id)| {
            let mut nodes = Vec::new();
            let output = self.go_on_from(id, &mut nodes);
            arm(nodes, output)
        };
        args.given_values().map(value).collect()
    }

    /// Adds the join of these branches, the layer of this number if it is one.
    pub(super) fn push_join(
        &mut self,
        op: Op,
        layer: Option<LayerId>,
        mut arms: Vec<Arm>,
        output: Shape,
        nodes: &mut Vec<Node>,
    ) -> Option<Shape> {
        for (input, arm) in arms.iter_mut().enumerate() {
            arm.name = op.input_name(input);
        }
        nodes.push(Node::Join(Join {
            op,
            layer,
            arms,
            output,
        }));
        (!self.aborted).then_some(output)
    }

    fn report_join(&mut self, problem: Problem, layer: &LayerDef, call: &Call, args: &Args, input: Shape) {
        let Some(Clash { joined, so_far, next }) = problem.clash.as_deref().copied() else {
            let path = self.level().path.join(crate::ir::Segment::Name(layer.name.to_owned()));
            return self.report(problem, &path, input, args, self.place(call.span));
        };
        let (a, b) = (in_words(so_far), in_words(next));
        let first = match (joined, call.paths.is_some()) {
            (1, true) => format!("this path gives {a}"),
            (1, false) => format!("the value here is {a}"),
            (count, _) => format!("the first {count} inputs give {a} together"),
        };
        let second = match joined < call.paths().len() {
            true => format!("this path gives {b}"),
            false => format!("this value is {b}"),
        };
        self.diagnostics.push(
            Diagnostic::error(problem.code, input_place(call, joined), problem.message)
                .label(second)
                .and(input_place(call, 0), first)
                .maybe_help(problem.help),
        );
    }
}

pub(super) fn arm(nodes: Vec<Node>, output: Shape) -> Arm {
    Arm {
        name: "path",
        nodes,
        output,
    }
}

/// Where an input of a call stands: the brace that opens a path, the name of a value, or the name of the operation for
/// the current value.
fn input_place(call: &Call, input: usize) -> Span {
    if let Some(path) = call.paths().get(input) {
        let start = path.body.span.start;
        return Span { start, end: start + 1 };
    }
    let paths = call.paths.as_ref().map_or(1, Vec::len);
    let value = input.checked_sub(paths).and_then(|value| call.values().nth(value));
    value.map_or(call.name.span, |arg| arg.value.span)
}
