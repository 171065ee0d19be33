//! Generated Rust, read with `syn` and run on words instead of numbers.

use crate::expected::shaped;
use crate::graph::{self, Graph, Id, Params};
use ksdsl::ir::Shape;
use quote::ToTokens;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use syn::{Expr, Item, Pat, Stmt};

/// How dfdx visits a field.
enum Visit {
    Tensor {
        key: String,
        start: String,
    },
    Module {
        key: String,
    },
    Repeat {
        prefix: String,
        first: u64,
        of: String,
        count: u64,
    },
}

/// The items of a module.
#[derive(Default)]
struct Module {
    /// The types of the fields of each struct.
    fields: HashMap<String, Vec<(String, String)>>,
    visits: HashMap<String, HashMap<String, Visit>>,
    methods: HashMap<(String, String), syn::ImplItemFn>,
    /// The constants of `impl rt::Network`, and of the module.
    constants: HashMap<String, String>,
}

#[derive(Clone)]
enum Value {
    Nothing,
    Tensor(Id),
    Object(Rc<Object>),
    Norm {
        key: String,
        batch: bool,
    },
    List(Vec<Value>),
    /// The kernels of a group in the order of the visits.
    Bank(Rc<RefCell<VecDeque<Value>>>),
    Number(f64),
}

struct Object {
    of: String,
    fields: HashMap<String, Value>,
}

type Env = HashMap<String, Value>;

/// What the code of a network says.
pub(crate) struct Traced {
    pub(crate) params: Params,
    pub(crate) output: Id,
    /// Constants as they are written, without blanks.
    pub(crate) constants: HashMap<String, String>,
}

/// Reads the module of one network, and runs its model.
pub(crate) fn trace(text: &str, graph: &mut Graph) -> Traced {
    let file = syn::parse_file(text).expect("Rust");
    let [Item::Mod(module)] = file.items.as_slice() else {
        panic!("not one module")
    };
    let items = &module.content.as_ref().expect("a module with content").1;
    let module = Module::read(items);
    let mut params = Params::new();
    let model = module.build("Model", "", &mut params, graph);
    let x = graph.add("input", &[]);
    let mut run = Run { module: &module, graph };
    let output = run.method(&model, "run", vec![Value::Nothing, Value::Tensor(x)]);
    Traced {
        params,
        output: tensor(&output),
        constants: module.constants,
    }
}

fn tensor(value: &Value) -> Id {
    match value {
        Value::Tensor(id) => *id,
        _ => panic!("no tensor"),
    }
}

/// Code without blanks and without commas that nothing follows.
fn text(of: &impl ToTokens) -> String {
    let text = of.to_token_stream().to_string().replace([' ', '\n'], "");
    [")", "]", "}", ">", "|"]
        .iter()
        .fold(text, |text, end| text.replace(&format!(",{end}"), end))
}

/// What stands between the brackets of a generic type or path, cut at its own commas.
fn generics(text: &str) -> Vec<&str> {
    let Some(start) = text.find('<') else { return Vec::new() };
    let end = text.rfind('>').expect("a closed bracket");
    let (mut parts, mut depth, mut from) = (Vec::new(), 0, start + 1);
    for (at, c) in text[..end].char_indices().skip(start + 1) {
        match c {
            '<' | '(' => depth += 1,
            '>' | ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    if from < end {
        parts.push(&text[from..end]);
    }
    parts
}

fn numbers(text: &str) -> Vec<u64> {
    generics(text).iter().filter_map(|part| part.parse().ok()).collect()
}

/// The shape that a typed activation has, if this is one.
fn shape(of: &str) -> Option<Shape> {
    match (numbers(of).as_slice(), of.split('<').next()?) {
        (&[channels, height, width], "rt::Map") => Some(Shape::Map {
            channels,
            height,
            width,
        }),
        (&[features], "rt::Flat") => Some(Shape::Flat(features)),
        _ => None,
    }
}

impl Module {
    fn read(items: &[Item]) -> Self {
        let mut module = Module::default();
        for item in items {
            match item {
                Item::Struct(item) => {
                    let name = item.ident.to_string();
                    let field = |field: &syn::Field| Some((field.ident.as_ref()?.to_string(), text(&field.ty)));
                    let fields = item.fields.iter().filter_map(field).collect();
                    assert!(
                        module.fields.insert(name.clone(), fields).is_none(),
                        "two structs `{name}`"
                    );
                }
                Item::Const(item) => {
                    module.constants.insert(format!("::{}", item.ident), text(&item.expr));
                }
                Item::Impl(item) => module.read_impl(item),
                _ => {}
            }
        }
        module
    }

    fn read_impl(&mut self, item: &syn::ItemImpl) {
        let of = text(&item.self_ty);
        let of = of.split('<').next().expect("a name").to_owned();
        let of_trait = item.trait_.as_ref().map(|(path, ..)| text(path)).unwrap_or_default();
        for inner in &item.items {
            match inner {
                syn::ImplItem::Fn(method) if of_trait.contains("TensorCollection") => {
                    let visits = read_visits(&method.block);
                    assert!(self.visits.insert(of.clone(), visits).is_none());
                }
                syn::ImplItem::Fn(method) => {
                    self.methods
                        .insert((of.clone(), method.sig.ident.to_string()), method.clone());
                }
                syn::ImplItem::Const(constant) => {
                    self.constants.insert(constant.ident.to_string(), text(&constant.expr));
                }
                _ => {}
            }
        }
    }

    /// A struct under a key, with its parameters.
    fn build(&self, of: &str, key: &str, params: &mut Params, graph: &mut Graph) -> Value {
        let join = |child: &str| {
            if key.is_empty() {
                child.to_owned()
            } else {
                format!("{key}.{child}")
            }
        };
        let visits = &self.visits[of];
        let mut fields = HashMap::new();
        for (name, ty) in self.fields[of].iter().filter(|(name, _)| name != "_none") {
            let visit = visits
                .get(name)
                .unwrap_or_else(|| panic!("`{of}.{name}` is not visited"));
            let value = match visit {
                Visit::Tensor { key, start } => {
                    let key = join(key);
                    let rank = generics(ty)[0];
                    assert!(rank.starts_with(&format!("rt::Rank{}<", numbers(rank).len())), "{ty}");
                    let old = params.insert(key.clone(), (numbers(rank), start.clone()));
                    assert!(old.is_none(), "two tensors `{key}`");
                    Value::Tensor(graph.param(&key))
                }
                Visit::Module { key } => self.module(ty, &join(key), params, graph),
                Visit::Repeat {
                    prefix,
                    first,
                    of,
                    count,
                } => {
                    assert_eq!(ty, &format!("rt::Repeat<{of},{count}>"));
                    let keys = (*first..first + count).map(|index| join(&format!("{prefix}{index}")));
                    Value::List(keys.map(|key| self.module(of, &key, params, graph)).collect())
                }
            };
            fields.insert(name.clone(), value);
        }
        assert_eq!(visits.len(), fields.len(), "fields of {of}");
        Value::Object(Rc::new(Object {
            of: of.to_owned(),
            fields,
        }))
    }

    fn module(&self, ty: &str, key: &str, params: &mut Params, graph: &mut Graph) -> Value {
        let name = ty.split('<').next().expect("a type");
        if !name.starts_with("rt::") {
            return self.build(name, key, params, graph);
        }
        let (channels, batch) = (numbers(ty)[0], name == "rt::BatchNorm");
        assert!(batch || name == "rt::LayerNorm", "{ty}");
        graph::norm_params(params, key, channels, batch);
        Value::Norm {
            key: key.to_owned(),
            batch,
        }
    }
}

/// The visits in `visitor.visit_fields((...), |...| Name { ... })`, by field.
fn read_visits(block: &syn::Block) -> HashMap<String, Visit> {
    let [Stmt::Expr(Expr::MethodCall(call), None)] = block.stmts.as_slice() else {
        panic!("{}", text(block))
    };
    assert_eq!(call.method, "visit_fields");
    let mut order = Vec::new();
    flatten(&call.args[0], &mut order);
    let visits: Vec<(String, Visit)> = order.iter().map(|visit| read_visit(visit)).collect();
    // The closure takes what was visited in the same order.
    let Expr::Closure(closure) = &call.args[1] else {
        panic!("no closure")
    };
    let names: Vec<String> = visits.iter().map(|(name, _)| name.clone()).collect();
    let taken = text(&closure.inputs).replace(['(', ')'], "");
    assert_eq!(taken, names.join(","), "fields in another order");
    visits.into_iter().collect()
}

fn flatten<'e>(expr: &'e Expr, order: &mut Vec<&'e syn::ExprCall>) {
    match expr {
        Expr::Tuple(tuple) => {
            assert!(tuple.elems.len() <= 6, "dfdx takes at most six at once");
            tuple.elems.iter().for_each(|item| flatten(item, order));
        }
        Expr::Call(call) => order.push(call),
        other => panic!("{}", text(other)),
    }
}

fn read_visit(call: &syn::ExprCall) -> (String, Visit) {
    let args: Vec<String> = call.args.iter().map(|arg| text(arg)).collect();
    let word = |at: usize| match &call.args[at] {
        Expr::Lit(syn::ExprLit {
            lit: syn::Lit::Str(text),
            ..
        }) => text.value(),
        other => panic!("{}", text(other)),
    };
    let function = text(&call.func);
    // `|s| &s.name, |s| &mut s.name`: the same field both times.
    let field = |at: usize| {
        let name = args[at].strip_prefix("|s|&s.").expect("a field").to_owned();
        assert_eq!(args[at + 1], format!("|s|&muts.{name}"));
        name
    };
    match function.as_str() {
        "Self::tensor" => (
            field(1),
            Visit::Tensor {
                key: word(0),
                start: start(&args[3]),
            },
        ),
        "Self::module" => (field(1), Visit::Module { key: word(0) }),
        _ => {
            assert!(function.starts_with("rt::repeat_field::<"), "{function}");
            let of = generics(&function);
            assert_eq!(of[0], "Self");
            let (of, count) = (of[1].to_owned(), of[2].parse().expect("a number"));
            let first = args[1].parse().expect("a number");
            (
                field(2),
                Visit::Repeat {
                    prefix: word(0),
                    first,
                    of,
                    count,
                },
            )
        }
    }
}

/// How a tensor starts.
fn start(options: &str) -> String {
    let options = options.strip_prefix("rt::TensorOptions::").expect("options");
    match options {
        "reset_to_zeros()" => return graph::start("constant", 0.0),
        "reset_to_ones()" => return graph::start("constant", 1.0),
        _ => {}
    }
    let inner = options
        .strip_prefix("reset_with(|t|rt::init::")
        .expect("an initial value");
    let (word, rest) = inner.split_once("(t,").expect("a number");
    graph::start(word, rest.trim_end_matches(')').parse().expect("a number"))
}

struct Run<'m, 'g> {
    module: &'m Module,
    graph: &'g mut Graph,
}

impl Run<'_, '_> {
    fn method(&mut self, object: &Value, name: &str, args: Vec<Value>) -> Value {
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
            env.insert(text(&input.pat), value);
        }
        self.block(&method.block, &env)
    }

    fn block(&mut self, block: &syn::Block, env: &Env) -> Value {
        let mut env = env.clone();
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
                    let value = self.eval(init, &env, ty.as_deref());
                    bind(pattern, value, &mut env);
                }
                Stmt::Expr(Expr::ForLoop(repeat), _) => self.repeat(repeat, &mut env),
                Stmt::Expr(Expr::Assign(assign), _) => {
                    let new = self.eval(&assign.right, &env, None);
                    env.insert(text(&assign.left), new);
                }
                Stmt::Expr(expr, _) => value = self.eval(expr, &env, None),
                other => panic!("{}", text(other)),
            }
        }
        value
    }

    fn repeat(&mut self, repeat: &syn::ExprForLoop, env: &mut Env) {
        let Value::List(items) = self.eval(&repeat.expr, env, None) else {
            panic!("no list")
        };
        let Some(Stmt::Expr(Expr::Assign(assign), _)) = repeat.body.stmts.first() else {
            panic!("no assignment")
        };
        for item in items {
            env.insert(text(&repeat.pat), item);
            let new = self.eval(&assign.right, env, None);
            env.insert(text(&assign.left), new);
        }
    }

    /// The value of an expression, which is to be of a type that may be given.
    fn eval(&mut self, expr: &Expr, env: &Env, ty: Option<&str>) -> Value {
        match expr {
            Expr::Try(inner) => self.eval(&inner.expr, env, ty),
            Expr::Reference(inner) => self.eval(&inner.expr, env, ty),
            Expr::Paren(inner) => self.eval(&inner.expr, env, ty),
            Expr::Block(inner) => self.block(&inner.block, env),
            Expr::Path(path) => match text(path).as_str() {
                "rt::NoBias" => Value::Nothing,
                name => env.get(name).cloned().unwrap_or_else(|| panic!("no variable `{name}`")),
            },
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

    fn method_call(&mut self, call: &syn::ExprMethodCall, env: &Env) -> Value {
        let method = call.method.to_string();
        if matches!(&*call.receiver, Expr::Path(path) if text(path) == "pass") {
            assert_eq!(method, "read");
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
                    self.eval(&closure.body, &env, None)
                });
                Value::List(mapped.collect())
            }
            ("iter" | "collect", Value::List(_)) | ("into_tensor" | "context_mut", Value::Tensor(_)) => receiver,
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

    fn call(&mut self, call: &syn::ExprCall, env: &Env, ty: Option<&str>) -> Value {
        let function = text(&call.func);
        if function == "rt::Bank::new" {
            return self.bank(call, env);
        }
        let args: Vec<Value> = call.args.iter().map(|arg| self.eval(arg, env, None)).collect();
        match function.as_str() {
            "Ok" | "rt::Bound::new" => args.into_iter().next().expect("a value"),
            "rt::LowRank::new" => {
                let inputs: Vec<Id> = args.iter().map(tensor).collect();
                Value::Tensor(self.graph.add("low_rank", &inputs))
            }
            _ => Value::Tensor(self.operation(&function, &args, ty)),
        }
    }

    /// Kernels in the order of a table of runs: which kernel, for how many visits.
    fn bank(&mut self, call: &syn::ExprCall, env: &Env) -> Value {
        let Value::List(kernels) = self.eval(&call.args[0], env, None) else {
            panic!("no kernels")
        };
        let runs = text(&call.args[1]);
        let runs = runs.trim_start_matches("&[(").trim_end_matches(")]");
        let mut visits = VecDeque::new();
        for run in runs.split("),(") {
            let (kernel, count) = run.split_once(',').expect("two numbers");
            let [kernel, count] = [kernel, count].map(|number| number.parse::<usize>().expect("a number"));
            visits.extend(std::iter::repeat_n(kernels[kernel].clone(), count));
        }
        Value::Bank(Rc::new(RefCell::new(visits)))
    }

    /// An operation of the runtime; those that compute a shape say which, or a type does.
    fn operation(&mut self, function: &str, args: &[Value], ty: Option<&str>) -> Id {
        let name = function
            .strip_prefix("rt::op::")
            .unwrap_or_else(|| panic!("{function}"));
        let (name, sizes) = name.split_once("::<").unwrap_or((name, ""));
        let sizes: Vec<Vec<u64>> = match sizes {
            "" => Vec::new(),
            _ => generics(&format!("<{}", sizes.trim_end_matches("::apply")))
                .iter()
                .map(|part| {
                    if part.contains('<') {
                        numbers(part)
                    } else {
                        part.parse().into_iter().collect()
                    }
                })
                .collect(),
        };
        let pair = |at: usize| [sizes[at][0], sizes[at][1]];
        let four = |at: usize| [sizes[at][0], sizes[at][1], sizes[at][2], sizes[at][3]];
        // The axes of dropout and of norms come after the pass.
        let tensors: Vec<Id> = args
            .iter()
            .filter_map(|arg| match arg {
                Value::Tensor(id) => Some(*id),
                _ => None,
            })
            .collect();
        let op = match name {
            "Conv" => {
                let op = graph::conv(pair(0), four(1), pair(2), sizes[3][0]);
                match function.split("rt::op::algorithm::").nth(1) {
                    Some(word) => format!("{op} {}", word.trim_end_matches(">::apply")),
                    None => op,
                }
            }
            "MaxPool" => graph::pool("max_pool", pair(0), pair(1), four(2)),
            "AvgPool" => graph::pool("avg_pool", pair(0), pair(1), four(2)),
            "Attend" => graph::attend(sizes[0][0]),
            "global_avg_pool" => "global avg_pool".to_owned(),
            "global_max_pool" => "global max_pool".to_owned(),
            "position_embedding" => "position".to_owned(),
            "dropout" => match args {
                [_, _, Value::Number(p)] => graph::dropout(*p),
                _ => panic!("dropout"),
            },
            "scale" => return self.scale(&tensors),
            "add" | "multiply" | "gate" | "concat" | "flatten" | "linear" => name.to_owned(),
            "relu" | "gelu" | "gelu_tanh" | "silu" | "sigmoid" | "hard_swish" => name.to_owned(),
            _ => panic!("the operation {name}"),
        };
        let op = match ty.and_then(shape) {
            Some(shape) => shaped(op, shape),
            None => op,
        };
        self.graph.add(op, &tensors)
    }

    /// Factors on the output of a layer without bias are factors on its kernel.
    fn scale(&mut self, tensors: &[Id]) -> Id {
        let (layer, factors, bias) = (tensors[0], tensors[1], &tensors[2..]);
        let (op, inputs) = (self.graph.op(layer).to_owned(), self.graph.inputs(layer).to_vec());
        assert!(op.starts_with("conv") || op == "linear", "factors on `{op}`");
        let [x, kernel] = inputs[..] else {
            panic!("factors after a bias")
        };
        let kernel = self.graph.add("scale", &[kernel, factors]);
        self.graph.add(op, &[&[x, kernel], bias].concat())
    }
}

fn bind(pattern: &Pat, value: Value, env: &mut Env) {
    match (pattern, value) {
        (Pat::Ident(ident), value) => {
            env.insert(ident.ident.to_string(), value);
        }
        (Pat::Tuple(tuple), Value::List(values)) => {
            assert_eq!(tuple.elems.len(), values.len());
            tuple
                .elems
                .iter()
                .zip(values)
                .for_each(|(pattern, value)| bind(pattern, value, env));
        }
        (pattern, _) => panic!("{}", text(pattern)),
    }
}
