//! The network itself: values of parameters, inputs, the statements at the top level.

use super::shapes::product;
use super::{Elaborator, KnownBlock, callees};
use crate::ast::{Body, Dims, Expr, Net, Param, Statement};
use crate::diag::{Code, Diagnostic};
use crate::ir::Shape;
use crate::limits;
use crate::source::Span;
use crate::value::{Current, Env, Value, eval, eval_int};
use std::collections::HashMap;
use std::rc::Rc;

impl<'f> Elaborator<'f, '_> {
    /// Gives the network's parameters their values: the given one, else the default.
    pub(super) fn bind_params(
        &mut self,
        params: &'f [Param],
        values: &HashMap<String, Option<Value>>,
    ) -> Vec<(String, Value)> {
        let mut bound = Vec::new();
        for param in params {
            let value = match (values.get(&param.name.value), &param.default) {
                (Some(value), _) => value.clone(),
                (None, Some(default)) => eval(default, &self.net_env, self.diagnostics),
                (None, None) => None,
            };
            Rc::make_mut(&mut self.net_env).bind(&param.name.value, value.clone());
            bound.extend(value.map(|value| (param.name.value.clone(), value)));
        }
        bound
    }

    /// The statements of the network itself.
    pub(super) fn net_body(&mut self, body: &'f Body) -> Option<()> {
        self.define_blocks(body);
        let mut shape = self.find_inputs(body);
        for statement in &body.statements {
            if self.aborted {
                break;
            }
            match statement {
                Statement::Let(name, value) => {
                    self.env = Env::default();
                    let env = Rc::make_mut(&mut self.net_env);
                    env.set_current(callees::current(shape));
                    let value = eval(value, env, self.diagnostics);
                    env.bind(&name.value, value);
                    env.set_current(Current::Nowhere);
                }
                Statement::Share(share) => self.shares.push(share),
                Statement::Input(..) | Statement::Block(_) => {}
                Statement::Output(name) => {
                    let mut nodes = std::mem::take(&mut self.nodes);
                    self.output(name, shape, &mut nodes);
                    self.nodes = nodes;
                }
                Statement::Keep(name) => {
                    let mut nodes = std::mem::take(&mut self.nodes);
                    let value = self.keep(name, shape, &mut nodes);
                    self.nodes = nodes;
                    self.env = Env::default();
                    Rc::make_mut(&mut self.net_env).bind(&name.value, value);
                }
                Statement::Stage(..)
                | Statement::Step(_)
                | Statement::Set(_)
                | Statement::Exit(_)
                | Statement::Invalid(_) => {
                    self.env = Env::inside(Rc::clone(&self.net_env));
                    let mut nodes = std::mem::take(&mut self.nodes);
                    shape = self.statement(statement, shape, &mut nodes);
                    self.nodes = nodes;
                    for (name, value) in std::mem::take(&mut self.loops.ended) {
                        self.env = Env::default();
                        Rc::make_mut(&mut self.net_env).bind(&name, Some(value));
                    }
                }
            }
        }
        self.env = Env::default();
        self.output = shape;
        (!self.aborted).then_some(())
    }

    fn define_blocks(&mut self, body: &'f Body) {
        for statement in &body.statements {
            if let Statement::Block(block) = statement {
                self.blocks
                    .entry(&block.name.value)
                    .or_insert(KnownBlock { block, in_net: true });
            }
        }
    }

    /// Reads the inputs. The first is the current value at the beginning, those that have names are values.
    fn find_inputs(&mut self, body: &'f Body) -> Option<Shape> {
        // `input` may use constants, which must be defined before it.
        let mut env = Env::inside(Rc::clone(&self.net_env));
        let mut first: Option<Option<Shape>> = None;
        for statement in &body.statements {
            match statement {
                Statement::Let(name, value) => {
                    let value = eval(value, &env, self.diagnostics);
                    env.bind(&name.value, value);
                }
                Statement::Input(input) => {
                    let shape = match &input.vocabulary {
                        Some(vocabulary) => self.ids_shape(&input.dims, vocabulary, &env),
                        None => self.input_shape(&input.dims, input.signal, &env),
                    };
                    self.input(input.name.as_ref(), shape, first.is_none());
                    if first.is_none() {
                        env.set_current(callees::current(shape));
                    }
                    first.get_or_insert(shape);
                }
                // Sizes after a step are not known yet.
                Statement::Step(_) | Statement::Stage(..) => env.set_current(Current::Unknown),
                _ => {}
            }
        }
        first.flatten()
    }

    fn input_shape(&mut self, dims: &Dims, signal: Option<Span>, env: &Env) -> Option<Shape> {
        let sizes: Vec<_> = dims.sizes.iter().map(|size| self.dimension(size, env)).collect();
        match (sizes.into_iter().collect::<Option<Vec<u64>>>()?.as_slice(), signal) {
            ([channels, length], Some(_)) if product(&[*channels, *length]).is_some() => Some(Shape::Signal {
                channels: *channels,
                length: *length,
            }),
            (sizes @ ([_] | [_, _, _, ..]), Some(signal)) => {
                let text = format!("a signal has two sizes, not {}", sizes.len());
                let help = "write `input channels x length as signal`";
                self.diagnostics
                    .push(Diagnostic::error(Code::Input, signal, text).help(help));
                None
            }
            (sizes, _) => self.plain_input_shape(sizes, dims),
        }
    }

    fn plain_input_shape(&mut self, sizes: &[u64], dims: &Dims) -> Option<Shape> {
        match sizes {
            [features] => Some(Shape::Flat(*features)),
            [length, features] if product(&[*length, *features]).is_some() => Some(Shape::Tokens {
                length: *length,
                features: *features,
            }),
            [channels, height, width] if product(&[*channels, *height, *width]).is_some() => Some(Shape::Map {
                channels: *channels,
                height: *height,
                width: *width,
            }),
            sizes @ ([_, _] | [_, _, _]) => {
                self.too_many_elements("the input is", sizes, dims.span);
                None
            }
            sizes => {
                let text = format!("an input has one, two or three sizes, not {}", sizes.len());
                self.diagnostics.push(
                    Diagnostic::error(Code::Input, dims.span, text).help(
                        "write `input channels x height x width`, `input features`, or `input tokens x features`",
                    ),
                );
                None
            }
        }
    }

    /// The shape of token ids.
    fn ids_shape(&mut self, dims: &Dims, vocabulary: &Expr, env: &Env) -> Option<Shape> {
        let vocabulary = self.dimension(vocabulary, env);
        let [length] = dims.sizes.as_slice() else {
            let text = "token ids have one size, the number of tokens";
            self.diagnostics
                .push(Diagnostic::error(Code::Input, dims.span, text).help("write `input tokens of vocabulary`"));
            return None;
        };
        Some(Shape::Ids {
            length: self.dimension(length, env)?,
            vocabulary: vocabulary?,
        })
    }

    fn dimension(&mut self, expr: &Expr, env: &Env) -> Option<u64> {
        let value = eval_int(expr, env, self.diagnostics)?;
        if (1..=limits::DIMENSION).contains(&value) {
            return u64::try_from(value).ok();
        }
        self.diagnostics.push(
            Diagnostic::error(Code::OutOfRange, expr.span, format!("a size cannot be {value}"))
                .label(format!("must be between 1 and {}", limits::DIMENSION)),
        );
        None
    }

    pub(super) fn finish(&mut self, net: &Net) -> Option<()> {
        self.inputs.first()?;
        if self.layers.is_empty() && !self.diagnostics.has_errors() {
            let text = format!("network `{}` has no layers", net.name.value);
            self.diagnostics
                .push(Diagnostic::error(Code::Empty, net.name.span, text).help("add a stage or a layer"));
            return None;
        }
        Some(())
    }
}
