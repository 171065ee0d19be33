//! The nodes of a graph, each once: what has the same inputs and attributes is the same value.

use crate::ops::Real;
use std::collections::{HashMap, HashSet};

/// A constant tensor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Constant {
    /// Whether its elements are integers of 64 bits rather than floating-point numbers of 32.
    pub is_int: bool,
    /// Its sizes; none for a number.
    pub dims: Vec<u64>,
    /// Its elements, little endian.
    pub bytes: Vec<u8>,
}

impl Constant {
    pub(super) fn reals(dims: &[u64], values: impl IntoIterator<Item = f64>) -> Self {
        let bytes = values.into_iter().flat_map(|value| (value as f32).to_le_bytes());
        Constant {
            is_int: false,
            dims: dims.to_vec(),
            bytes: bytes.collect(),
        }
    }

    pub(super) fn ints(dims: &[u64], values: impl IntoIterator<Item = i64>) -> Self {
        Constant {
            is_int: true,
            dims: dims.to_vec(),
            bytes: values.into_iter().flat_map(i64::to_le_bytes).collect(),
        }
    }
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Real(Real),
    /// Integers.
    Ints(Vec<i64>),
    /// A word.
    Text(&'static str),
    /// A tensor.
    Tensor(Constant),
}

/// A node of a graph.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// The operator; of a call, the function.
    pub op: String,
    /// Whether it is a call of a function of the model.
    pub is_call: bool,
    /// The values that it takes.
    pub inputs: Vec<String>,
    /// The values that it gives.
    pub outputs: Vec<String>,
    /// Its attributes.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// A graph in the making.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    taken: HashSet<String>,
    /// The last number that each name was given with.
    numbers: HashMap<String, u64>,
    /// The output of each node, which here has none.
    known: HashMap<Node, String>,
}

impl Graph {
    /// The nodes so far, in an order in which each comes after those that it needs.
    pub fn into_nodes(self) -> Vec<Node> {
        self.nodes
    }

    /// A name that no other value has: this one, or with a number after it.
    pub fn fresh(&mut self, name: &str) -> String {
        if self.taken.insert(name.to_owned()) {
            return name.to_owned();
        }
        let number = self.numbers.entry(name.to_owned()).or_insert(1);
        loop {
            *number += 1;
            let candidate = format!("{name}_{number}");
            if self.taken.insert(candidate.clone()) {
                return candidate;
            }
        }
    }

    /// The number of nodes so far.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The output of a node of a layer.
    pub fn node(
        &mut self,
        layer: &str,
        op: &'static str,
        inputs: &[&str],
        attributes: Vec<(&'static str, Attribute)>,
    ) -> String {
        let node = Node {
            op: op.to_owned(),
            is_call: false,
            inputs: inputs.iter().map(|input| (*input).to_owned()).collect(),
            outputs: Vec::new(),
            attributes,
        };
        if let Some(output) = self.known.get(&node) {
            return output.clone();
        }
        let output = self.fresh(&format!("{layer}/{op}"));
        self.nodes.push(Node {
            outputs: vec![output.clone()],
            ..node.clone()
        });
        self.known.insert(node, output.clone());
        output
    }

    /// A constant.
    pub fn constant(&mut self, value: Constant) -> String {
        self.node("", "Constant", &[], vec![("value", Attribute::Tensor(value))])
    }

    /// A call of a function, whose outputs get these names or similar ones.
    pub fn call(&mut self, function: &str, inputs: Vec<String>, outputs: &[String]) -> Vec<String> {
        let outputs: Vec<String> = outputs.iter().map(|name| self.fresh(name)).collect();
        self.nodes.push(Node {
            op: function.to_owned(),
            is_call: true,
            inputs,
            outputs: outputs.clone(),
            attributes: Vec::new(),
        });
        outputs
    }

    /// Gives a value under a name that is reserved for it.
    pub fn output(&mut self, value: &str, name: &str) {
        self.nodes.push(Node {
            op: "Identity".to_owned(),
            is_call: false,
            inputs: vec![value.to_owned()],
            outputs: vec![name.to_owned()],
            attributes: Vec::new(),
        });
    }

    /// A value under another name.
    pub fn rename(&mut self, value: &str, name: &str) -> String {
        let name = self.fresh(name);
        self.output(value, &name);
        name
    }
}
