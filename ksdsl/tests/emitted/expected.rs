//! What a network should compute: its resolved layers, one by one, without any structs.

use crate::graph::{self, Graph, Id, Params};
use ksdsl::ir::{Init, Layer, Network, Node, Part, Shape, View, Visit};
use ksdsl::ops::Call;

/// The key of what holds a part of a layer.
fn holder(network: &Network, layer: &Layer, visit: Option<Visit>) -> String {
    match visit {
        None => layer.path.key(),
        Some(Visit { group, kernel }) => {
            let group = &network.groups[group];
            match group.kernels {
                1 => format!("shared.{}", group.name),
                _ => format!("shared.{}.{kernel}", group.name),
            }
        }
    }
}

pub(crate) fn init(init: Init) -> String {
    match init {
        Init::Constant(value) => graph::start("constant", value.0),
        Init::Uniform(value) => graph::start("uniform", value.0),
        Init::Normal(value) => graph::start("normal", value.0),
    }
}

/// The parameters of a network; a shared one starts as that of its first visit would.
pub(crate) fn params(network: &Network) -> Params {
    let mut params = Params::new();
    for layer in &network.layers {
        let kernel = holder(network, layer, layer.kernel);
        match layer.op.call().name {
            name @ ("batch_norm" | "layer_norm") if layer.op.module().is_some() => {
                let (call, batch) = (layer.op.call(), name == "batch_norm");
                let first = if call.int("affine") == 1 {
                    "weight"
                } else {
                    "running_mean"
                };
                if !params.contains_key(&format!("{kernel}.{first}")) {
                    let has = [call.int("affine") == 1, batch];
                    graph::norm_params(&mut params, &kernel, call.int("channels"), has);
                }
            }
            _ => {
                for tensor in layer.op.tensors() {
                    let holder = match tensor.part {
                        Part::Bias => holder(network, layer, layer.bias),
                        _ => kernel.clone(),
                    };
                    let first = first_visit(network, layer, tensor.name).unwrap_or(tensor.init);
                    let key = format!("{holder}.{}", tensor.name);
                    let stored = network.stored(layer, tensor);
                    params.entry(key).or_insert((stored.shape, init(first)));
                }
            }
        }
        own_params(layer, &mut params);
    }
    params
}

/// How the first visit of a group starts this tensor.
fn first_visit(network: &Network, layer: &Layer, name: &str) -> Option<Init> {
    let visit = if name == "bias" { layer.bias } else { layer.kernel }?;
    let group = &network.groups[visit.group];
    let mut visits = group.visits.iter().map(|visit| &network.layers[*visit]);
    // The first that uses all of the kernel as it is stored.
    let first = visits.find(|layer| layer.view == View::default())?;
    let mut tensors = first.op.tensors().into_iter();
    tensors.find(|tensor| tensor.name == name).map(|tensor| tensor.init)
}

/// Coefficients of the kernels of a bank, whose squares add up to 1 on average; factors of 1; of an addition B A (Hu et al. 2021, section 4.1) B is 0 and A starts as PyTorch's weights
/// of as many columns do.
fn own_params(layer: &Layer, params: &mut Params) {
    let Some(shape) = layer.op.kernel_shape() else { return };
    let (rows, columns) = (shape[0], shape[1..].iter().product::<u64>());
    let mut own = |name: &str, shape: Vec<u64>, start: String| {
        params.insert(format!("{}.{name}", layer.path.key()), (shape, start));
    };
    if let Some(rank) = layer.rank {
        let bound = 1.0 / (columns as f64).sqrt();
        own("low_rank_a", vec![rank, columns], graph::start("uniform", bound));
        own("low_rank_b", vec![rows, rank], graph::start("constant", 0.0));
    }
    if let Some(kernels) = layer.combined {
        let deviation = 1.0 / (kernels as f64).sqrt();
        own("coefficients", vec![kernels], graph::start("normal", deviation));
    }
    if layer.scaled {
        own("scale", vec![rows], graph::start("constant", 1.0));
    }
}

/// What of a network is written down: Rust says shapes.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Style {
    Rust,
    Python,
}

/// A tensor `[batch, tokens, features]` as an activation.
pub(crate) const READ_TOKENS: &str = "read tokens";

/// An activation as a tensor `[batch, tokens, features]`.
pub(crate) const INTO_TOKENS: &str = "into tokens";

/// A tensor `[batch, channels, length]` as an activation.
pub(crate) const READ_SIGNAL: &str = "read signal";

/// An activation as a tensor `[batch, channels, length]`.
pub(crate) const INTO_SIGNAL: &str = "into signal";

/// What an input is called.
pub(crate) fn input_name(at: usize) -> String {
    match at {
        0 => "input".to_owned(),
        at => format!("input {at}"),
    }
}

/// Adds what a network computes of its input to a graph.
pub(crate) fn forward(network: &Network, style: Style, graph: &mut Graph) -> Id {
    // Rust says which of the tensors are `[batch, tokens, features]`.
    let read = |at: usize, graph: &mut Graph| {
        let input = graph.add(input_name(at), &[]);
        match (style, network.inputs[at].shape) {
            (Style::Rust, Shape::Tokens { .. }) => graph.add(READ_TOKENS, &[input]),
            (_, Shape::Signal { .. }) => graph.add(READ_SIGNAL, &[input]),
            _ => input,
        }
    };
    let input = read(0, graph);
    let mut values = vec![None; network.values.len()];
    for (at, value) in network.more_inputs().into_iter().enumerate() {
        values[value] = Some(read(at + 1, graph));
    }
    let mut walk = Walk {
        network,
        style,
        graph,
        values,
    };
    let last = walk.nodes(&network.nodes, input);
    let mut outputs: Vec<Id> = network
        .output_values()
        .into_iter()
        .filter_map(|value| walk.values[value])
        .collect();
    if outputs.is_empty() {
        outputs.push(last);
    }
    assert_eq!(outputs.len(), network.outputs.len());
    for (output, port) in outputs.iter_mut().zip(&network.outputs) {
        match (style, port.shape) {
            (Style::Rust, Shape::Tokens { .. }) => *output = graph.add(INTO_TOKENS, &[*output]),
            (_, Shape::Signal { .. }) => *output = graph.add(INTO_SIGNAL, &[*output]),
            _ => {}
        }
    }
    match outputs.as_slice() {
        [only] => *only,
        outputs => graph.add("outputs", outputs),
    }
}

struct Walk<'n, 'g> {
    network: &'n Network,
    style: Style,
    graph: &'g mut Graph,
    values: Vec<Option<Id>>,
}

/// The words for an operation with all of its numbers.
fn numbers(call: &Call) -> String {
    let numbers: Vec<_> = call.args.iter().map(|(of, _)| (*of, call.real(of))).collect();
    graph::numbered(call.name, &numbers)
}

/// The words for attention with masks. Whether there are lengths and biases, its inputs show.
fn masked(call: &Call) -> String {
    let numbers = call.args.iter().map(|(of, _)| (*of, call.real(of)));
    let numbers: Vec<_> = numbers
        .filter(|(of, _)| !matches!(*of, "lengths" | "relative"))
        .collect();
    graph::masked_attend(&numbers)
}

/// The words for a shape that is said. A sequence is a map of one row, its features are the channels.
pub(crate) fn shaped(op: String, shape: Shape) -> String {
    let sizes = match shape {
        Shape::Tokens { length, features } => vec![features, 1, length],
        Shape::Signal { channels, length } => vec![channels, 1, length],
        shape => shape.sizes(),
    };
    format!("{op} to {sizes:?}")
}

fn is_tokens(shape: Shape) -> bool {
    matches!(shape, Shape::Tokens { .. })
}

impl Walk<'_, '_> {
    fn node(&mut self, node: &Node, x: Id) -> Id {
        match node {
            Node::Layer(layer) => self.layer(&self.network.layers[*layer], x),
            Node::Scope(scope) => self.nodes(&scope.nodes, x),
            Node::Keep(value) | Node::Set(value) => {
                self.values[*value] = Some(x);
                x
            }
            Node::From(value) => self.values[*value].expect("a value that was kept"),
            Node::Loop(_) => panic!("how often a loop runs is not known here"),
            Node::Join(join) => {
                let arms = join.arms.iter();
                let values: Vec<(Id, Shape)> = arms.map(|arm| (self.nodes(&arm.nodes, x), arm.output)).collect();
                match join.op.call().name {
                    "masked_attend" => {
                        let mut inputs: Vec<Id> = values.iter().map(|(value, _)| *value).collect();
                        if let Some(layer) = join.layer.map(|layer| &self.network.layers[layer]) {
                            let holder = holder(self.network, layer, layer.kernel);
                            let biases = layer.op.tensors().into_iter();
                            inputs.extend(biases.map(|biases| self.graph.param(&format!("{holder}.{}", biases.name))));
                        }
                        self.graph.add(masked(join.op.call()), &inputs)
                    }
                    "matmul" | "gather" | "mean_of_first" => {
                        let inputs = [values[0].0, values[1].0];
                        self.say(numbers(join.op.call()), join.output, &inputs)
                    }
                    _ => self.join(join.op.call(), &values),
                }
            }
        }
    }

    fn nodes(&mut self, nodes: &[Node], x: Id) -> Id {
        nodes.iter().fold(x, |x, node| self.node(node, x))
    }

    fn join(&mut self, call: &Call, arms: &[(Id, Shape)]) -> Id {
        if call.name == "attend" {
            let inputs: Vec<Id> = arms.iter().map(|(arm, _)| *arm).collect();
            let op = graph::attend(call.int("heads"), call.int("key_heads"), call.int("causal") == 1);
            return self.laid_out(&op, arms[0].1, &inputs);
        }
        let (mut x, mut shape) = arms[0];
        for &(arm, other) in &arms[1..] {
            x = match (call.name, shape, other) {
                (name @ ("add" | "subtract"), ..) => self.graph.add(name, &[x, arm]),
                ("concat", ..) => {
                    shape = shape.with_channels(shape.channels() + other.channels());
                    match self.style {
                        Style::Rust => self.say("concat".to_owned(), shape, &[x, arm]),
                        Style::Python => self.laid_out("concat", shape, &[x, arm]),
                    }
                }
                ("multiply", Shape::Map { .. } | Shape::Signal { .. }, Shape::Flat(_)) => {
                    self.graph.add("gate", &[x, arm])
                }
                ("multiply", Shape::Flat(_), Shape::Map { .. } | Shape::Signal { .. }) => {
                    shape = other;
                    self.graph.add("gate", &[arm, x])
                }
                ("multiply", so_far, other) if so_far.channels() != other.channels() => {
                    let [map, factors] = match so_far.channels() > other.channels() {
                        true => [x, arm],
                        false => [arm, x],
                    };
                    shape = if map == x { so_far } else { other };
                    match self.style {
                        Style::Rust => self.graph.add("gate_positions", &[map, factors]),
                        Style::Python => self.graph.add("multiply", &[x, arm]),
                    }
                }
                ("multiply", ..) => self.graph.add("multiply", &[x, arm]),
                (name, ..) => panic!("the join {name}"),
            };
        }
        x
    }

    /// An operation whose output's shape Rust says.
    fn say(&mut self, op: String, output: Shape, inputs: &[Id]) -> Id {
        let op = if self.style == Style::Rust {
            shaped(op, output)
        } else {
            op
        };
        self.graph.add(op, inputs)
    }

    /// An operation that Python writes by axes, and so in another way for a sequence.
    fn laid_out(&mut self, op: &str, input: Shape, inputs: &[Id]) -> Id {
        let op = match self.style == Style::Python && is_tokens(input) {
            true => graph::of_tokens(op),
            false => op.to_owned(),
        };
        self.graph.add(op, inputs)
    }

    fn layer(&mut self, layer: &Layer, x: Id) -> Id {
        let norm = holder(self.network, layer, layer.kernel);
        let call = layer.op.call();
        let pair = |name: &str| ["height", "width"].map(|axis| call.int(&format!("{name}_{axis}")));
        match call.name {
            "conv" => {
                let pad = ["pad_top", "pad_bottom", "pad_left", "pad_right"].map(|side| call.int(side));
                let op = graph::conv(pair("stride"), pad, pair("dilation"), call.int("groups"));
                let inputs = self.weighted(layer, x);
                self.say(op, layer.output, &inputs)
            }
            "linear" => {
                let inputs = self.weighted(layer, x);
                let at = self.style == Style::Rust && is_tokens(layer.input);
                self.graph.add(if at { "linear_at" } else { "linear" }, &inputs)
            }
            "batch_norm" => {
                let op = graph::batch_norm(&norm, call.real("eps"), call.real("momentum"));
                self.graph.add(op, &[x])
            }
            "layer_norm" if call.int("bias") == 1 => self.graph.add(graph::layer_norm(&norm, call.real("eps")), &[x]),
            name @ ("max_pool" | "avg_pool" | "avg_pool_ceil") => {
                let op = self.pool(name, call);
                self.say(op, layer.output, &[x])
            }
            "global_avg_pool" => self.laid_out("global avg_pool", layer.input, &[x]),
            "global_max_pool" => self.laid_out("global max_pool", layer.input, &[x]),
            "dropout" => self.graph.add(graph::dropout(call.real("p")), &[x]),
            "noise" => self.graph.add(graph::noise(call.real("std")), &[x]),
            "stochastic_depth" => self.graph.add(graph::stochastic_depth(call.real("p")), &[x]),
            "flatten" => self.say("flatten".to_owned(), layer.output, &[x]),
            "position_embedding" => {
                let table = self.graph.param(&format!("{norm}.weight"));
                let op = match is_tokens(layer.input) {
                    true => graph::of_tokens("position"),
                    false => "position".to_owned(),
                };
                self.graph.add(op, &[x, table])
            }
            "embedding" | "prepend_token" => {
                let inputs = self.weighted(layer, x);
                self.say(call.name.to_owned(), layer.output, &inputs)
            }
            "to_tokens" => self.say("to_tokens".to_owned(), layer.output, &[x]),
            // For Rust both are maps of one row.
            "to_signal" => match self.style {
                Style::Rust => self.say("to_tokens".to_owned(), layer.output, &[x]),
                Style::Python => self.graph.add("to_signal", &[x]),
            },
            "windows" | "merge_windows" => self.say(numbers(call), layer.output, &[x]),
            "roll" => self.graph.add(numbers(call), &[x]),
            // PyTorch's `flatten` is for both.
            "flatten_tokens" => match self.style {
                Style::Rust => self.say("flatten_tokens".to_owned(), layer.output, &[x]),
                Style::Python => self.graph.add("flatten", &[x]),
            },
            "token" => self.say(numbers(call), layer.output, &[x]),
            "softmax" if call.int("of_positions") == 1 => self.graph.add(numbers(call), &[x]),
            "softmax" => self.laid_out(&numbers(call), layer.input, &[x]),
            "leaky_relu" | "elu" | "affine" | "clamp" | "channel_shuffle" | "rotary" | "sinusoidal_positions" => {
                self.graph.add(numbers(call), &[x])
            }
            "channel_mean" | "channel_max" => {
                let op = match self.style {
                    Style::Rust => graph::channel_pool(call.name == "channel_max"),
                    Style::Python => call.name.to_owned(),
                };
                self.say(op, layer.output, &[x])
            }
            // PyTorch knows by the number of factors.
            "gain" => {
                let inputs = self.weighted(layer, x);
                let op = if self.style == Style::Rust {
                    "gain"
                } else {
                    "layer_scale"
                };
                self.graph.add(op, &inputs)
            }
            "unflatten" | "upsample" | "pixel_shuffle" | "slice" | "zero_pad" | "zero_channels"
            | "adaptive_avg_pool" => self.say(numbers(call), layer.output, &[x]),
            "conv_transpose" => {
                let inputs = self.weighted(layer, x);
                self.say(self.conv_transpose(call), layer.output, &inputs)
            }
            name @ ("layer_scale" | "layer_shift") => {
                let inputs = self.weighted(layer, x);
                self.graph.add(name, &inputs)
            }
            // PyTorch knows by the slopes whether there is one for all.
            "prelu" => {
                let inputs = self.weighted(layer, x);
                let op = match self.style {
                    Style::Rust => graph::numbered("prelu", &[("per_channel", call.real("per_channel"))]),
                    Style::Python => "prelu".to_owned(),
                };
                self.graph.add(op, &inputs)
            }
            name @ ("group_norm" | "rms_norm" | "layer_norm") => {
                let tensors: &[&str] = match name {
                    _ if call.int("affine") == 0 => &[],
                    "group_norm" => &["weight", "bias"],
                    _ => &["weight"],
                };
                let numbers: &[&str] = match name {
                    "group_norm" => &["groups", "eps"],
                    "layer_norm" => &["eps"],
                    _ => &["eps", "heads"],
                };
                let numbers: Vec<_> = numbers.iter().map(|of| (*of, call.real(of))).collect();
                let params = tensors
                    .iter()
                    .map(|tensor| self.graph.param(&format!("{norm}.{tensor}")));
                let inputs: Vec<Id> = std::iter::once(x).chain(params).collect();
                self.graph.add(graph::numbered(name, &numbers), &inputs)
            }
            name @ ("tanh" | "softplus" | "mish" | "selu" | "hard_sigmoid" | "exp") => self.graph.add(name, &[x]),
            name @ ("relu" | "gelu" | "gelu_tanh" | "silu" | "sigmoid" | "hard_swish" | "relu6") => {
                self.graph.add(name, &[x])
            }
            name => panic!("{} is `{name}`", layer.path),
        }
    }

    /// The words for a pool, whose last windows may reach beyond the padding: PyTorch says that they may, Rust how far.
    fn pool(&self, name: &str, call: &Call) -> String {
        let pair = |name: &str| ["height", "width"].map(|axis| call.int(&format!("{name}_{axis}")));
        let ([y, z], [below, right]) = (pair("pad"), ["below", "right"].map(|side| call.int(side)));
        match self.style {
            Style::Python => {
                let plain = graph::pool(
                    name.trim_end_matches("_ceil"),
                    pair("kernel"),
                    pair("stride"),
                    [y, y, z, z],
                );
                let ceil = if [below, right] == [0, 0] { "" } else { " ceil" };
                let inside = name == "avg_pool_ceil" && call.int("count_pad") == 0;
                plain + ceil + if inside { graph::NOT_COUNTED } else { "" }
            }
            Style::Rust if name == "avg_pool_ceil" => {
                let given = &call.args[..8];
                let numbers: Vec<_> = given.iter().map(|(of, _)| (*of, call.real(of))).collect();
                graph::numbered(name, &numbers)
            }
            Style::Rust => graph::pool(name, pair("kernel"), pair("stride"), [y, y + below, z, z + right]),
        }
    }

    /// The words for a transposed convolution; PyTorch knows channels and kernel by the weight.
    fn conv_transpose(&self, call: &Call) -> String {
        let of_weight = ["channels", "kernel_height", "kernel_width"];
        let said = |name: &str| match self.style {
            Style::Rust => !matches!(name, "inputs" | "bias"),
            Style::Python => !matches!(name, "inputs" | "bias") && !of_weight.contains(&name),
        };
        let given = call.args.iter().filter(|(name, _)| said(name));
        let numbers: Vec<_> = given.map(|(of, _)| (*of, call.real(of))).collect();
        graph::numbered("conv_transpose", &numbers)
    }

    /// The inputs of a layer with a kernel: `x`, the kernel that it uses, and its bias.
    fn weighted(&mut self, layer: &Layer, x: Id) -> Vec<Id> {
        let (own, call) = (layer.path.key(), layer.op.call());
        let kernel = holder(self.network, layer, layer.kernel);
        let mut kernel = self.graph.param(&format!("{kernel}.weight"));
        if layer.combined.is_some() {
            let coefficients = self.graph.param(&format!("{own}.coefficients"));
            kernel = self.graph.add("combine", &[kernel, coefficients]);
        }
        if layer.view.transposed {
            kernel = self.graph.add("transpose", &[kernel]);
        }
        if let ([rows, columns, ..], true) = (&*layer.op.kernel_shape().unwrap_or_default(), layer.view.slice) {
            kernel = self.graph.add(graph::first([*rows, *columns]), &[kernel]);
        }
        if layer.rank.is_some() {
            let [a, b] = ["a", "b"].map(|factor| self.graph.param(&format!("{own}.low_rank_{factor}")));
            kernel = self.graph.add("low_rank", &[kernel, a, b]);
        }
        if layer.scaled {
            let scale = self.graph.param(&format!("{own}.scale"));
            kernel = self.graph.add("scale", &[kernel, scale]);
        }
        if call.int("standardize") == 1 {
            let mut inputs = vec![kernel];
            if call.int("gain") == 1 {
                let of = holder(self.network, layer, layer.kernel);
                inputs.push(self.graph.param(&format!("{of}.gain")));
            }
            let op = graph::numbered("standardized", &[("eps", call.real("eps"))]);
            kernel = self.graph.add(op, &inputs);
        }
        let mut inputs = vec![x, kernel];
        if layer.op.tensors().iter().any(|tensor| tensor.part == Part::Bias) {
            let bias = holder(self.network, layer, layer.bias);
            inputs.push(self.graph.param(&format!("{bias}.bias")));
        }
        inputs
    }
}
