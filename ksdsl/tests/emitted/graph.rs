//! What a forward pass computes, whoever wrote it down: operations on parameters and on each other.
//!
//! Equal computations get equal numbers, so that two passes are the same exactly if their results have
//! one number.

use std::collections::{BTreeMap, HashMap};

/// A computed value.
pub(crate) type Id = usize;

/// The parameters of a network by key, each with its sizes and how it starts.
pub(crate) type Params = BTreeMap<String, (Vec<u64>, String)>;

/// An operation with everything that distinguishes it, and what it works on.
type Node = (String, Vec<Id>);

/// All computations that were met.
#[derive(Default)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    known: HashMap<Node, Id>,
}

impl Graph {
    pub(crate) fn add(&mut self, op: impl Into<String>, inputs: &[Id]) -> Id {
        let node = (op.into(), inputs.to_vec());
        if let Some(id) = self.known.get(&node) {
            return *id;
        }
        self.nodes.push(node.clone());
        self.known.insert(node, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    pub(crate) fn param(&mut self, key: &str) -> Id {
        self.add(format!("param {key}"), &[])
    }

    pub(crate) fn op(&self, id: Id) -> &str {
        &self.nodes[id].0
    }

    pub(crate) fn inputs(&self, id: Id) -> &[Id] {
        &self.nodes[id].1
    }

    /// Where two computations differ first, in words.
    pub(crate) fn difference(&self, one: Id, other: Id) -> String {
        let ((a, inputs), (b, others)) = (&self.nodes[one], &self.nodes[other]);
        if a != b || inputs.len() != others.len() {
            return format!("`{a}` of {} but `{b}` of {}", self.list(inputs), self.list(others));
        }
        match inputs.iter().zip(others).find(|(a, b)| a != b) {
            Some((a, b)) => self.difference(*a, *b),
            None => "nothing".to_owned(),
        }
    }

    fn list(&self, inputs: &[Id]) -> String {
        let names: Vec<&str> = inputs.iter().map(|id| self.op(*id)).collect();
        format!("({})", names.join(" | "))
    }
}

/// The words for operations with numbers.
pub(crate) fn conv(stride: [u64; 2], pad: [u64; 4], dilation: [u64; 2], groups: u64) -> String {
    format!("conv stride {stride:?} pad {pad:?} dilation {dilation:?} groups {groups}")
}

pub(crate) fn pool(kind: &str, kernel: [u64; 2], stride: [u64; 2], pad: [u64; 4]) -> String {
    format!("{kind} kernel {kernel:?} stride {stride:?} pad {pad:?}")
}

pub(crate) fn batch_norm(key: &str, eps: f64, momentum: f64) -> String {
    format!("batch_norm {key} eps {eps:?} momentum {momentum:?}")
}

pub(crate) fn layer_norm(key: &str, eps: f64) -> String {
    format!("layer_norm {key} eps {eps:?}")
}

/// Attention with masks: the numbers that are not zero.
pub(crate) fn masked_attend(numbers: &[(&str, f64)]) -> String {
    let given: Vec<(&str, f64)> = numbers.iter().copied().filter(|(_, number)| *number != 0.0).collect();
    numbered("masked_attend", &given)
}

pub(crate) fn dropout(p: f64) -> String {
    format!("dropout {p:?}")
}

pub(crate) fn attend(heads: u64, key_heads: u64, causal: bool) -> String {
    format!("attend heads {heads} key_heads {key_heads} causal {causal}")
}

/// An operation on `[batch, tokens, features]` where one on feature maps or vectors is written in another way.
pub(crate) fn of_tokens(op: &str) -> String {
    format!("{op} of tokens")
}

/// An operation with numbers by name.
pub(crate) fn numbered(name: &str, numbers: &[(&str, f64)]) -> String {
    let numbers = numbers.iter().map(|(of, value)| format!(" {of} {value:?}"));
    format!("{name}{}", numbers.collect::<String>())
}

/// The mean, or the maximum, over channels.
pub(crate) fn channel_pool(max: bool) -> String {
    numbered("channel_pool", &[("max", f64::from(u8::from(max)))])
}

/// Of a pool whose padding does not count.
pub(crate) const NOT_COUNTED: &str = " not counted";

/// Operations made of loops whose output has another shape, which Rust says.
const RESHAPING: &[&str] = &[
    "upsample",
    "pixel_shuffle",
    "slice",
    "zero_pad",
    "zero_channels",
    "adaptive_avg_pool",
    "avg_pool_ceil",
    "conv_transpose",
    "to_tokens",
    "flatten_tokens",
    "token",
    "windows",
    "merge_windows",
    "matmul",
    "gather",
    "mean_of_first",
    "unflatten",
    "channel_pool",
];

pub(crate) fn is_reshaping(name: &str) -> bool {
    RESHAPING.contains(&name)
}

pub(crate) fn noise(std: f64) -> String {
    format!("noise {std:?}")
}

pub(crate) fn stochastic_depth(p: f64) -> String {
    format!("stochastic_depth {p:?}")
}

pub(crate) fn start(word: &str, value: f64) -> String {
    format!("{word} {value:?}")
}

/// A norm of these channels under a key: its parameters and statistics.
pub(crate) fn norm_params(params: &mut Params, key: &str, channels: u64, [affine, statistics]: [bool; 2]) {
    let learned = [("weight", 1.0), ("bias", 0.0)].into_iter().filter(|_| affine);
    let running = [("running_mean", 0.0), ("running_var", 1.0)]
        .into_iter()
        .filter(|_| statistics);
    for (name, value) in learned.chain(running) {
        let old = params.insert(format!("{key}.{name}"), (vec![channels], start("constant", value)));
        assert!(old.is_none(), "two tensors `{key}.{name}`");
    }
}

/// The first rows and columns of a kernel.
pub(crate) fn first([rows, columns]: [u64; 2]) -> String {
    format!("first {rows} x {columns}")
}
