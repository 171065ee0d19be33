//! Calls of functions, which are mostly operations of the runtime.

use super::run::{Env, Run};
use super::{Value, generics, numbers, tensor, text};
use crate::expected::shaped;
use crate::graph::{self, Id};
use ksdsl::ir::Shape;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

impl Run<'_, '_> {
    pub(super) fn call(&mut self, call: &syn::ExprCall, env: &mut Env, ty: Option<&str>) -> Value {
        let function = text(&call.func);
        if function == "rt::Bank::new" {
            return self.bank(call, env);
        }
        if matches!(&*function, "rt::op::masked_attend" | "rt::op::biased_attend") {
            return Value::Tensor(self.masked_attend(call, env));
        }
        if function == "rt::op::apply_pair" {
            return Value::Tensor(self.conv_transpose(call, env, ty));
        }
        if matches!(&*function, "rt::op::apply" | "rt::op::apply_with") {
            return Value::Tensor(self.composed(call, env, ty));
        }
        if function == "drop" {
            let dropped = env.remove(&text(&call.args[0]));
            assert!(dropped.is_some(), "{}", text(call));
            return Value::Nothing;
        }
        if function == "rt::TapeInFirst::new" {
            return Value::Nothing;
        }
        if function == "rt::op::conv_transpose" {
            return Value::Tensor(self.conv_transpose(call, env, ty));
        }
        let args: Vec<Value> = call.args.iter().map(|arg| self.eval(arg, env, None)).collect();
        match function.as_str() {
            "Ok" | "rt::Bound::new" => args.into_iter().next().expect("a value"),
            "rt::Combined::new" => {
                let inputs: Vec<Id> = args.iter().map(tensor).collect();
                Value::Tensor(self.graph.add("combine", &inputs))
            }
            view if view.starts_with("rt::View::<") => Value::Tensor(self.view(view, tensor(&args[0]))),
            "rt::LowRank::new" => {
                let inputs: Vec<Id> = args.iter().map(tensor).collect();
                Value::Tensor(self.graph.add("low_rank", &inputs))
            }
            "rt::Standardized::new" => {
                let inputs: Vec<Id> = args.iter().filter_map(tensor_of).collect();
                let Some(Value::Number(eps)) = args.last() else {
                    panic!("{}", text(call))
                };
                let op = graph::numbered("standardized", &[("eps", *eps)]);
                Value::Tensor(self.graph.add(op, &inputs))
            }
            _ => Value::Tensor(self.operation(&function, &args, ty)),
        }
    }

    /// A part of a kernel: the shape of what is stored comes first, then that of the part.
    fn view(&mut self, function: &str, mut kernel: Id) -> Id {
        let (shapes, how) = function.rsplit_once("::").expect("how");
        let shapes = generics(shapes.trim_start_matches("rt::View::"));
        let [mut stored, own] = [shapes[0], shapes[1]].map(numbers);
        match how {
            "transposed" => {
                stored.swap(0, 1);
                kernel = self.graph.add("transpose", &[kernel]);
            }
            how => assert_eq!(how, "of"),
        }
        match stored == own {
            true => kernel,
            false => self.graph.add(graph::first([own[0], own[1]]), &[kernel]),
        }
    }

    /// An operation that is made of loops, its inputs and its tensors.
    fn composed(&mut self, call: &syn::ExprCall, env: &mut Env, ty: Option<&str>) -> Id {
        let mut args = call.args.iter();
        let (name, numbers) = operation(args.next().expect("an operation"));
        let mut tensors = Vec::new();
        for list in args {
            let syn::Expr::Array(list) = list else {
                panic!("{}", text(list))
            };
            let values = list.elems.iter().map(|value| self.eval(value, env, None));
            tensors.extend(values.map(|value| tensor(&value)));
        }
        self.made_of_loops(&name, &numbers, &tensors, ty)
    }

    /// A transposed convolution: its numbers, its input, its kernel and its bias if it has one.
    fn conv_transpose(&mut self, call: &syn::ExprCall, env: &mut Env, ty: Option<&str>) -> Id {
        let mut args = call.args.iter();
        let (name, numbers) = operation(args.next().expect("an operation"));
        let values: Vec<Value> = args.map(|arg| self.eval(arg, env, None)).collect();
        let tensors = values.iter().filter(|value| !matches!(value, Value::Nothing));
        let tensors: Vec<Id> = tensors.map(tensor).collect();
        self.made_of_loops(&name, &numbers, &tensors, ty)
    }

    /// Attention with masks: its numbers, its inputs, its lengths if it has them, its biases.
    fn masked_attend(&mut self, call: &syn::ExprCall, env: &mut Env) -> Id {
        let mut args = call.args.iter();
        let (_, numbers) = operation(args.next().expect("an operation"));
        let mut tensors = Vec::new();
        for arg in args {
            let arg = match arg {
                syn::Expr::Path(path) if path.path.is_ident("None") => continue,
                syn::Expr::Call(some) if text(&some.func) == "Some" => &some.args[0],
                arg => arg,
            };
            tensors.push(tensor(&self.eval(arg, env, None)));
        }
        let numbers: Vec<(&str, f64)> = numbers.iter().map(|(name, number)| (name.as_str(), *number)).collect();
        self.graph.add(graph::masked_attend(&numbers), &tensors)
    }

    fn made_of_loops(&mut self, name: &str, numbers: &[(String, f64)], tensors: &[Id], ty: Option<&str>) -> Id {
        let named: Vec<(&str, f64)> = numbers.iter().map(|(name, number)| (name.as_str(), *number)).collect();
        let (name, op) = match (name, named.as_slice()) {
            ("reshape", [("vector", 0.0)]) => ("to_tokens", "to_tokens".to_owned()),
            ("reshape", [("vector", 1.0)]) => ("flatten_tokens", "flatten_tokens".to_owned()),
            (name, []) => (name, name.to_owned()),
            (name, numbers) => (name, graph::numbered(name, numbers)),
        };
        match ty.and_then(shape).filter(|_| graph::is_reshaping(name)) {
            Some(shape) => self.graph.add(shaped(op, shape), tensors),
            None => self.graph.add(op, tensors),
        }
    }

    /// Kernels in the order of a table of runs: which kernel, for how many visits.
    fn bank(&mut self, call: &syn::ExprCall, env: &mut Env) -> Value {
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
                .map(|part| match *part {
                    "true" => vec![1],
                    "false" => vec![0],
                    part if part.contains('<') => numbers(part),
                    part => part.parse().into_iter().collect(),
                })
                .collect(),
        };
        let pair = |at: usize| [sizes[at][0], sizes[at][1]];
        let four = |at: usize| [sizes[at][0], sizes[at][1], sizes[at][2], sizes[at][3]];
        // The axes of dropout and of norms come after the pass.
        let tensors: Vec<Id> = args.iter().filter_map(tensor_of).collect();
        let op = match name {
            "Conv" => graph::conv(pair(0), four(1), pair(2), sizes[3][0]),
            "MaxPool" => graph::pool("max_pool", pair(0), pair(1), four(2)),
            "AvgPool" => graph::pool("avg_pool", pair(0), pair(1), four(2)),
            "Attend" => graph::attend(sizes[0][0], sizes[1][0], sizes[2][0] == 1),
            "global_avg_pool" => "global avg_pool".to_owned(),
            "global_max_pool" => "global max_pool".to_owned(),
            "position_embedding" => "position".to_owned(),
            "position_embedding_of_tokens" => graph::of_tokens("position"),
            "class_token" => "prepend_token".to_owned(),
            "dropout" => match args {
                [_, _, Value::Number(p)] => graph::dropout(*p),
                _ => panic!("dropout"),
            },
            "stochastic_depth" => match args {
                [_, _, Value::Number(p)] => graph::stochastic_depth(*p),
                _ => panic!("stochastic_depth"),
            },
            "noise" => match args {
                [_, _, Value::Number(std)] => graph::noise(*std),
                _ => panic!("noise"),
            },
            "layer_scale" => name.to_owned(),
            "scale" => return self.scale(&tensors),
            "add" | "multiply" | "gate" | "gate_positions" | "concat" | "flatten" | "linear" | "linear_at"
            | "embedding" => name.to_owned(),
            "relu" | "gelu" | "gelu_tanh" | "silu" | "sigmoid" | "hard_swish" | "relu6" => name.to_owned(),
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
        let is_linear = op == "linear" || op == "linear_at";
        assert!(op.starts_with("conv") || is_linear, "factors on `{op}`");
        let [x, kernel] = inputs[..] else {
            panic!("factors after a bias")
        };
        let kernel = self.graph.add("scale", &[kernel, factors]);
        self.graph.add(op, &[&[x, kernel], bias].concat())
    }
}

/// A tensor, if this is one.
fn tensor_of(value: &Value) -> Option<Id> {
    match value {
        Value::Tensor(id) => Some(*id),
        _ => None,
    }
}

/// The name of `rt::op::LeakyRelu { slope: 0.01 }` in the language, and its numbers; a flag is 0 or 1.
fn operation(of: &syn::Expr) -> (String, Vec<(String, f64)>) {
    let (path, fields) = match of {
        syn::Expr::Path(path) => (text(path), Vec::new()),
        syn::Expr::Struct(built) => {
            let number = |field: &syn::FieldValue| match text(&field.expr).as_str() {
                "true" => 1.0,
                "false" => 0.0,
                number => number.replace(' ', "").parse().expect("a number"),
            };
            let fields = built.fields.iter().map(|field| (text(&field.member), number(field)));
            (text(&built.path), fields.collect())
        }
        other => panic!("{}", text(other)),
    };
    let name = path.strip_prefix("rt::op::").expect("an operation of the runtime");
    let mut word = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.extend(letter.to_lowercase());
    }
    (word, fields)
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
