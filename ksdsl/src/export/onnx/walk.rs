//! The walk over a network that writes its nodes.

use super::Value;
use super::scope::Functions;
use crate::checkpoint::Entry;
use crate::ir::{self, Join, LayerId, Loop, Network, Node, Op, Segment, Shape, ValueId, key};
use crate::ops::{Graph, Onnx};
use std::convert::Infallible;

/// A graph in the making: that of the model, or of a function.
pub(super) struct Walk<'a> {
    pub(super) network: &'a Network,
    pub(super) tensors: &'a [Entry],
    /// Of each layer, the places of its tensors among them.
    pub(super) places: &'a [Vec<usize>],
    pub(super) counts: Vec<u64>,
    /// Whether blocks become functions.
    pub(super) calls: bool,
    pub(super) graph: Graph,
    /// The values that have names.
    pub(super) values: Vec<Option<String>>,
    pub(super) functions: Functions,
    /// Segments of the path of the function; 0 in the model.
    pub(super) depth: usize,
    /// In a function, the places of the tensors that it takes, with their names in it.
    pub(super) taken: Option<Vec<(usize, String)>>,
    /// The count of a loop that makes too many nodes.
    pub(super) excess: Option<usize>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        network: &'a Network,
        tensors: &'a [Entry],
        places: &'a [Vec<usize>],
        (counts, calls): (Vec<u64>, bool),
    ) -> Self {
        Walk {
            network,
            tensors,
            places,
            counts,
            calls,
            graph: Graph::default(),
            values: vec![None; network.values.len()],
            functions: Functions::default(),
            depth: 0,
            taken: None,
            excess: None,
        }
    }

    /// The name of a path in this graph.
    pub(super) fn name(&self, path: &[Segment]) -> String {
        key(path.get(self.depth..).unwrap_or_default())
    }

    /// An input of the network as operations take it: a signal as maps of one row.
    pub(super) fn input(&mut self, name: &str, shape: Shape) -> String {
        let mut to = Onnx::new(&mut self.graph, name.to_owned(), Vec::new(), shape);
        match shape {
            Shape::Signal { channels, length } => to.reshape(name, &[0, long(channels), 1, long(length)]),
            _ => name.to_owned(),
        }
    }

    /// Gives a value of the graph as an output of the network.
    pub(super) fn output(&mut self, value: &str, output: &Value) {
        let mut to = Onnx::new(&mut self.graph, output.name.clone(), Vec::new(), output.shape);
        let value = match output.shape {
            Shape::Signal { channels, length } => to.reshape(value, &[0, long(channels), long(length)]),
            _ => value.to_owned(),
        };
        self.graph.output(&value, &output.name);
    }

    /// The value under a name.
    pub(super) fn value(&self, id: ValueId) -> String {
        self.values[id].clone().unwrap_or_default()
    }

    /// The value of a stored tensor, which `name` is called in a function that is the first to take it.
    pub(super) fn stored(&mut self, place: usize, name: &str) -> String {
        let Some(taken) = &mut self.taken else {
            return self.tensors[place].key.clone();
        };
        if let Some((_, known)) = taken.iter().find(|(of, _)| *of == place) {
            return known.clone();
        }
        let name = self.graph.fresh(name);
        taken.push((place, name.clone()));
        name
    }

    /// The values of a layer's tensors: those of its operation, then its private ones, by their names.
    pub(super) fn tensors_of(&mut self, id: LayerId) -> Vec<(&'static str, String)> {
        let (network, places) = (self.network, self.places);
        let layer = &network.layers[id];
        let path = self.name(&layer.path.0);
        let private = layer.private_tensors().into_list().map(|tensor| tensor.name);
        let names = layer.op.tensors().into_iter().map(|tensor| tensor.name).chain(private);
        let named = names.zip(&places[id]);
        named
            .map(|(name, place)| (name, self.stored(*place, &format!("{path}.{name}"))))
            .collect()
    }

    fn operation(&mut self, op: &Op, layer: Option<LayerId>, inputs: Vec<(String, Shape)>, output: Shape) -> String {
        let Some(id) = layer else {
            let mut to = Onnx::new(&mut self.graph, op.word().to_owned(), inputs, output);
            return op.onnx(&mut to);
        };
        let path = self.name(&self.network.layers[id].path.0);
        let tensors = self.tensors_of(id);
        let kernel = self.kernel(id, tensors);
        let mut to = Onnx::new(&mut self.graph, path, inputs, output)
            .with_tensors(kernel.tensors)
            .with_exchanged(kernel.exchanged)
            .with_after(kernel.after);
        op.onnx(&mut to)
    }
}

fn long(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

impl ir::Walk for Walk<'_> {
    type Value = String;
    type Error = Infallible;

    fn layer(&mut self, id: LayerId, x: String) -> Result<String, Infallible> {
        let layer = &self.network.layers[id];
        Ok(self.operation(&layer.op, Some(id), vec![(x, layer.input)], layer.output))
    }

    fn fork(&mut self, x: String) -> Result<[String; 2], Infallible> {
        Ok([x.clone(), x])
    }

    fn keep(&mut self, id: ValueId, x: String) {
        self.values[id] = Some(x);
    }

    fn from(&mut self, id: ValueId, _: Option<String>) -> Result<String, Infallible> {
        Ok(self.value(id))
    }

    fn repeat(&mut self, of: &Loop, x: String) -> Result<String, Infallible> {
        Ok(self.run_time_loop(of, x))
    }

    fn join(&mut self, join: &Join, first: String, others: Vec<String>) -> Result<String, Infallible> {
        let values = std::iter::once(first).chain(others);
        let inputs = values.zip(join.arms.iter().map(|arm| arm.output)).collect();
        Ok(self.operation(&join.op, join.layer, inputs, join.output))
    }

    fn nodes(&mut self, nodes: &[Node], x: String) -> Result<String, Infallible> {
        nodes.iter().try_fold(x, |x, node| match node {
            Node::Layer(id) => self.layer(*id, x),
            Node::Scope(scope) => self.scope(scope, x),
            Node::Loop(of) => self.repeat(of, x),
            Node::Join(join) => self.arms(join, x),
            Node::Keep(id) | Node::Set(id) => {
                self.keep(*id, x.clone());
                Ok(x)
            }
            Node::From(id) => Ok(self.value(*id)),
        })
    }
}
