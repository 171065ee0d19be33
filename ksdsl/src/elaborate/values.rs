//! Values with names: `keep`, `set` and `from`, and values that operations of several inputs join.

use super::Elaborator;
use crate::ast::{Expr, ExprKind};
use crate::diag::{Code, Diagnostic};
use crate::ir::{Kept, Node, Shape, ValueId, in_words};
use crate::source::{Name, Span};
use crate::value::{Value, eval};
use std::collections::HashSet;

/// A value and where it is in scope.
pub(super) struct Known {
    kept: Kept,
    /// Where its name stands.
    span: Span,
    /// The number of scopes around it.
    depth: usize,
    /// Whether a step goes on from it.
    used: bool,
}

/// The values from outside that a scope uses.
#[derive(Default)]
pub(super) struct Frame {
    takes: Vec<ValueId>,
    sets: Vec<ValueId>,
}

impl Elaborator<'_, '_> {
    /// Names the current value; what its name stands for.
    pub(super) fn keep(&mut self, name: &Name, shape: Option<Shape>, nodes: &mut Vec<Node>) -> Option<Value> {
        let shape = shape?;
        let id = self.values.len();
        self.values.push(Known {
            kept: Kept {
                name: name.value.clone(),
                shape,
            },
            span: name.span,
            depth: self.frames.len(),
            used: false,
        });
        nodes.push(Node::Keep(id));
        Some(Value::Kept(id))
    }

    /// Gives a name that exists the current value.
    pub(super) fn set(&mut self, target: &Expr, shape: Option<Shape>, nodes: &mut Vec<Node>) {
        let (Some(id), Some(shape)) = (self.value(target), shape) else {
            self.incomplete = true;
            return;
        };
        let known = &self.values[id];
        if known.kept.shape != shape {
            let name = &known.kept.name;
            let (old, new) = (in_words(known.kept.shape), in_words(shape));
            let text = format!("`{name}` is {old} and cannot become {new}");
            self.diagnostics.push(
                Diagnostic::error(Code::ShapesDiffer, self.place(target.span), text)
                    .label(format!("the value here is {new}"))
                    .and(known.span, format!("`{name}` was {old} here"))
                    .help("give it the same shape, or name the new value with `keep`"),
            );
            self.incomplete = true;
            return;
        }
        self.touch(id, true);
        nodes.push(Node::Set(id));
    }

    /// Goes on from a value.
    pub(super) fn from(&mut self, source: &Expr, nodes: &mut Vec<Node>) -> Option<Shape> {
        let Some(id) = self.value(source) else {
            self.incomplete = true;
            return None;
        };
        self.values[id].used = true;
        self.touch(id, false);
        nodes.push(Node::From(id));
        Some(self.values[id].kept.shape)
    }

    /// The value that an expression stands for; reported if it is none.
    fn value(&mut self, expr: &Expr) -> Option<ValueId> {
        match eval(expr, &self.env, self.diagnostics)? {
            Value::Kept(id) => Some(id),
            // In an operation of several inputs the checks have reported it.
            _ if matches!(expr.kind, ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_)) => None,
            other => {
                let text = format!("{} is no value of the forward pass", other.described());
                self.diagnostics.push(
                    Diagnostic::error(Code::WrongType, self.place(expr.span), text)
                        .help("name a value with `keep` and give that name"),
                );
                None
            }
        }
    }

    /// Notes a use in all scopes that the value comes to from outside.
    fn touch(&mut self, id: ValueId, sets: bool) {
        let depth = self.values[id].depth;
        for frame in &mut self.frames[depth..] {
            let lists = [Some(&mut frame.takes), sets.then_some(&mut frame.sets)];
            for list in lists.into_iter().flatten().filter(|list| !list.contains(&id)) {
                list.push(id);
            }
        }
    }

    /// Opens a scope.
    pub(super) fn open_frame(&mut self) {
        self.frames.push(Frame::default());
    }

    /// Closes a scope: the values that it takes from outside, and those of them that it sets.
    pub(super) fn close_frame(&mut self) -> (Vec<ValueId>, Vec<ValueId>) {
        self.frames
            .pop()
            .map(|frame| (frame.takes, frame.sets))
            .unwrap_or_default()
    }

    /// All values. Those that no step goes on from are reported, once for each place.
    pub(super) fn finish_values(&mut self) -> Vec<Kept> {
        let values = std::mem::take(&mut self.values);
        let used: HashSet<Span> = values
            .iter()
            .filter(|value| value.used)
            .map(|value| value.span)
            .collect();
        if !self.incomplete {
            for value in values.iter().filter(|value| !used.contains(&value.span)) {
                let text = format!("the value `{}` is never used", value.kept.name);
                let help = "use it in `from` or in an operation such as `add`, or remove it";
                self.diagnostics
                    .push(Diagnostic::warning(Code::Unused, value.span, text).help(help));
            }
        }
        values.into_iter().map(|value| value.kept).collect()
    }
}
