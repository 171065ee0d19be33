//! Runs the methods of structs.

use super::module::Module;
use super::{Object, Value, tensor, text};
use crate::expected::{INTO_SIGNAL, INTO_TOKENS, READ_SIGNAL, READ_TOKENS};
use crate::graph::{self, Graph};
use std::collections::HashMap;
use std::rc::Rc;
use syn::{Expr, Pat, Stmt};

pub(super) type Env = HashMap<String, Value>;

pub(super) struct Run<'m, 'g> {
    module: &'m Module,
    pub(super) graph: &'g mut Graph,
}

impl<'m, 'g> Run<'m, 'g> {
    pub(super) fn new(module: &'m Module, graph: &'g mut Graph) -> Self {
        Run { module, graph }
    }

    pub(super) fn method(&mut self, object: &Value, name: &str, args: Vec<Value>) -> Value {
        let Value::Object(inner) = object else {
            panic!("`{name}` of no object")
        };
        let module = self.module;
        let method = &module.methods[&(inner.of.clone(), name.to_owned())];
        let mut env = Env::from([("self".to_owned(), object.clone())]);
        let inputs: Vec<&syn::PatType> = method
            .sig
            .inputs
            .iter()
            .filter_map(|input| match input {
                syn::FnArg::Typed(typed) => Some(typed),
                syn::FnArg::Receiver(_) => None,
            })
            .collect();
        assert_eq!(inputs.len(), args.len(), "arguments of {}::{name}", inner.of);
        for (input, value) in inputs.iter().zip(args) {
            bind(&input.pat, value, &mut |name, value| drop(env.insert(name, value)));
        }
        self.block(&method.block, &mut env, None)
    }

    fn block(&mut self, block: &syn::Block, env: &mut Env, ty: Option<&str>) -> Value {
        // What the block declares ends with it, what it assigns stays.
        let mut declared: Vec<(String, Option<Value>)> = Vec::new();
        let mut value = Value::Nothing;
        for statement in &block.stmts {
            value = Value::Nothing;
            match statement {
                Stmt::Local(local) => {
                    let init = &local.init.as_ref().expect("a value").expr;
                    let (pattern, ty) = match &local.pat {
                        Pat::Type(typed) => (&*typed.pat, Some(text(&typed.ty))),
                        pattern => (pattern, None),
                    };
                    let value = self.eval(init, env, ty.as_deref());
                    bind(pattern, value, &mut |name, value| {
                        let hidden = env.insert(name.clone(), value);
                        declared.push((name, hidden));
                    });
                }
                Stmt::Expr(Expr::ForLoop(repeat), _) => self.repeat(repeat, env),
                Stmt::Expr(Expr::Assign(assign), _) => {
                    let new = self.eval(&assign.right, env, None);
                    let old = env.insert(text(&assign.left), new);
                    assert!(old.is_some(), "no variable `{}`", text(&assign.left));
                }
                Stmt::Expr(expr, _) => value = self.eval(expr, env, ty),
                other => panic!("{}", text(other)),
            }
        }
        for (name, hidden) in declared.into_iter().rev() {
            match hidden {
                Some(value) => env.insert(name, value),
                None => env.remove(&name),
            };
        }
        value
    }

    fn repeat(&mut self, repeat: &syn::ExprForLoop, env: &mut Env) {
        let Value::List(items) = self.eval(&repeat.expr, env, None) else {
            panic!("no list")
        };
        for item in items {
            env.insert(text(&repeat.pat), item);
            self.block(&repeat.body, env, None);
        }
    }

    /// The value of an expression, which is to be of a type that may be given.
    pub(super) fn eval(&mut self, expr: &Expr, env: &mut Env, ty: Option<&str>) -> Value {
        match expr {
            Expr::Try(inner) => self.eval(&inner.expr, env, ty),
            Expr::Reference(inner) => self.eval(&inner.expr, env, ty),
            Expr::Paren(inner) => self.eval(&inner.expr, env, ty),
            Expr::Block(inner) => self.block(&inner.block, env, ty),
            Expr::Path(path) => match text(path).as_str() {
                "rt::NoBias" => Value::Nothing,
                name => env.get(name).cloned().unwrap_or_else(|| panic!("no variable `{name}`")),
            },
            Expr::Tuple(tuple) => {
                let items = tuple.elems.iter().map(|item| self.eval(item, env, None));
                Value::List(items.collect())
            }
            Expr::Lit(literal) => Value::Number(text(literal).parse().expect("a number")),
            Expr::Field(field) => {
                let Value::Object(object) = self.eval(&field.base, env, None) else {
                    panic!("{}", text(expr))
                };
                let name = text(&field.member);
                object
                    .fields
                    .get(&name)
                    .unwrap_or_else(|| panic!("{} has no {name}", object.of))
                    .clone()
            }
            Expr::Struct(built) => {
                let value = |field: &syn::FieldValue| (text(&field.member), self.eval(&field.expr, env, None));
                let fields: HashMap<String, Value> = built.fields.iter().map(value).collect();
                let of = text(&built.path);
                assert_eq!(fields.len(), self.module.fields[&of].len(), "fields of {of}");
                Value::Object(Rc::new(Object { of, fields }))
            }
            Expr::MethodCall(call) => self.method_call(call, env),
            Expr::Call(call) => self.call(call, env, ty),
            other => panic!("{}", text(other)),
        }
    }

    /// A method of the pass: inputs become activations, those of several after their batches are compared.
    fn pass(&mut self, method: &str, call: &syn::ExprMethodCall, env: &mut Env) -> Value {
        if method == "same_batch" {
            let batches = text(&call.args[0]);
            let sizes = batches.split("input.").skip(1);
            let compared: Vec<&str> = sizes.filter_map(|size| size.split(')').next()).collect();
            let fields = self.module.fields["Input"].iter().map(|(name, _)| name.as_str());
            assert_eq!(compared, fields.collect::<Vec<_>>(), "{batches}");
            return Value::Nothing;
        }
        let input = self.eval(&call.args[0], env, None);
        match method {
            "read" => input,
            "read_tokens" => Value::Tensor(self.graph.add(READ_TOKENS, &[tensor(&input)])),
            "read_signal" => Value::Tensor(self.graph.add(READ_SIGNAL, &[tensor(&input)])),
            _ => panic!("{}", text(call)),
        }
    }

    fn method_call(&mut self, call: &syn::ExprMethodCall, env: &mut Env) -> Value {
        let method = call.method.to_string();
        if matches!(&*call.receiver, Expr::Path(path) if text(path) == "pass") {
            return self.pass(&method, call, env);
        }
        if matches!(&*call.receiver, Expr::Path(path) if text(path) == "tape") {
            assert!(matches!(method.as_str(), "first" | "other"));
            return self.eval(&call.args[0], env, None);
        }
        let receiver = self.eval(&call.receiver, env, None);
        match (method.as_str(), &receiver) {
            ("map", Value::List(items)) => {
                let Expr::Closure(closure) = &call.args[0] else {
                    panic!("no closure")
                };
                let mut env = env.clone();
                let mapped = items.iter().map(|item| {
                    env.insert(text(&closure.inputs), item.clone());
                    self.eval(&closure.body, &mut env, None)
                });
                Value::List(mapped.collect())
            }
            ("iter" | "collect", Value::List(_)) | ("into_tensor" | "context_mut", Value::Tensor(_)) => receiver,
            ("into_tokens", Value::Tensor(x)) => Value::Tensor(self.graph.add(INTO_TOKENS, &[*x])),
            ("into_signal", Value::Tensor(x)) => Value::Tensor(self.graph.add(INTO_SIGNAL, &[*x])),
            ("again" | "after", Value::Tensor(_)) => receiver,
            ("fork", Value::Tensor(_)) => Value::List(vec![receiver.clone(), receiver]),
            ("visit", Value::Bank(visits)) => visits.borrow_mut().pop_front().expect("one more visit"),
            ("apply", Value::Norm { key, batch }) => {
                let args: Vec<Value> = call.args.iter().map(|arg| self.eval(arg, env, None)).collect();
                let op = match (batch, args.as_slice()) {
                    (true, [_, _, Value::Number(eps), Value::Number(momentum)]) => {
                        graph::batch_norm(key, *eps, *momentum)
                    }
                    (false, [_, Value::Number(eps)]) => graph::layer_norm(key, *eps),
                    _ => panic!("{}", text(call)),
                };
                let x = tensor(&args[usize::from(*batch)]);
                Value::Tensor(self.graph.add(op, &[x]))
            }
            (_, Value::Object(_)) => {
                let args = call.args.iter().map(|arg| self.eval(arg, env, None)).collect();
                self.method(&receiver, &method, args)
            }
            _ => panic!("{}", text(call)),
        }
    }
}

fn bind(pattern: &Pat, value: Value, declare: &mut impl FnMut(String, Value)) {
    match (pattern, value) {
        (Pat::Ident(ident), value) => declare(ident.ident.to_string(), value),
        (Pat::Tuple(tuple), Value::List(values)) => {
            assert_eq!(tuple.elems.len(), values.len());
            tuple
                .elems
                .iter()
                .zip(values)
                .for_each(|(pattern, value)| bind(pattern, value, declare));
        }
        (pattern, _) => panic!("{}", text(pattern)),
    }
}
