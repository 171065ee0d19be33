//! Runs an exported module: its constructors make parameters, its forward passes make a graph.

use super::parse::{Arg, Expr, Statement, Token, Tokens, statements};
use crate::graph::{self, Graph, Id, Params};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;

/// A parameter of a function, with its default.
struct Formal {
    name: String,
    default: Option<Expr>,
}

/// A function or method.
struct Function {
    formals: Vec<Formal>,
    body: Vec<Statement>,
}

/// The classes of a file by name, each with its methods by name.
type Classes = BTreeMap<String, BTreeMap<String, Function>>;

#[derive(Clone)]
enum Value {
    None,
    Number(f64),
    Text(String),
    Tuple(Vec<Value>),
    Param(Rc<RefCell<Param>>),
    Object(Rc<Object>),
    Iter(Rc<RefCell<VecDeque<f64>>>),
    Dict(Rc<HashMap<String, Value>>),
    Tensor(Id),
    /// A tensor to be multiplied along its first or second axis: the tensor, the index.
    Spread(Id, String),
}

struct Param {
    key: String,
    shape: Vec<u64>,
    start: String,
}

struct Object {
    class: String,
    children: RefCell<Vec<(String, Value)>>,
    /// Channels of a norm.
    channels: u64,
    key: RefCell<String>,
}

impl Object {
    fn child(&self, name: &str) -> Value {
        let children = self.children.borrow();
        let found = children.iter().find(|(child, _)| child == name);
        found
            .map(|(_, value)| value.clone())
            .unwrap_or_else(|| panic!("`{}` has no `{name}`", self.class))
    }
}

type Env = HashMap<String, Value>;

/// The parameters and buffers of the module in a file, and what it computes.
pub(crate) fn trace(text: &str, graph: &mut Graph) -> (Params, Id) {
    let classes = classes(&statements(text));
    let model = text
        .lines()
        .filter_map(|line| line.strip_prefix("class "))
        .next_back()
        .expect("a class");
    let model = model.split('(').next().expect("a name").to_owned();
    let mut run = Run {
        classes: &classes,
        graph,
        axes: HashMap::new(),
    };
    let Value::Object(model) = run.construct(&model, Vec::new(), Vec::new()) else {
        panic!("the model is no object")
    };
    let mut params = Params::new();
    name("", &Value::Object(model.clone()), &mut params);
    let x = Value::Tensor(run.graph.add("input", &[]));
    match run.method(&model, "forward", vec![x], Vec::new()) {
        Value::Tensor(output) => (params, output),
        _ => panic!("the output is no tensor"),
    }
}

/// Gives parameters and norms their keys, as `state_dict` does.
fn name(key: &str, value: &Value, params: &mut Params) {
    let join = |child: &str| {
        if key.is_empty() {
            child.to_owned()
        } else {
            format!("{key}.{child}")
        }
    };
    match value {
        Value::Param(param) => {
            assert_eq!(param.borrow().key, "", "an alias: {key}");
            param.borrow_mut().key = key.to_owned();
            let old = params.insert(
                key.to_owned(),
                (param.borrow().shape.clone(), param.borrow().start.clone()),
            );
            assert!(old.is_none(), "two tensors `{key}`");
        }
        Value::Object(object) => {
            assert_eq!(*object.key.borrow(), "", "an alias: {key}");
            *object.key.borrow_mut() = key.to_owned();
            if let "BatchNorm" | "LayerNorm" = object.class.as_str() {
                graph::norm_params(params, key, object.channels, object.class == "BatchNorm");
            }
            object
                .children
                .borrow()
                .iter()
                .for_each(|(child, value)| name(&join(child), value, params));
        }
        _ => {}
    }
}

fn classes(statements: &[Statement]) -> Classes {
    let mut classes = Classes::new();
    for statement in statements {
        let [Token::Name(word), Token::Name(name), ..] = statement.head.as_slice() else {
            continue;
        };
        if word != "class" {
            continue;
        }
        let methods = statement.body.iter().filter_map(function).collect();
        assert!(classes.insert(name.clone(), methods).is_none(), "two classes `{name}`");
    }
    classes
}

fn function(statement: &Statement) -> Option<(String, Function)> {
    let [Token::Name(word), Token::Name(name), Token::Sign(open), rest @ ..] = statement.head.as_slice() else {
        return None;
    };
    assert_eq!((word.as_str(), open.as_str()), ("def", "("));
    let mut tokens = Tokens { tokens: rest };
    let mut formals = Vec::new();
    while !tokens.take(")") {
        let _ = tokens.take("*") || tokens.take("**");
        let name = tokens.name();
        if tokens.take(":") {
            tokens.expr();
        }
        let default = tokens.take("=").then(|| tokens.expr());
        formals.push(Formal { name, default });
        tokens.take(",");
    }
    let body = statement.body.iter().map(|inner| Statement {
        head: inner.head.clone(),
        body: copy(&inner.body),
    });
    Some((
        name.clone(),
        Function {
            formals,
            body: body.collect(),
        },
    ))
}

fn copy(statements: &[Statement]) -> Vec<Statement> {
    let copied = statements.iter().map(|inner| Statement {
        head: inner.head.clone(),
        body: copy(&inner.body),
    });
    copied.collect()
}

struct Run<'c, 'g> {
    classes: &'c Classes,
    graph: &'g mut Graph,
    /// How many axes parameters and kernels made of them have.
    axes: HashMap<Id, usize>,
}

impl Run<'_, '_> {
    fn construct(&mut self, class: &str, args: Vec<Value>, named: Vec<(String, Value)>) -> Value {
        let channels = match (class, args.as_slice()) {
            ("BatchNorm" | "LayerNorm", [Value::Number(channels)]) => *channels as u64,
            _ => 0,
        };
        let object = Rc::new(Object {
            class: class.to_owned(),
            children: RefCell::default(),
            channels,
            key: RefCell::default(),
        });
        match class {
            "Layer" => object.children.borrow_mut().extend(named),
            "Part" | "BatchNorm" | "LayerNorm" => {}
            _ if self.classes[class].contains_key("__init__") => {
                self.method(&object, "__init__", args, named);
            }
            _ => assert!(args.is_empty(), "arguments for {class}"),
        }
        Value::Object(object)
    }

    fn method(&mut self, object: &Rc<Object>, name: &str, args: Vec<Value>, named: Vec<(String, Value)>) -> Value {
        let classes = self.classes;
        let function = &classes[object.class.as_str()][name];
        let mut env = Env::from([("self".to_owned(), Value::Object(object.clone()))]);
        let mut args = args.into_iter();
        for formal in &function.formals[1..] {
            let given = named
                .iter()
                .find(|(name, _)| *name == formal.name)
                .map(|(_, value)| value.clone());
            let default = formal.default.as_ref().map(|default| self.eval(default, &Env::new()));
            let value = args.next().or(given).or(default);
            env.insert(
                formal.name.clone(),
                value.unwrap_or_else(|| panic!("no `{}`", formal.name)),
            );
        }
        assert!(args.next().is_none(), "too many arguments for {}.{name}", object.class);
        if name == "forward" && matches!(object.class.as_str(), "BatchNorm" | "LayerNorm") {
            return self.norm(object, &env);
        }
        self.block(&function.body, &mut env)
    }

    fn norm(&mut self, object: &Object, env: &Env) -> Value {
        let number = |name: &str| match env.get(name) {
            Some(Value::Number(number)) => *number,
            _ => panic!("`{name}` of a norm is no number"),
        };
        let key = object.key.borrow().clone();
        let op = match object.class.as_str() {
            "BatchNorm" => graph::batch_norm(&key, number("eps"), number("momentum")),
            _ => graph::layer_norm(&key, number("eps")),
        };
        let x = self.tensor(&env["x"]);
        Value::Tensor(self.graph.add(op, &[x]))
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
        let variable = tokens.name();
        assert_eq!(tokens.name(), "in");
        let range = tokens.expr();
        let Expr::Call(function, args) = &range else {
            panic!("{range:?}")
        };
        assert_eq!(**function, Expr::Name("range".to_owned()));
        let ends: Vec<f64> = args.iter().map(|arg| self.number(&arg.value, env)).collect();
        let (start, end) = match ends[..] {
            [end] => (0.0, end),
            [start, end] => (start, end),
            _ => panic!("{range:?}"),
        };
        for value in start as u64..end as u64 {
            env.insert(variable.clone(), Value::Number(value as f64));
            self.block(body, env);
        }
    }

    fn assign(&mut self, target: &Expr, value: Value, env: &mut Env) {
        let (object, name) = match target {
            Expr::Name(name) => {
                env.insert(name.clone(), value);
                return;
            }
            Expr::Attribute(object, name) => (object, name.clone()),
            Expr::Index(object, index) => (object, self.index(index, env)),
            other => panic!("{other:?} = ..."),
        };
        let Value::Object(object) = self.eval(object, env) else {
            panic!("{target:?}")
        };
        object.children.borrow_mut().push((name, value));
    }

    fn index(&mut self, index: &[Expr], env: &Env) -> String {
        match index {
            [index] => match self.eval(index, env) {
                Value::Number(number) => number.to_string(),
                Value::Text(text) => text,
                _ => panic!("{index:?}"),
            },
            _ => panic!("{index:?}"),
        }
    }

    fn number(&mut self, expr: &Expr, env: &Env) -> f64 {
        match self.eval(expr, env) {
            Value::Number(number) => number,
            _ => panic!("{expr:?} is no number"),
        }
    }

    fn tensor(&mut self, value: &Value) -> Id {
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

    fn eval(&mut self, expr: &Expr, env: &Env) -> Value {
        match expr {
            Expr::Name(name) if name == "None" => Value::None,
            Expr::Name(name) => env.get(name).cloned().unwrap_or_else(|| panic!("no variable `{name}`")),
            Expr::Number(number) => Value::Number(*number),
            Expr::Text(text) => Value::Text(text.clone()),
            Expr::Negative(inner) => Value::Number(-self.number(inner, env)),
            Expr::Attribute(object, name) => match (self.eval(object, env), name.as_str()) {
                (Value::Object(_), "training") => Value::Text("training".to_owned()),
                (Value::Object(object), name) => object.child(name),
                _ => panic!("{expr:?}"),
            },
            Expr::Index(object, index) => match self.eval(object, env) {
                Value::Object(object) => object.child(&self.index(index, env)),
                Value::Dict(dict) => dict[&self.index(index, env)].clone(),
                value => {
                    let tensor = self.tensor(&value);
                    Value::Spread(tensor, spread(index))
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
                Value::Dict(Rc::new(items.iter().map(item).collect()))
            }
            Expr::Binary(sign, left, right) => {
                let (left, right) = (self.eval(left, env), self.eval(right, env));
                self.binary(*sign, left, right)
            }
            Expr::Call(function, args) => self.call(function, args, env),
            Expr::All | Expr::Starred(_) => panic!("{expr:?}"),
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
                    (": None None None", Some(4)) | (": None", Some(2)) => "scale",
                    (axes, _) => panic!("factors [{axes}] for `{}`", self.graph.op(x)),
                };
                Value::Tensor(self.graph.add(op, &[x, factors]))
            }
            (sign, left, right) => {
                let (a, b) = (self.tensor(&left), self.tensor(&right));
                let position = matches!(right, Value::Param(_));
                let op = match (sign, position) {
                    ('+', true) => "position",
                    ('+', false) => "add",
                    ('*', false) => "multiply",
                    _ => panic!("{sign}"),
                };
                Value::Tensor(self.graph.add(op, &[a, b]))
            }
        }
    }

    fn call(&mut self, function: &Expr, args: &[Arg], env: &Env) -> Value {
        if let Some(value) = self.method_of_tensor(function, args, env) {
            return value;
        }
        let positional: Vec<Value> = args
            .iter()
            .filter(|arg| arg.name.is_none())
            .map(|arg| self.eval(&arg.value, env))
            .collect();
        let named: Vec<(String, Value)> = args
            .iter()
            .filter_map(|arg| Some((arg.name.clone()?, self.eval(&arg.value, env))))
            .collect();
        match function {
            Expr::Attribute(module, name) if matches!(&**module, Expr::Name(name) if name == "F" || name == "torch") => {
                Value::Tensor(self.operation(name, &positional, &named))
            }
            Expr::Name(name) => self.named_call(name, positional, named),
            // `Part` has an initialiser of its own in `nn.Module` alone.
            Expr::Attribute(parent, name) if name == "__init__" && is_super(parent) => Value::None,
            other => match self.eval(other, env) {
                Value::Object(object) => self.method(&object, "forward", positional, named),
                _ => panic!("{other:?} is called"),
            },
        }
    }

    fn named_call(&mut self, name: &str, args: Vec<Value>, named: Vec<(String, Value)>) -> Value {
        match (name, args.as_slice()) {
            ("uniform" | "normal" | "constant", [Value::Number(value), shape @ ..]) => {
                let size = |value: &Value| match value {
                    Value::Number(size) => *size as u64,
                    _ => panic!("a size of {name}"),
                };
                Value::Param(Rc::new(RefCell::new(Param {
                    key: String::new(),
                    shape: shape.iter().map(size).collect(),
                    start: graph::start(name, *value),
                })))
            }
            ("iter", [Value::Tuple(items)]) => {
                let number = |value: &Value| match value {
                    Value::Number(number) => *number,
                    _ => panic!("a kernel's number"),
                };
                Value::Iter(Rc::new(RefCell::new(items.iter().map(number).collect())))
            }
            ("next", [Value::Iter(iter)]) => Value::Number(iter.borrow_mut().pop_front().expect("one more visit")),
            ("low_rank", [kernel, Value::Object(layer)]) => {
                let [a, b] = ["low_rank_a", "low_rank_b"].map(|factor| self.tensor(&layer.child(factor)));
                let kernel = self.tensor(kernel);
                let sum = self.graph.add("low_rank", &[kernel, a, b]);
                self.axes.insert(sum, self.axes[&kernel]);
                Value::Tensor(sum)
            }
            ("attend", [query, key, value, Value::Number(heads)]) => {
                let inputs = [query, key, value].map(|input| self.tensor(input));
                Value::Tensor(self.graph.add(graph::attend(*heads as u64), &inputs))
            }
            _ => self.construct(name, args, named),
        }
    }

    /// A method of a tensor, if this is one.
    fn method_of_tensor(&mut self, function: &Expr, args: &[Arg], env: &Env) -> Option<Value> {
        let Expr::Attribute(object, name) = function else {
            return None;
        };
        if !matches!(name.as_str(), "mean" | "flatten") {
            return None;
        }
        if matches!(&**object, Expr::Name(name) if !env.contains_key(name)) {
            return None;
        }
        let Value::Tensor(x) = self.eval(object, env) else {
            return None;
        };
        let args: Vec<&Expr> = args.iter().map(|arg| &arg.value).collect();
        let numbers = |items: &[Expr]| items == [Expr::Number(2.0), Expr::Number(3.0)];
        match (name.as_str(), args.as_slice()) {
            ("mean", [Expr::Tuple(axes)]) if numbers(axes) => {
                Some(Value::Tensor(self.graph.add("global avg_pool", &[x])))
            }
            ("flatten", [Expr::Number(1.0)]) if self.graph.op(x) == "adaptive max 1" => {
                let inputs = self.graph.inputs(x).to_vec();
                Some(Value::Tensor(self.graph.add("global max_pool", &inputs)))
            }
            ("flatten", [Expr::Number(1.0)]) => Some(Value::Tensor(self.graph.add("flatten", &[x]))),
            _ => panic!("{name} of {args:?}"),
        }
    }

    /// A function of PyTorch's.
    fn operation(&mut self, name: &str, args: &[Value], named: &[(String, Value)]) -> Id {
        let named: HashMap<&str, &Value> = named.iter().map(|(name, value)| (name.as_str(), value)).collect();
        let known = |names: &[&str]| {
            assert!(
                named.keys().all(|key| names.contains(key)),
                "{name}: {:?}",
                named.keys()
            )
        };
        let pair = |name: &str, default: [u64; 2]| named.get(name).map_or(default, |value| sizes(value));
        match name {
            "conv2d" => {
                known(&["stride", "padding", "dilation", "groups"]);
                let (x, pad) = self.padded(&args[0], pair("padding", [0, 0]));
                let groups = named.get("groups").map_or(1, |groups| sizes(groups)[0]);
                let op = graph::conv(pair("stride", [1, 1]), pad, pair("dilation", [1, 1]), groups);
                let inputs: Vec<Id> = std::iter::once(x)
                    .chain(args[1..].iter().map(|arg| self.tensor(arg)))
                    .collect();
                self.graph.add(op, &inputs)
            }
            "max_pool2d" | "avg_pool2d" => {
                known(&["stride", "padding"]);
                let kernel = sizes(&args[1]);
                let [y, z] = pair("padding", [0, 0]);
                let op = graph::pool(
                    name.trim_end_matches("2d"),
                    kernel,
                    pair("stride", kernel),
                    [y, y, z, z],
                );
                let x = self.tensor(&args[0]);
                self.graph.add(op, &[x])
            }
            "dropout" => {
                known(&[]);
                let [x, Value::Number(p), Value::Text(training)] = args else {
                    panic!("dropout")
                };
                assert_eq!(training, "training");
                let x = self.tensor(x);
                self.graph.add(graph::dropout(*p), &[x])
            }
            "pad" => {
                known(&[]);
                let (x, Value::Tuple(pads)) = (self.tensor(&args[0]), &args[1]) else {
                    panic!("pad")
                };
                let pads: Vec<u64> = pads.iter().map(|pad| sizes(pad)[0]).collect();
                self.graph.add(format!("pad {pads:?}"), &[x])
            }
            "cat" => {
                known(&[]);
                let (Value::Tuple(paths), Value::Number(1.0)) = (&args[0], &args[1]) else {
                    panic!("cat")
                };
                let paths: Vec<Id> = paths.iter().map(|path| self.tensor(path)).collect();
                paths[1..]
                    .iter()
                    .fold(paths[0], |x, path| self.graph.add("concat", &[x, *path]))
            }
            "adaptive_max_pool2d" => {
                assert!(matches!(args[1], Value::Number(1.0)));
                let x = self.tensor(&args[0]);
                self.graph.add("adaptive max 1", &[x])
            }
            _ => {
                known(&["approximate"]);
                let inputs: Vec<Id> = args.iter().map(|arg| self.tensor(arg)).collect();
                let op = match (name, named.get("approximate")) {
                    ("relu" | "gelu" | "silu" | "sigmoid" | "linear", None) => name,
                    ("gelu", Some(Value::Text(word))) if word == "tanh" => "gelu_tanh",
                    ("hardswish", None) => "hard_swish",
                    _ => panic!("the function {name}"),
                };
                self.graph.add(op, &inputs)
            }
        }
    }

    /// The input of a convolution and its padding above, below, left and right.
    fn padded(&mut self, x: &Value, [y, z]: [u64; 2]) -> (Id, [u64; 4]) {
        let x = self.tensor(x);
        let Some(pads) = self.graph.op(x).strip_prefix("pad ") else {
            return (x, [y, y, z, z]);
        };
        let pads: Vec<u64> = pads
            .trim_matches(['[', ']'])
            .split(", ")
            .map(|pad| pad.parse().expect("a size"))
            .collect();
        assert_eq!([y, z], [0, 0], "padded twice");
        // `F.pad` begins with the last axis: left, right, above, below.
        (self.graph.inputs(x)[0], [pads[2], pads[3], pads[0], pads[1]])
    }
}

fn is_super(expr: &Expr) -> bool {
    matches!(expr, Expr::Call(function, args) if **function == Expr::Name("super".to_owned()) && args.is_empty())
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

/// One size for both directions, or two.
fn sizes(value: &Value) -> [u64; 2] {
    match value {
        Value::Number(size) => [*size as u64; 2],
        Value::Tuple(items) => match items.as_slice() {
            [Value::Number(y), Value::Number(x)] => [*y as u64, *x as u64],
            _ => panic!("not two sizes"),
        },
        _ => panic!("no size"),
    }
}
