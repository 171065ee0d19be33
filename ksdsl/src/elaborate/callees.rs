//! Steps that a parameter or a constant stands for, and the sizes of the current value.

use super::Elaborator;
use crate::ast::Call;
use crate::check;
use crate::diag::{Code, Diagnostic};
use crate::ir::{Node, Shape};
use crate::ops::{self, Resolve};
use crate::source::Name;
use crate::value::{Current, Env, Value};
use std::rc::Rc;

/// The sizes that expressions see for a current value of this shape.
pub(super) fn current(shape: Option<Shape>) -> Current {
    match shape {
        None => Current::Unknown,
        Some(Shape::Flat(features)) => Current::Vector { features },
        Some(Shape::Tokens { length, features }) => Current::Tokens {
            length,
            features: Some(features),
        },
        Some(Shape::Ids { length, .. }) => Current::Tokens { length, features: None },
        Some(Shape::Signal { channels, length }) => Current::Signal { channels, length },
        Some(Shape::Map {
            channels,
            height,
            width,
        }) => Current::Map {
            channels,
            height,
            width,
        },
    }
}

impl<'f> Elaborator<'f, '_> {
    /// Carries out a step whose name is a parameter or a constant: the layer or block that it stands for.
    pub(super) fn call_of_value(
        &mut self,
        call: &'f Call,
        label: Option<&Name>,
        shape: Option<Shape>,
        nodes: &mut Vec<Node>,
    ) -> Option<Shape> {
        let callee = self
            .env
            .get(&call.name.value)
            .and_then(|value| self.callee(call, &value));
        let Some((callee, from_value)) = callee else {
            self.incomplete = true;
            return None;
        };
        let Some(layer) = ops::find(&callee.name.value) else {
            let path = match label {
                Some(label) => self.named_path(label),
                None => self.level().next_index(),
            };
            return self.with_env(from_value, |this| this.block_at(&callee, path, shape, nodes));
        };
        self.with_env(from_value, |this| this.layer_call(layer, &callee, label, shape, nodes))
    }

    /// Arguments that a value brings along mean the same wherever it is used.
    fn with_env<T>(&mut self, from_value: bool, run: impl FnOnce(&mut Self) -> T) -> T {
        if !from_value {
            return run(self);
        }
        let env = std::mem::replace(&mut self.env, Env::inside(Rc::clone(&self.words)));
        let result = run(self);
        self.env = env;
        result
    }

    /// The call that a value stands for, and whether its arguments come from there. `None` if it is none, which
    /// is reported.
    fn callee(&mut self, call: &Call, value: &Value) -> Option<(Call, bool)> {
        let (name, args) = match value {
            Value::Word(word) => (word.to_string(), None),
            Value::Call(given) => {
                self.spend(given.values(), call.span);
                (given.name.value.clone(), Some(given.args()))
            }
            other => {
                let text = format!("`{}` is not a layer or block", call.name.value);
                let label = format!("this is {}", other.described());
                let diagnostic = Diagnostic::error(Code::WrongType, call.name.span, text).label(label);
                self.diagnostics.push(match other {
                    Value::Kept(_) => diagnostic.help(format!("write `from {}` to go on from it", call.name.value)),
                    _ => diagnostic,
                });
                return None;
            }
        };
        if args.is_some() && !call.args.is_empty() {
            let text = format!("`{}` has its arguments already: `{value}`", call.name.value);
            self.diagnostics
                .push(Diagnostic::error(Code::SurplusArgument, call.span, text).help("remove these arguments"));
            return None;
        }
        let from_value = args.is_some();
        let callee = Call {
            name: Name::new(name, call.name.span),
            args: args.unwrap_or_else(|| call.args.clone()),
            paths: None,
            span: call.span,
        };
        self.is_callable(&callee, call).then_some((callee, from_value))
    }

    /// Whether a layer or block exists, needs no paths and gets the arguments it wants; reported if not.
    fn is_callable(&mut self, callee: &Call, written: &Call) -> bool {
        let name = &callee.name.value;
        let errors = self.diagnostics.errors();
        let problem = match ops::find(name) {
            Some(layer) if matches!(layer.resolve, Resolve::Join { .. }) => "it joins paths, which must be written out",
            Some(layer) => {
                check::built_in_args(&callee.name, &callee.args, layer.params, self.diagnostics);
                return self.diagnostics.errors() == errors;
            }
            None => match self.blocks.get(name.as_str()) {
                Some(known) => {
                    check::user_args(&callee.name, &callee.args, &known.block.params, self.diagnostics);
                    return self.diagnostics.errors() == errors;
                }
                None => "there is no layer or block of this name",
            },
        };
        let text = format!("`{}` stands for `{name}`, which cannot be called", written.name.value);
        self.diagnostics
            .push(Diagnostic::error(Code::UnknownCall, written.name.span, text).label(problem));
        false
    }

    /// Reports a call of a layer or block whose name a parameter with a layer or block has as well.
    pub(super) fn check_hidden(&mut self, call: &Call) {
        let name = &call.name.value;
        if !self.env.hides(name, &self.words) {
            return;
        }
        if let Some(Value::Word(_) | Value::Call(_)) = self.env.get(name) {
            let text = format!("`{name}` is the name of a layer or block and of a value that stands for one");
            let diagnostic = Diagnostic::error(Code::DuplicateName, call.name.span, text);
            self.diagnostics
                .push(diagnostic.help("give the parameter or the constant another name"));
        }
    }
}
