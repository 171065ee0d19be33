//! Runs an exported module: its constructors make parameters, its forward passes make a graph.

use super::definitions::{Classes, Function, classes, function};
use super::parse::{Expr, Statement, Token, Tokens, statements};
use super::value::{Object, Value, name};
use crate::graph::{self, Graph, Id, Params};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

pub(super) type Env = HashMap<String, Value>;

/// The parameters and buffers of the module in a file, and what it computes.
pub(crate) fn trace(text: &str, graph: &mut Graph) -> (Params, Id) {
    let statements = statements(text);
    let (classes, functions) = (classes(&statements), statements.iter().filter_map(function).collect());
    let model = text
        .lines()
        .filter_map(|line| line.strip_prefix("class "))
        .next_back()
        .expect("a class");
    let model = model.split('(').next().expect("a name").to_owned();
    let mut run = Run {
        classes: &classes,
        functions: &functions,
        graph,
        axes: HashMap::new(),
    };
    let Value::Object(model) = run.construct(&model, Vec::new(), Vec::new()) else {
        panic!("the model is no object")
    };
    let mut params = Params::new();
    name("", &Value::Object(model.clone()), &mut params);
    let inputs = run.class(&model.class)["forward"].formals.len() - 1;
    let input = |at| Value::Tensor(run.graph.add(crate::expected::input_name(at), &[]));
    let inputs = (0..inputs).map(input).collect();
    match run.method(&model, "forward", inputs, Vec::new()) {
        Value::Tensor(output) => (params, output),
        Value::Tuple(outputs) => {
            let outputs: Vec<Id> = outputs.iter().map(|output| run.tensor(output)).collect();
            (params, run.graph.add("outputs", &outputs))
        }
        _ => panic!("the output is no tensor"),
    }
}

pub(super) struct Run<'c, 'g> {
    pub(super) classes: &'c Classes,
    pub(super) functions: &'c BTreeMap<String, Function>,
    pub(super) graph: &'g mut Graph,
    /// The number of axes of parameters and of kernels made of them.
    pub(super) axes: HashMap<Id, usize>,
}

impl<'c> Run<'c, '_> {
    pub(super) fn construct(&mut self, class: &str, args: Vec<Value>, named: Vec<(String, Value)>) -> Value {
        let object = Rc::new(Object::new(class));
        match class {
            "Layer" => named.into_iter().for_each(|(name, value)| object.set(name, value)),
            _ if self.class(class).contains_key("__init__") => {
                self.method(&object, "__init__", args, named);
            }
            _ => assert!(args.is_empty() && named.is_empty(), "arguments for {class}"),
        }
        Value::Object(object)
    }

    pub(super) fn method(
        &mut self,
        object: &Rc<Object>,
        name: &str,
        mut args: Vec<Value>,
        named: Vec<(String, Value)>,
    ) -> Value {
        let function = self.class(&object.class).get(name);
        let function = function.unwrap_or_else(|| panic!("`{}` has no method `{name}`", object.class));
        args.insert(0, Value::Object(object.clone()));
        let mut env = self.bind(function, args, named);
        self.block(&function.body, &mut env)
    }

    /// The methods of a class.
    fn class(&self, name: &str) -> &'c BTreeMap<String, Function> {
        let found = self.classes.get(name);
        found.unwrap_or_else(|| panic!("no class or function `{name}`"))
    }

    /// The variables with which a function begins; each argument is for one, and each has one or a default.
    pub(super) fn bind(&mut self, function: &Function, args: Vec<Value>, named: Vec<(String, Value)>) -> Env {
        let formals = &function.formals;
        assert!(args.len() <= formals.len(), "too many arguments");
        let positional = formals.iter().map(|formal| formal.name.clone()).zip(args);
        let mut env = Env::new();
        for (name, value) in positional.chain(named) {
            assert!(
                formals.iter().any(|formal| formal.name == name),
                "the argument `{name}`"
            );
            assert!(env.insert(name.clone(), value).is_none(), "`{name}` twice");
        }
        for formal in formals {
            if !env.contains_key(&formal.name) {
                let default = formal
                    .default
                    .as_ref()
                    .unwrap_or_else(|| panic!("no `{}`", formal.name));
                let value = self.eval(default, &Env::new());
                env.insert(formal.name.clone(), value);
            }
        }
        env
    }

    /// Runs statements; the value that they return.
    fn block(&mut self, statements: &[Statement], env: &mut Env) -> Value {
        for statement in statements {
            let mut tokens = Tokens {
                tokens: &statement.head,
            };
            match statement.head.as_slice() {
                [Token::Text(_)] => {}
                [Token::Name(word), ..] if word == "return" => {
                    tokens.name();
                    return self.eval(&tokens.list(), env);
                }
                [Token::Name(word), ..] if word == "for" => self.repeat(&mut tokens, &statement.body, env),
                _ => {
                    let target = tokens.list();
                    if tokens.take(":") {
                        tokens.expr();
                    }
                    if tokens.take("=") {
                        let value = self.eval(&tokens.list(), env);
                        self.assign(&target, value, env);
                    } else {
                        self.eval(&target, env);
                    }
                    assert!(tokens.tokens.is_empty(), "{:?}", statement.head);
                }
            }
        }
        Value::None
    }

    fn repeat(&mut self, tokens: &mut Tokens<'_>, body: &[Statement], env: &mut Env) {
        assert_eq!(tokens.name(), "for");
        let target = tokens.list();
        assert_eq!(tokens.name(), "in");
        let items = tokens.expr();
        for value in self.items(&items, env) {
            self.assign(&target, value, env);
            self.block(body, env);
        }
    }

    /// What a loop goes through: `range(...)`, `part.children()` or `part.named_children()`.
    fn items(&mut self, items: &Expr, env: &Env) -> Vec<Value> {
        let Expr::Call(function, args) = items else {
            panic!("{items:?}")
        };
        if let Expr::Attribute(holder, method) = &**function {
            let Value::Object(holder) = self.eval(holder, env) else {
                panic!("{items:?}")
            };
            let item = |(name, part): (String, Value)| match method.as_str() {
                "children" => part,
                "named_children" => Value::Tuple(vec![Value::Text(name), part]),
                other => panic!("the method {other}"),
            };
            return holder.parts().into_iter().map(item).collect();
        }
        assert_eq!(**function, Expr::Name("range".to_owned()));
        let ends: Vec<f64> = args.iter().map(|arg| self.number(&arg.value, env)).collect();
        let (start, end) = match ends[..] {
            [end] => (0.0, end),
            [start, end] => (start, end),
            _ => panic!("{items:?}"),
        };
        (start as u64..end as u64)
            .map(|value| Value::Number(value as f64))
            .collect()
    }

    fn assign(&mut self, target: &Expr, value: Value, env: &mut Env) {
        let (object, name, value) = match (target, value) {
            (Expr::Name(name), value) => {
                env.insert(name.clone(), value);
                return;
            }
            (Expr::Tuple(targets), Value::Tuple(values)) => {
                assert_eq!(targets.len(), values.len(), "{target:?}");
                let pairs = targets.iter().zip(values);
                return pairs.for_each(|(target, value)| self.assign(target, value, env));
            }
            (Expr::Attribute(object, name), value) => (self.eval(object, env), name.clone(), value),
            (Expr::Index(object, index), value) => (self.eval(object, env), self.index(index, env), value),
            (other, _) => panic!("{other:?} = ..."),
        };
        match object {
            Value::Object(object) => object.set(name, value),
            Value::Dict(dict) => {
                let old = dict.borrow_mut().insert(name, value);
                assert!(old.is_none(), "{target:?} twice");
            }
            _ => panic!("{target:?} = ..."),
        }
    }

    /// The name or number in brackets.
    fn index(&mut self, index: &[Expr], env: &Env) -> String {
        let [index] = index else { panic!("{index:?}") };
        let value = self.eval(index, env);
        word(&value)
    }

    pub(super) fn number(&mut self, expr: &Expr, env: &Env) -> f64 {
        match self.eval(expr, env) {
            Value::Number(number) => number,
            _ => panic!("{expr:?} is no number"),
        }
    }

    pub(super) fn tensor(&mut self, value: &Value) -> Id {
        match value {
            Value::Tensor(id) => *id,
            Value::Param(param) => {
                let id = self.graph.param(&param.borrow().key);
                self.axes.insert(id, param.borrow().shape.len());
                id
            }
            _ => panic!("no tensor"),
        }
    }

    pub(super) fn eval(&mut self, expr: &Expr, env: &Env) -> Value {
        match expr {
            Expr::Name(name) if name == "None" || name == "False" => Value::None,
            Expr::Name(name) if name == "True" => Value::Number(1.0),
            Expr::Name(name) => env.get(name).cloned().unwrap_or_else(|| panic!("no variable `{name}`")),
            Expr::Number(number) => Value::Number(*number),
            Expr::Text(text) => Value::Text(text.clone()),
            Expr::Format(parts) => {
                let words = parts.iter().map(|part| word(&self.eval(part, env)));
                Value::Text(words.collect())
            }
            Expr::Negative(inner) => Value::Number(-self.number(inner, env)),
            Expr::Attribute(object, name) => match (self.eval(object, env), name.as_str()) {
                (Value::Object(_), "training") => Value::Text("training".to_owned()),
                (Value::Object(object), name) => object.child(name),
                (Value::Tensor(most), "values") if self.graph.op(most) == "max 1" => {
                    let inputs = self.graph.inputs(most).to_vec();
                    Value::Tensor(self.graph.add(graph::of_tokens("global max_pool"), &inputs))
                }
                (Value::Tensor(most), "values") if self.graph.op(most) == "max 1 kept" => {
                    let inputs = self.graph.inputs(most).to_vec();
                    Value::Tensor(self.graph.add("channel_max", &inputs))
                }
                _ => panic!("{expr:?}"),
            },
            Expr::Index(object, index) => match self.eval(object, env) {
                Value::Object(object) => object.child(&self.index(index, env)),
                Value::Dict(dict) => {
                    let key = self.index(index, env);
                    let found = dict.borrow().get(&key).cloned();
                    found.unwrap_or_else(|| panic!("nothing under `{key}`"))
                }
                value => {
                    let tensor = self.tensor(&value);
                    match index.as_slice() {
                        [Expr::All, Expr::Number(index)] => Value::Tensor(
                            self.graph
                                .add(graph::numbered("token", &[("index", *index)]), &[tensor]),
                        ),
                        [Expr::First(rows), Expr::First(columns)] => {
                            let sizes = [rows, columns].map(|end| self.number(end, env) as u64);
                            let part = self.graph.add(graph::first(sizes), &[tensor]);
                            self.axes.insert(part, self.axes[&tensor]);
                            Value::Tensor(part)
                        }
                        index => Value::Spread(tensor, spread(index)),
                    }
                }
            },
            Expr::Tuple(items) | Expr::List(items) => {
                Value::Tuple(items.iter().map(|item| self.eval(item, env)).collect())
            }
            Expr::Dict(items) => {
                let item = |(key, value): &(Expr, Expr)| match key {
                    Expr::Text(key) => (key.clone(), self.eval(value, env)),
                    other => panic!("{other:?}"),
                };
                Value::Dict(Rc::new(RefCell::new(items.iter().map(item).collect())))
            }
            Expr::Binary(sign, left, right) => {
                let (left, right) = (self.eval(left, env), self.eval(right, env));
                self.binary(*sign, left, right)
            }
            Expr::Call(function, args) => self.call(function, args, env),
            Expr::All | Expr::First(_) | Expr::Starred(_) => panic!("{expr:?}"),
        }
    }

    fn binary(&mut self, sign: char, left: Value, right: Value) -> Value {
        match (sign, left, right) {
            ('+', Value::Tuple(mut a), Value::Tuple(b)) => {
                a.extend(b);
                Value::Tuple(a)
            }
            ('*', Value::Tuple(a), Value::Number(count)) => {
                Value::Tuple(std::iter::repeat_n(a, count as usize).flatten().collect())
            }
            ('*', Value::Spread(factors, axes), value) | ('*', value, Value::Spread(factors, axes)) => {
                let x = self.tensor(&value);
                let op = match (axes.as_str(), self.axes.get(&x)) {
                    (": : None None", None) => "gate",
                    (": None None", None) => "layer_scale",
                    (": None None None", Some(4)) | (": None", Some(2)) => "scale",
                    (axes, _) => panic!("factors [{axes}] for `{}`", self.graph.op(x)),
                };
                Value::Tensor(self.graph.add(op, &[x, factors]))
            }
            ('+', value, Value::Spread(numbers, axes)) => {
                assert_eq!(axes, ": None None", "numbers for the channels of maps");
                let x = self.tensor(&value);
                Value::Tensor(self.graph.add("layer_shift", &[x, numbers]))
            }
            (sign @ ('*' | '+'), value, Value::Number(number)) => {
                let x = self.tensor(&value);
                let (factor, offset) = if sign == '*' { (number, 0.0) } else { (1.0, number) };
                let op = graph::numbered("affine", &[("factor", factor), ("offset", offset)]);
                Value::Tensor(self.graph.add(op, &[x]))
            }
            (sign, left, right) => {
                let (a, b) = (self.tensor(&left), self.tensor(&right));
                let position = matches!(right, Value::Param(_));
                let op = match (sign, position) {
                    ('+', true) => match self.axes[&b] {
                        1 => "layer_shift".to_owned(),
                        2 => graph::of_tokens("position"),
                        axes => {
                            assert_eq!(axes, 4, "axes of an embedding");
                            "position".to_owned()
                        }
                    },
                    ('+', false) => "add".to_owned(),
                    ('-', false) => "subtract".to_owned(),
                    ('*', false) => "multiply".to_owned(),
                    ('*', true) => "layer_scale".to_owned(),
                    _ => panic!("{sign}"),
                };
                Value::Tensor(self.graph.add(op, &[a, b]))
            }
        }
    }
}

/// A name or an integer as text.
fn word(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        _ => panic!("neither a name nor a number"),
    }
}

/// The words for an index that spreads factors over the axes behind them.
fn spread(index: &[Expr]) -> String {
    let word = |expr: &Expr| match expr {
        Expr::All => ":",
        Expr::Name(name) if name == "None" => "None",
        other => panic!("the index {other:?}"),
    };
    index.iter().map(word).collect::<Vec<_>>().join(" ")
}
