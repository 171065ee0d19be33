//! Functions of PyTorch's as operations of a graph.

use super::run::Run;
use super::value::Value;
use crate::graph::{self, Id};
use std::collections::HashMap;

impl Run<'_, '_> {
    /// A function of PyTorch's.
    pub(super) fn operation(&mut self, name: &str, args: &[Value], named: &[(String, Value)]) -> Id {
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
                known(&["stride", "padding", "ceil_mode", "count_include_pad"]);
                let kernel = sizes(&args[1]);
                let [y, z] = pair("padding", [0, 0]);
                let op = graph::pool(
                    name.trim_end_matches("2d"),
                    kernel,
                    pair("stride", kernel),
                    [y, y, z, z],
                );
                let ceil = if named.contains_key("ceil_mode") { " ceil" } else { "" };
                let inside = matches!(named.get("count_include_pad"), Some(Value::None));
                let op = op + ceil + if inside { graph::NOT_COUNTED } else { "" };
                let x = self.tensor(&args[0]);
                self.graph.add(op, &[x])
            }
            "batch_norm" => {
                known(&["momentum", "eps"]);
                self.batch_norm(args, &named)
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
            // Layers of their own say what they pad with.
            "pad" if named.contains_key("value") => {
                let (x, Value::Tuple(pads)) = (self.tensor(&args[0]), &args[1]) else {
                    panic!("pad")
                };
                assert_eq!(number(named["value"]), 0.0);
                let pads: Vec<f64> = pads.iter().map(number).collect();
                let op = match pads[..] {
                    [left, right, top, bottom] => graph::numbered(
                        "zero_pad",
                        &[("top", top), ("bottom", bottom), ("left", left), ("right", right)],
                    ),
                    [before, after] | [0.0, 0.0, 0.0, 0.0, before, after] => {
                        graph::numbered("zero_channels", &[("before", before), ("after", after)])
                    }
                    _ => panic!("{pads:?}"),
                };
                self.graph.add(op, &[x])
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
                let (Value::Tuple(paths), Value::Number(axis)) = (&args[0], &args[1]) else {
                    panic!("cat")
                };
                let paths: Vec<Id> = paths.iter().map(|path| self.tensor(path)).collect();
                self.concatenation(&paths, *axis)
            }
            // A parameter's default is PyTorch's.
            "leaky_relu" | "elu" => {
                known(&[]);
                let (of, default) = if name == "elu" { ("alpha", 1.0) } else { ("slope", 0.01) };
                let value = args.get(1).map_or(default, number);
                let x = self.tensor(&args[0]);
                self.graph.add(graph::numbered(name, &[(of, value)]), &[x])
            }
            "group_norm" => {
                known(&["eps"]);
                let eps = named.get("eps").map_or(1e-5, |eps| number(eps));
                let inputs: Vec<Id> = [0, 2, 3]
                    .iter()
                    .filter_map(|at| args.get(*at))
                    .map(|arg| self.tensor(arg))
                    .collect();
                assert!(inputs.len() != 2, "a norm with a weight alone");
                let op = graph::numbered(name, &[("groups", number(&args[1])), ("eps", eps)]);
                self.graph.add(op, &inputs)
            }
            "conv_transpose2d" => {
                known(&["stride", "padding", "output_padding", "groups"]);
                let groups = named.get("groups").map_or(1.0, |groups| number(groups));
                let [stride, pad, more] = [
                    pair("stride", [1, 1]),
                    pair("padding", [0, 0]),
                    pair("output_padding", [0, 0]),
                ]
                .map(|sizes| sizes.map(|size| size as f64));
                let numbers = [
                    ("stride_height", stride[0]),
                    ("stride_width", stride[1]),
                    ("pad_height", pad[0]),
                    ("pad_width", pad[1]),
                    ("output_pad_height", more[0]),
                    ("output_pad_width", more[1]),
                    ("groups", groups),
                ];
                let inputs: Vec<Id> = args.iter().map(|arg| self.tensor(arg)).collect();
                self.graph.add(graph::numbered("conv_transpose", &numbers), &inputs)
            }
            "softmax" | "log_softmax" => {
                known(&[]);
                let log = f64::from(u8::from(name == "log_softmax"));
                let x = self.tensor(&args[0]);
                let op = graph::numbered("softmax", &[("log", log), ("of_positions", 0.0)]);
                let op = along(&op, number(&args[1]));
                self.graph.add(op, &[x])
            }
            "hardtanh" | "narrow" | "pixel_shuffle" | "channel_shuffle" | "adaptive_avg_pool2d" => {
                known(&[]);
                let x = self.tensor(&args[0]);
                let op = numbers_of(name, &args[1..]);
                self.graph.add(op, &[x])
            }
            "unflatten" => {
                known(&[]);
                let (x, Value::Number(1.0), Value::Tuple(sizes)) = (self.tensor(&args[0]), &args[1], &args[2]) else {
                    panic!("unflatten")
                };
                let named = ["channels", "height", "width"]
                    .into_iter()
                    .zip(sizes.iter().map(number));
                let named: Vec<(&str, f64)> = named.collect();
                self.graph.add(graph::numbered(name, &named), &[x])
            }
            "interpolate" => {
                known(&["scale_factor", "mode", "align_corners"]);
                let bilinear = match named.get("mode") {
                    None => 0.0,
                    Some(Value::Text(mode)) if mode == "bilinear" => 1.0,
                    Some(_) => panic!("a mode"),
                };
                let x = self.tensor(&args[0]);
                let [height, width] = sizes(named["scale_factor"]).map(|factor| factor as f64);
                let op = graph::numbered(
                    "upsample",
                    &[
                        ("factor_height", height),
                        ("factor_width", width),
                        ("bilinear", bilinear),
                    ],
                );
                self.graph.add(op, &[x])
            }
            "roll" => {
                let [down, right] = sizes(&args[1]).map(|by| by as f64);
                assert_eq!(sizes(&args[2]), [2, 3], "height and width");
                let x = self.tensor(&args[0]);
                self.graph
                    .add(graph::numbered("roll", &[("down", down), ("right", right)]), &[x])
            }
            "matmul" => {
                let factors = [&args[0], &args[1]].map(|factor| self.tensor(factor));
                let flags = factors.map(|factor| self.graph.op(factor) == "transpose");
                let inputs = factors.map(|factor| match self.graph.op(factor) {
                    "transpose" => self.graph.inputs(factor)[0],
                    _ => factor,
                });
                let [first, second] = flags.map(|flag| f64::from(u8::from(flag)));
                self.graph.add(
                    graph::numbered("matmul", &[("first", first), ("second", second)]),
                    &inputs,
                )
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
                    ("relu" | "gelu" | "silu" | "sigmoid" | "tanh" | "softplus" | "linear", None) => name,
                    ("mish" | "selu" | "exp" | "prelu" | "embedding", None) => name,
                    ("hardsigmoid", None) => "hard_sigmoid",
                    ("gelu", Some(Value::Text(word))) if word == "tanh" => "gelu_tanh",
                    ("hardswish", None) => "hard_swish",
                    ("relu6", None) => "relu6",
                    _ => panic!("the function {name}"),
                };
                self.graph.add(op, &inputs)
            }
        }
    }

    /// Values one after the other along an axis. Before a sequence along its tokens, a token that is the same for the
    /// whole batch.
    fn concatenation(&mut self, paths: &[Id], axis: f64) -> Id {
        if let ([token, x], 1.0, "expand") = (paths, axis, self.graph.op(paths[0])) {
            let [weight, batch_of] = self.graph.inputs(*token)[..] else {
                panic!("an expanded token")
            };
            assert_eq!(batch_of, *x, "a token for another batch");
            return self.graph.add("prepend_token", &[*x, weight]);
        }
        let op = along("concat", axis);
        paths[1..]
            .iter()
            .fold(paths[0], |x, path| self.graph.add(op.as_str(), &[x, *path]))
    }

    /// `F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum=0.1, eps=1e-5)`.
    fn batch_norm(&mut self, args: &[Value], named: &HashMap<&str, &Value>) -> Id {
        let [x, mean, variance, weight, bias, Value::Text(training), numbers @ ..] = args else {
            panic!("{} arguments of a norm", args.len())
        };
        assert_eq!(training, "training");
        assert!(numbers.len() <= 2);
        let number = |at: usize, name: &str, default: f64| match (numbers.get(at), named.get(name)) {
            (None, None) => default,
            (Some(Value::Number(number)), None) | (None, Some(Value::Number(number))) => *number,
            _ => panic!("`{name}` of a norm"),
        };
        let op = |key: &str| graph::batch_norm(key, number(1, "eps", 1e-5), number(0, "momentum", 0.1));
        let [x, mean, variance] = [x, mean, variance].map(|value| self.tensor(value));
        let statistics = [("running_mean", mean), ("running_var", variance)];
        let key = self.key_of(statistics);
        match (weight, bias) {
            (Value::None, Value::None) => {}
            _ => {
                let learned = [("weight", self.tensor(weight)), ("bias", self.tensor(bias))];
                assert_eq!(self.key_of(learned), key);
            }
        }
        self.graph.add(op(&key), &[x])
    }

    /// The key of the norm whose tensors these are, each under its name.
    pub(super) fn key_of<const N: usize>(&self, tensors: [(&str, Id); N]) -> String {
        let keys = tensors.map(|(name, id)| {
            let key = self.graph.op(id).strip_prefix("param ").expect("a parameter");
            let holder = key.strip_suffix(name).and_then(|key| key.strip_suffix('.'));
            holder.unwrap_or_else(|| panic!("`{key}` as {name}"))
        });
        assert!(keys.iter().all(|key| *key == keys[0]), "one norm of {keys:?}");
        keys[0].to_owned()
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

/// An operation along the axis of channels: the second, of sequences the third.
fn along(op: &str, axis: f64) -> String {
    if axis == 2.0 {
        return graph::of_tokens(op);
    }
    assert_eq!(axis, 1.0, "the axis of channels");
    op.to_owned()
}

/// The words for a function of numbers alone besides its input.
fn numbers_of(name: &str, args: &[Value]) -> String {
    match (name, args) {
        ("hardtanh", [min, max]) => graph::numbered("clamp", &[("min", number(min)), ("max", number(max))]),
        ("narrow", [Value::Number(1.0), start, length]) => {
            let start = number(start);
            graph::numbered("slice", &[("start", start), ("end", start + number(length))])
        }
        ("pixel_shuffle", [factor]) => graph::numbered(name, &[("factor", number(factor))]),
        ("channel_shuffle", [groups]) => graph::numbered(name, &[("groups", number(groups))]),
        ("adaptive_avg_pool2d", [size]) => {
            let [height, width] = sizes(size).map(|size| size as f64);
            graph::numbered("adaptive_avg_pool", &[("height", height), ("width", width)])
        }
        _ => panic!("{} arguments of {name}", args.len()),
    }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Number(number) => *number,
        _ => panic!("no number"),
    }
}

/// One size for both directions, or two.
pub(super) fn sizes(value: &Value) -> [u64; 2] {
    match value {
        Value::Number(size) => [*size as u64; 2],
        Value::Tuple(items) => match items.as_slice() {
            [Value::Number(y), Value::Number(x)] => [*y as u64, *x as u64],
            _ => panic!("not two sizes"),
        },
        _ => panic!("no size"),
    }
}
