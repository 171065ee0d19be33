//! Operations of several inputs: paths and what joins them.

use super::{Elaborator, Level, product};
use crate::ast::Call;
use crate::diag::Diagnostic;
use crate::ir::{Arm, Join, Node, Op, Shape, in_words};
use crate::ops::{Args, Clash, LayerDef, Problem};
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
        let args = self.args(layer, call);
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

    /// The paths of a call, if each gives a shape and there are as many as there must be.
    fn arms(&mut self, call: &'f Call, shape: Option<Shape>) -> Option<Vec<Arm>> {
        let arm = |this: &mut Self, path: &'f crate::ast::PathArm| {
            let labelled = path.label.as_ref().map(|label| this.named_path(label));
            let inside = labelled.is_some();
            this.levels.extend(labelled.map(Level::new));
            let mut nodes = Vec::new();
            let output = this.body(&path.body, shape, &mut nodes);
            if inside {
                this.levels.pop();
            }
            Some(Arm {
                name: "path",
                nodes,
                output: output?,
            })
        };
        let arms: Vec<Option<Arm>> = call.paths().iter().map(|path| arm(self, path)).collect();
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
        let resolved = resolve(&args, &shapes).and_then(|op| Ok((op.output(&shapes)?, op)));
        let (output, op) = match resolved {
            Ok(resolved) => resolved,
            Err(problem) => {
                self.report_join(problem, layer, call, &args, shapes[0]);
                return None;
            }
        };
        for (input, arm) in arms.iter_mut().enumerate() {
            arm.name = op.input_name(input);
        }
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
        // The brace that opens a path.
        let brace = |path: usize| {
            let start = call
                .paths()
                .get(path)
                .map_or(call.span.start, |path| path.body.span.start);
            Span { start, end: start + 1 }
        };
        let (a, b) = (in_words(so_far), in_words(next));
        let first = match joined {
            1 => format!("this path gives {a}"),
            count => format!("the {count} paths from here on give {a} together"),
        };
        self.diagnostics.push(
            Diagnostic::error(problem.code, brace(joined), problem.message)
                .label(format!("this path gives {b}"))
                .and(brace(0), first)
                .maybe_help(problem.help),
        );
    }
}
