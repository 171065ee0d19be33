//! How an operation says what it is in an ONNX graph (opset 17).

mod attention;
mod graph;

pub(super) use attention::Heads;
pub use graph::{Attribute, Constant, Graph, Node};

use super::{Real, Shape};

/// The private factors and the bias that a layer applies after its kernel.
#[derive(Clone, Debug, Default)]
pub(crate) struct After {
    /// A factor for each output channel.
    pub(crate) scale: Option<String>,
}

/// What an operation is written with, and the graph that it writes to.
pub struct Onnx<'g> {
    graph: &'g mut Graph,
    /// The layer, which names of values begin with.
    layer: String,
    inputs: Vec<(String, Shape)>,
    output: Shape,
    /// The values that hold the operation's tensors by their names.
    tensors: Vec<(&'static str, String)>,
    /// Whether the `weight` is stored with rows and columns exchanged, which only a linear layer's is.
    exchanged: bool,
    after: After,
}

impl<'g> Onnx<'g> {
    pub(crate) fn new(graph: &'g mut Graph, layer: String, inputs: Vec<(String, Shape)>, output: Shape) -> Self {
        let inputs = inputs.into_iter().map(|(name, shape)| (name, shape.as_map()));
        Onnx {
            graph,
            layer,
            inputs: inputs.collect(),
            output: output.as_map(),
            tensors: Vec::new(),
            exchanged: false,
            after: After::default(),
        }
    }

    /// The same with tensors.
    pub(crate) fn with_tensors(mut self, tensors: Vec<(&'static str, String)>) -> Self {
        self.tensors = tensors;
        self
    }

    /// The same with a kernel that is stored with rows and columns exchanged.
    pub(crate) fn with_exchanged(mut self, exchanged: bool) -> Self {
        self.exchanged = exchanged;
        self
    }

    /// The same with what comes after the kernel.
    pub(crate) fn with_after(mut self, after: After) -> Self {
        self.after = after;
        self
    }

    /// The values of the inputs with their shapes, a signal as maps of one row.
    pub(super) fn inputs(&self) -> Vec<(String, Shape)> {
        self.inputs.clone()
    }

    /// The value of the first input.
    pub(super) fn x(&self) -> String {
        self.inputs[0].0.clone()
    }

    /// The shape of the first input.
    pub(super) fn shape(&self) -> Shape {
        self.inputs[0].1
    }

    /// The shape of the output.
    pub(super) fn output(&self) -> Shape {
        self.output
    }

    /// The value of a tensor, if the layer has it.
    pub(super) fn tensor(&self, name: &str) -> Option<String> {
        let mut tensors = self.tensors.iter();
        tensors.find(|(of, _)| *of == name).map(|(_, value)| value.clone())
    }

    /// The value of a tensor that the layer has.
    pub(super) fn weight(&self) -> String {
        self.tensor("weight").unwrap_or_default()
    }

    /// Whether the `weight` is stored with rows and columns exchanged.
    pub(super) fn is_exchanged(&self) -> bool {
        self.exchanged
    }

    /// A node; its output.
    pub(crate) fn node(
        &mut self,
        op: &'static str,
        inputs: &[&str],
        attributes: Vec<(&'static str, Attribute)>,
    ) -> String {
        self.graph.node(&self.layer, op, inputs, attributes)
    }

    /// A node without attributes.
    pub(super) fn apply(&mut self, op: &'static str, inputs: &[&str]) -> String {
        self.node(op, inputs, Vec::new())
    }

    /// A constant number.
    pub(crate) fn real(&mut self, value: f64) -> String {
        self.graph.constant(Constant::reals(&[], [value]))
    }

    /// A constant tensor.
    pub(super) fn reals(&mut self, dims: &[u64], values: impl IntoIterator<Item = f64>) -> String {
        self.graph.constant(Constant::reals(dims, values))
    }

    /// A constant integer.
    pub(super) fn int(&mut self, value: i64) -> String {
        self.graph.constant(Constant::ints(&[], [value]))
    }

    /// A constant list of integers.
    pub(crate) fn ints(&mut self, values: &[i64]) -> String {
        let dims = [values.len() as u64];
        self.graph.constant(Constant::ints(&dims, values.iter().copied()))
    }

    /// A constant tensor of integers.
    pub(super) fn int_table(&mut self, dims: &[u64], values: impl IntoIterator<Item = i64>) -> String {
        self.graph.constant(Constant::ints(dims, values))
    }

    /// The value in another shape, of which 0 is the size that it has there and -1 the rest.
    pub(crate) fn reshape(&mut self, x: &str, sizes: &[i64]) -> String {
        let sizes = self.ints(sizes);
        self.apply("Reshape", &[x, &sizes])
    }

    /// The value with its axes in another order.
    pub(crate) fn transpose(&mut self, x: &str, axes: &[i64]) -> String {
        self.node("Transpose", &[x], vec![ints("perm", axes)])
    }

    /// Elements of an axis.
    pub(crate) fn slice(&mut self, x: &str, axis: i64, [start, end]: [u64; 2]) -> String {
        let [start, end, axis] = [long(start), long(end), axis].map(|value| self.ints(&[value]));
        self.apply("Slice", &[x, &start, &end, &axis])
    }

    /// Zeros around the elements of each axis: before all of them, then after all.
    pub(super) fn pad(&mut self, x: &str, pads: &[u64]) -> String {
        let pads: Vec<i64> = pads.iter().copied().map(long).collect();
        let pads = self.ints(&pads);
        self.apply("Pad", &[x, &pads])
    }

    /// A mean, a maximum or another reduction over axes.
    pub(super) fn reduce(&mut self, op: &'static str, x: &str, axes: &[i64], keep: bool) -> String {
        let keep = ("keepdims", Attribute::Int(keep.into()));
        // Its axes are an input since opset 13.
        if op == "ReduceSum" {
            let axes = self.ints(axes);
            return self.node(op, &[x, &axes], vec![keep]);
        }
        self.node(op, &[x], vec![ints("axes", axes), keep])
    }

    /// Numbers for the channels, so that they meet the channels of a value of this shape.
    pub(super) fn over_channels(&mut self, numbers: &str, shape: Shape) -> String {
        match shape {
            Shape::Map { .. } | Shape::Signal { .. } => self.reshape(numbers, &[-1, 1, 1]),
            Shape::Flat(_) | Shape::Tokens { .. } | Shape::Ids { .. } => numbers.to_owned(),
        }
    }

    /// The channels of each position last, where they are not; and back.
    pub(super) fn channels_last(&mut self, x: &str, shape: Shape) -> String {
        match shape {
            Shape::Map { .. } | Shape::Signal { .. } => self.transpose(x, &[0, 2, 3, 1]),
            _ => x.to_owned(),
        }
    }

    /// The opposite of [`Onnx::channels_last`].
    pub(super) fn channels_back(&mut self, x: &str, shape: Shape) -> String {
        match shape {
            Shape::Map { .. } | Shape::Signal { .. } => self.transpose(x, &[0, 3, 1, 2]),
            _ => x.to_owned(),
        }
    }

    /// The bias that goes into the node of a kernel: none where factors come before it.
    pub(super) fn bias_inside(&self) -> Option<String> {
        match self.after.scale {
            Some(_) => None,
            None => self.tensor("bias"),
        }
    }

    /// The factors of the layer's own and then its bias, on what a kernel gave. The kernel stays as it is stored: factors
    /// for its rows would make a copy of it for each visit.
    pub(super) fn after(&mut self, y: String, shape: Shape) -> String {
        let Some(scale) = self.after.scale.clone() else {
            return y;
        };
        let scale = self.over_channels(&scale, shape);
        let y = self.apply("Mul", &[&y, &scale]);
        match self.tensor("bias") {
            Some(bias) => {
                let bias = self.over_channels(&bias, shape);
                self.apply("Add", &[&y, &bias])
            }
            None => y,
        }
    }
}

/// An integer attribute.
pub(super) fn int(name: &'static str, value: u64) -> (&'static str, Attribute) {
    (name, Attribute::Int(long(value)))
}

/// A number as an attribute.
pub(super) fn real(name: &'static str, value: Real) -> (&'static str, Attribute) {
    (name, Attribute::Real(value))
}

/// A list of integers as an attribute.
pub(super) fn ints(name: &'static str, values: &[i64]) -> (&'static str, Attribute) {
    (name, Attribute::Ints(values.to_vec()))
}

/// A list of sizes as an attribute.
pub(super) fn sizes(name: &'static str, values: &[u64]) -> (&'static str, Attribute) {
    (name, Attribute::Ints(values.iter().copied().map(long).collect()))
}

/// A word as an attribute.
pub(super) fn text(name: &'static str, value: &'static str) -> (&'static str, Attribute) {
    (name, Attribute::Text(value))
}

/// The last axis.
pub(super) fn last_axis() -> (&'static str, Attribute) {
    ("axis", Attribute::Int(-1))
}

/// Channels, height and width of maps.
pub(super) fn map_sizes(shape: Shape) -> [i64; 3] {
    match shape {
        Shape::Map {
            channels,
            height,
            width,
        } => [channels, height, width].map(long),
        other => [long(other.channels()), 1, long(other.pixels())],
    }
}

/// The number of ONNX's type of integers.
pub(super) const INT64: u64 = 7;

/// A size as ONNX counts.
pub(crate) fn long(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
