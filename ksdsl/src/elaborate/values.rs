//! Values with names: `keep`, `set` and `from`, and values that operations of several inputs join.

use super::Elaborator;
use crate::ast::{Expr, ExprKind};
use crate::diag::{Code, Diagnostic};
use crate::ir::{Kept, Node, Port, Shape, ValueId, in_words};
use crate::source::{Name, Span};
use crate::value::{Value, eval};
use std::collections::HashSet;
use std::rc::Rc;

/// A value and where it is in scope.
pub(super) struct Known {
    kept: Kept,
    /// Where its name stands.
    span: Span,
    /// The number of scopes around it.
    depth: usize,
    /// Whether a step goes on from it.
    used: bool,
    /// Whether a step names it.
    touched: bool,
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
            touched: false,
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

    /// An input of the network, of which the first is the current value at the beginning.
    pub(super) fn input(&mut self, name: Option<&Name>, shape: Option<Shape>, first: bool) {
        let Some(shape) = shape else {
            self.incomplete = true;
            return;
        };
        let mut port = Port {
            name: name.map(|name| name.value.clone()),
            shape,
            value: None,
        };
        if let Some(name) = name {
            let mut nodes = Vec::new();
            let value = self.keep(name, Some(shape), &mut nodes);
            // The others come from outside with their names.
            if first {
                self.nodes.append(&mut nodes);
            }
            port.value = Some(self.values.len() - 1);
            Rc::make_mut(&mut self.net_env).bind(&name.value, value);
        }
        self.inputs.push(port);
    }

    /// The current value as an output of the network.
    pub(super) fn output(&mut self, name: &Name, shape: Option<Shape>, nodes: &mut Vec<Node>) {
        if self.keep(name, shape, nodes).is_none() {
            return;
        }
        let value = self.values.len() - 1;
        self.values[value].used = true;
        let port = |shape| Port {
            name: Some(name.value.clone()),
            shape,
            value: Some(value),
        };
        self.outputs.extend(shape.map(port));
    }

    /// The outputs: those that have names, or the last value.
    pub(super) fn finish_outputs(&mut self) -> Vec<Port> {
        let last = self.output.or(self.inputs.first().map(|first| first.shape));
        if let (true, Some(shape)) = (self.outputs.is_empty(), last) {
            self.outputs.push(Port {
                name: None,
                shape,
                value: None,
            });
        }
        std::mem::take(&mut self.outputs)
    }

    /// Goes on from a value.
    pub(super) fn from(&mut self, source: &Expr, nodes: &mut Vec<Node>) -> Option<Shape> {
        let Some(id) = self.value(source) else {
            self.incomplete = true;
            return None;
        };
        Some(self.go_on_from(id, nodes))
    }

    /// Goes on from a known value.
    pub(super) fn go_on_from(&mut self, id: ValueId, nodes: &mut Vec<Node>) -> Shape {
        self.values[id].used = true;
        self.touch(id, false);
        nodes.push(Node::From(id));
        self.values[id].kept.shape
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
        self.values[id].touched = true;
        let depth = self.values[id].depth;
        for frame in &mut self.frames[depth..] {
            let lists = [Some(&mut frame.takes), sets.then_some(&mut frame.sets)];
            for list in lists.into_iter().flatten().filter(|list| !list.contains(&id)) {
                list.push(id);
            }
        }
    }

    /// Says that a value needs no step that goes on from it.
    pub(super) fn is_used(&mut self, id: ValueId) {
        self.values[id].used = true;
    }

    /// Makes a value of the scope that has ended one of the scope around it.
    pub(super) fn leaves_scope(&mut self, id: ValueId) {
        self.values[id].depth = self.frames.len();
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
        let mut values = std::mem::take(&mut self.values);
        // The first input need not be used by its name.
        if let Some(first) = self.inputs.first().and_then(|first| first.value)
            && !values[first].touched
        {
            values[first].used = true;
            // There is no such step if an input before it has an error.
            self.nodes
                .retain(|node| !matches!(node, Node::Keep(value) if *value == first));
        }
        let used: HashSet<Span> = values
            .iter()
            .filter(|value| value.used)
            .map(|value| value.span)
            .collect();
        if !self.incomplete && !self.diagnostics.has_errors() {
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
