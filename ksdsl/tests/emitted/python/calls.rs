//! Calls of parts, of the functions of a file and of those of Python's.

use super::parse::{Arg, Expr};
use super::run::{Env, Run};
use super::torch::sizes;
use super::value::Value;
use crate::expected::{INTO_SIGNAL, READ_SIGNAL};
use crate::graph::{self, Id};
use std::cell::RefCell;
use std::rc::Rc;

impl Run<'_, '_> {
    pub(super) fn call(&mut self, function: &Expr, args: &[Arg], env: &Env) -> Value {
        if let Some(value) = self.method_of_tensor(function, args, env) {
            return value;
        }
        let positional = self.positional(args, env);
        let named: Vec<(String, Value)> = args
            .iter()
            .filter_map(|arg| Some((arg.name.clone()?, self.eval(&arg.value, env))))
            .collect();
        match function {
            Expr::Attribute(module, name) if **module == Expr::Name("nn".to_owned()) => {
                match (name.as_str(), &positional[..]) {
                    ("Parameter", [Value::Array(shape, start)]) => Value::param(shape.clone(), start.clone()),
                    _ => panic!("nn.{name}"),
                }
            }
            Expr::Attribute(module, name)
                if **module == Expr::Name("torch".to_owned()) && matches!(name.as_str(), "ones" | "zeros") =>
            {
                let value = if name == "ones" { 1.0 } else { 0.0 };
                let shape = positional.iter().map(|size| sizes(size)[0]).collect();
                Value::Array(shape, graph::start("constant", value))
            }
            Expr::Attribute(object, name) if name == "register_buffer" => {
                match (self.eval(object, env), &positional[..]) {
                    (Value::Object(object), [Value::Text(name), Value::Array(shape, start)]) => {
                        object.set(name.clone(), Value::param(shape.clone(), start.clone()));
                    }
                    _ => panic!("{function:?}"),
                }
                Value::None
            }
            Expr::Attribute(module, name) if **module == Expr::Name("torch".to_owned()) && name == "tensordot" => {
                let [coefficients, bank, Value::Number(1.0)] = &positional[..] else {
                    panic!("tensordot")
                };
                let [coefficients, bank] = [coefficients, bank].map(|tensor| self.tensor(tensor));
                let combined = self.graph.add("combine", &[bank, coefficients]);
                self.axes.insert(combined, self.axes[&bank] - 1);
                Value::Tensor(combined)
            }
            Expr::Attribute(module, name) if matches!(&**module, Expr::Name(name) if name == "F" || name == "torch") => {
                Value::Tensor(self.operation(name, &positional, &named))
            }
            Expr::Name(name) if !env.contains_key(name) => self.named_call(name, positional, named),
            // `Part` has an initialiser of its own in `nn.Module` alone.
            Expr::Attribute(parent, name) if name == "__init__" && is_super(parent) => Value::None,
            other => match self.eval(other, env) {
                Value::Object(object) => self.method(&object, "forward", positional, named),
                _ => panic!("{other:?} is called"),
            },
        }
    }

    /// Arguments without names; a starred one is several.
    fn positional(&mut self, args: &[Arg], env: &Env) -> Vec<Value> {
        let mut values = Vec::new();
        for arg in args.iter().filter(|arg| arg.name.is_none()) {
            match &arg.value {
                Expr::Starred(inner) => match self.eval(inner, env) {
                    Value::Tuple(items) => values.extend(items),
                    _ => panic!("{inner:?} is starred"),
                },
                value => values.push(self.eval(value, env)),
            }
        }
        values
    }

    /// The tensors of those of these parameters that are not `None`.
    fn given(&mut self, env: &Env, names: &[&str]) -> Vec<Id> {
        let given = names.iter().filter(|of| !matches!(env[**of], Value::None));
        given.map(|of| self.tensor(&env[*of])).collect()
    }

    fn named_call(&mut self, name: &str, args: Vec<Value>, named: Vec<(String, Value)>) -> Value {
        match (name, args.as_slice()) {
            ("uniform" | "normal" | "constant", [Value::Number(value), shape @ ..]) => {
                let shape = shape.iter().map(|size| sizes(size)[0]);
                Value::param(shape.collect(), graph::start(name, *value))
            }
            ("getattr", [Value::Object(object), Value::Text(name)]) => object.child(name),
            ("iter", [Value::Tuple(items)]) => {
                let number = |value: &Value| match value {
                    Value::Number(number) => *number,
                    _ => panic!("a kernel's number"),
                };
                Value::Iter(Rc::new(RefCell::new(items.iter().map(number).collect())))
            }
            ("next", [Value::Iter(iter)]) => Value::Number(iter.borrow_mut().pop_front().expect("one more visit")),
            ("low_rank", [kernel, b, a]) => {
                let [kernel, a, b] = [kernel, a, b].map(|tensor| self.tensor(tensor));
                let sum = self.graph.add("low_rank", &[kernel, a, b]);
                self.axes.insert(sum, self.axes[&kernel]);
                Value::Tensor(sum)
            }
            ("layer_norm", _) => {
                let env = self.bind(&self.functions[name], args, named);
                let inputs = self.given(&env, &["x", "weight", "bias"]);
                let eps = number(&env["eps"]);
                let [x, weight, bias] = inputs[..] else {
                    return Value::Tensor(self.graph.add(graph::numbered(name, &[("eps", eps)]), &inputs));
                };
                let key = self.key_of([("weight", weight), ("bias", bias)]);
                Value::Tensor(self.graph.add(graph::layer_norm(&key, eps), &[x]))
            }
            ("rms_norm", _) => {
                let env = self.bind(&self.functions[name], args, named);
                let inputs = self.given(&env, &["x", "weight"]);
                let numbers = ["eps", "heads"].map(|of| (of, number(&env[of])));
                let op = graph::numbered(name, &numbers);
                Value::Tensor(self.graph.add(op, &inputs))
            }
            ("standardized", _) => {
                let env = self.bind(&self.functions[name], args, named);
                let inputs = self.given(&env, &["weight", "gain"]);
                let op = graph::numbered(name, &[("eps", number(&env["eps"]))]);
                Value::Tensor(self.graph.add(op, &inputs))
            }
            ("stochastic_depth", [x, Value::Number(p), Value::Text(training)]) => {
                assert_eq!(training, "training");
                let x = self.tensor(x);
                Value::Tensor(self.graph.add(graph::stochastic_depth(*p), &[x]))
            }
            ("noise", [x, Value::Number(std), Value::Text(training)]) => {
                assert_eq!(training, "training");
                let x = self.tensor(x);
                Value::Tensor(self.graph.add(graph::noise(*std), &[x]))
            }
            ("attend" | "attend_tokens", _) => {
                let env = self.bind(&self.functions[name], args, named);
                Value::Tensor(self.attend(name == "attend_tokens", &env))
            }
            ("masked_attend", _) => {
                let env = self.bind(&self.functions[name], args, named);
                Value::Tensor(self.masked_attend(&env))
            }
            ("gather" | "mean_of_first", [x, other]) => {
                let inputs = [self.tensor(x), self.tensor(other)];
                Value::Tensor(self.graph.add(name, &inputs))
            }
            ("windows", [x, rows, columns]) => {
                let sizes = [("height", number(rows)), ("width", number(columns))];
                let x = self.tensor(x);
                Value::Tensor(self.graph.add(graph::numbered(name, &sizes), &[x]))
            }
            ("merge_windows", [x, sizes @ ..]) => {
                let names = ["height", "width", "map_height", "map_width"].into_iter();
                let sizes: Vec<(&str, f64)> = names.zip(sizes.iter().map(number)).collect();
                let x = self.tensor(x);
                Value::Tensor(self.graph.add(graph::numbered(name, &sizes), &[x]))
            }
            ("softmax_of_positions", _) => {
                let env = self.bind(&self.functions[name], args, named);
                let log = f64::from(u8::from(!matches!(env["log"], Value::None)));
                let x = self.tensor(&env["x"]);
                let op = graph::numbered("softmax", &[("log", log), ("of_positions", 1.0)]);
                Value::Tensor(self.graph.add(op, &[x]))
            }
            ("rotary", _) => {
                let env = self.bind(&self.functions[name], args, named);
                let x = self.tensor(&env["x"]);
                let numbers = ["heads", "base"].map(|of| (of, number(&env[of])));
                Value::Tensor(self.graph.add(graph::numbered(name, &numbers), &[x]))
            }
            ("sinusoidal_positions", _) => {
                let env = self.bind(&self.functions[name], args, named);
                let x = self.tensor(&env["x"]);
                let op = graph::numbered(name, &[("base", number(&env["base"]))]);
                Value::Tensor(self.graph.add(op, &[x]))
            }
            _ => self.construct(name, args, named),
        }
    }

    /// Attention over positions or tokens. As many heads of keys as of queries are 0.
    fn attend(&mut self, tokens: bool, env: &Env) -> Id {
        let heads = number(&env["heads"]) as u64;
        let key_heads = match number(&env["key_heads"]) as u64 {
            0 => heads,
            key_heads => key_heads,
        };
        let causal = !matches!(env["causal"], Value::None);
        let op = graph::attend(heads, key_heads, causal);
        let op = if tokens { graph::of_tokens(&op) } else { op };
        let inputs = ["query", "key", "value"].map(|input| self.tensor(&env[input]));
        self.graph.add(op, &inputs)
    }

    /// Attention with masks: the numbers that are given, the inputs, the lengths and the biases if it has them.
    fn masked_attend(&mut self, env: &Env) -> Id {
        let one = |name: &str| {
            if let Value::Number(number) = env[name] {
                number
            } else {
                0.0
            }
        };
        let two = |name: &str| match &env[name] {
            Value::Tuple(items) => [number(&items[0]), number(&items[1])],
            _ => panic!("two numbers"),
        };
        let heads = one("heads");
        let key_heads = if one("key_heads") > 0.0 {
            one("key_heads")
        } else {
            heads
        };
        let [[rows, columns], [height, width], [up, left]] = ["grid", "map_size", "shift"].map(two);
        let op = graph::masked_attend(&[
            ("heads", heads),
            ("key_heads", key_heads),
            ("causal", one("causal")),
            ("window", one("window")),
            ("prefix", one("prefix")),
            ("chunk", one("chunk")),
            ("grid_height", rows),
            ("grid_width", columns),
            ("map_height", height),
            ("map_width", width),
            ("up", up),
            ("left", left),
        ]);
        let names = ["query", "key", "value", "lengths", "biases"].into_iter();
        let given = names.filter(|name| !matches!(env[*name], Value::None));
        let inputs: Vec<Id> = given.map(|name| self.tensor(&env[name])).collect();
        self.graph.add(op, &inputs)
    }

    /// A method of a tensor, if this is one.
    fn method_of_tensor(&mut self, function: &Expr, args: &[Arg], env: &Env) -> Option<Value> {
        let Expr::Attribute(object, name) = function else {
            return None;
        };
        if !matches!(
            name.as_str(),
            "mean" | "max" | "flatten" | "transpose" | "expand" | "unsqueeze" | "squeeze"
        ) {
            return None;
        }
        if matches!(&**object, Expr::Name(name) if !env.contains_key(name)) {
            return None;
        }
        let x = match self.eval(object, env) {
            Value::Tensor(x) => x,
            param @ Value::Param(_) => self.tensor(&param),
            _ => return None,
        };
        let args: Vec<&Expr> = args.iter().map(|arg| &arg.value).collect();
        if name == "expand" {
            return Some(Value::Tensor(self.expand(x, &args, env)));
        }
        let numbers = |items: &[Expr]| items == [Expr::Number(2.0), Expr::Number(3.0)];
        match (name.as_str(), args.as_slice()) {
            ("mean", [Expr::Tuple(axes)]) if numbers(axes) => {
                Some(Value::Tensor(self.graph.add("global avg_pool", &[x])))
            }
            ("mean", [Expr::Number(1.0)]) => {
                Some(Value::Tensor(self.graph.add(graph::of_tokens("global avg_pool"), &[x])))
            }
            ("mean", [Expr::Number(1.0), Expr::Name(keep)]) if keep == "True" => {
                Some(Value::Tensor(self.graph.add("channel_mean", &[x])))
            }
            ("max", [Expr::Number(1.0), Expr::Name(keep)]) if keep == "True" => {
                Some(Value::Tensor(self.graph.add("max 1 kept", &[x])))
            }
            ("max", [Expr::Number(1.0)]) => Some(Value::Tensor(self.graph.add("max 1", &[x]))),
            ("flatten", [Expr::Number(2.0)]) => Some(Value::Tensor(self.graph.add("flatten 2", &[x]))),
            ("transpose", [Expr::Number(0.0), Expr::Number(1.0)]) => {
                let turned = self.graph.add("transpose", &[x]);
                self.axes.insert(turned, self.axes[&x]);
                Some(Value::Tensor(turned))
            }
            // The positions of a map behind its channels, and before them.
            ("transpose", [Expr::Number(1.0), Expr::Number(2.0)]) if self.graph.op(x) == "flatten 2" => {
                let inputs = self.graph.inputs(x).to_vec();
                Some(Value::Tensor(self.graph.add("to_tokens", &inputs)))
            }
            ("transpose", [Expr::Number(1.0), Expr::Number(2.0)]) => {
                Some(Value::Tensor(self.graph.add("transpose", &[x])))
            }
            ("unsqueeze", [Expr::Number(2.0)]) if self.graph.op(x) == "transpose" => {
                let inputs = self.graph.inputs(x).to_vec();
                Some(Value::Tensor(self.graph.add("to_signal", &inputs)))
            }
            ("unsqueeze", [Expr::Number(2.0)]) => Some(Value::Tensor(self.graph.add(READ_SIGNAL, &[x]))),
            ("squeeze", [Expr::Number(2.0)]) => Some(Value::Tensor(self.graph.add(INTO_SIGNAL, &[x]))),
            ("flatten", [Expr::Number(1.0)]) if self.graph.op(x) == "adaptive max 1" => {
                let inputs = self.graph.inputs(x).to_vec();
                Some(Value::Tensor(self.graph.add("global max_pool", &inputs)))
            }
            ("flatten", [Expr::Number(1.0)]) => Some(Value::Tensor(self.graph.add("flatten", &[x]))),
            _ => panic!("{name} of {args:?}"),
        }
    }

    /// `[1, features]` for each of a batch: `weight.expand(x.shape[0], 1, -1)`.
    fn expand(&mut self, weight: Id, args: &[&Expr], env: &Env) -> Id {
        let [Expr::Index(sizes, axis), Expr::Number(1.0), Expr::Negative(rest)] = args else {
            panic!("expand of {args:?}")
        };
        assert_eq!(
            (axis.as_slice(), &**rest),
            (&[Expr::Number(0.0)][..], &Expr::Number(1.0))
        );
        assert_eq!(self.axes.get(&weight), Some(&2), "one token");
        match &**sizes {
            Expr::Attribute(of, shape) if shape == "shape" => {
                let of = self.eval(of, env);
                let inputs = [weight, self.tensor(&of)];
                self.graph.add("expand", &inputs)
            }
            other => panic!("expand to {other:?}"),
        }
    }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Number(number) => *number,
        _ => panic!("no number"),
    }
}

fn is_super(expr: &Expr) -> bool {
    matches!(expr, Expr::Call(function, args) if **function == Expr::Name("super".to_owned()) && args.is_empty())
}
