//! Networks as ONNX models: each stored tensor is one initializer, whatever uses it.

#[cfg(feature = "onnx")]
mod encode;
mod kernel;
mod loops;
#[cfg(feature = "onnx")]
pub mod proto;
mod scope;
mod walk;

#[cfg(feature = "onnx")]
pub use encode::{TooLarge, encode};

use crate::checkpoint::{Entry, entries_and_places};
use crate::ir::{Network, Port, Shape, Walk as _, WrongCount};
use crate::ops::{Graph, Node};
use walk::Walk;

/// The version of ONNX's operators that models use: the oldest with `LayerNormalization`, so that most runtimes read it.
pub const OPSET: i64 = 17;

/// How a network is written.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How often loops run, by name; without one as often as they can.
    pub steps: Vec<(String, u64)>,
    /// Whether blocks become functions instead of being written out where they are used.
    pub functions: bool,
}

/// A network as graphs.
#[derive(Debug)]
pub struct Model {
    /// The name of the network.
    pub name: String,
    /// The inputs.
    pub inputs: Vec<Value>,
    /// The outputs.
    pub outputs: Vec<Value>,
    /// The tensors of its checkpoints, which are the initializers.
    pub tensors: Vec<Entry>,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The functions, each before those that call it.
    pub functions: Vec<Function>,
}

/// An input or an output.
#[derive(Clone, Debug)]
pub struct Value {
    /// Its name.
    pub name: String,
    /// Its shape, without the batch.
    pub shape: Shape,
}

/// A part of the network that is called.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What it takes: the current value, values with names, and tensors.
    pub inputs: Vec<String>,
    /// What it gives: the current value, and values with names.
    pub outputs: Vec<String>,
    /// Its nodes.
    pub nodes: Vec<Node>,
}

/// Why a network cannot be exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A loop that the network has not, or that cannot run so often.
    Steps(WrongCount),
    /// A loop that would be too long, written out.
    TooLong {
        /// The name of the loop.
        name: String,
    },
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Steps(wrong) => wrong.fmt(f),
            Error::TooLong { name } => write!(
                f,
                "the loop `{name}` makes too many nodes, written out: choose fewer steps, such as `--steps {name}=8`"
            ),
        }
    }
}

impl std::error::Error for Error {}

/// The graphs of a network, which must have no errors.
///
/// # Errors
/// If loops cannot run as the options say.
pub fn model(network: &Network, options: &Options) -> Result<Model, Error> {
    let counts = network.counts(&options.steps).map_err(Error::Steps)?;
    let (tensors, places) = entries_and_places(network);
    let mut walk = Walk::new(network, &tensors, &places, (counts, options.functions));
    let mut graph = Graph::default();
    tensors.iter().for_each(|tensor| {
        graph.fresh(&tensor.key);
    });
    let inputs: Vec<Value> = network
        .inputs
        .iter()
        .map(|port| value(port, "input", &mut graph))
        .collect();
    let outputs: Vec<Value> = network
        .outputs
        .iter()
        .map(|port| value(port, "output", &mut graph))
        .collect();
    walk.graph = graph;
    let values = inputs.iter().map(|input| walk.input(&input.name, input.shape));
    let values: Vec<String> = values.collect();
    for (id, value) in network.more_inputs().into_iter().zip(&values[1..]) {
        walk.values[id] = Some(value.clone());
    }
    let Ok(last) = walk.nodes(&network.nodes, values[0].clone());
    if let Some(count) = walk.excess {
        let name = network.loops[count].name.clone();
        return Err(Error::TooLong { name });
    }
    let ids = network.output_values();
    let named = ids.into_iter().map(|id| walk.value(id)).collect::<Vec<_>>();
    let found = if named.is_empty() { vec![last] } else { named };
    for (found, output) in found.iter().zip(&outputs) {
        walk.output(found, output);
    }
    let nodes = walk.graph.into_nodes();
    Ok(Model {
        name: network.name.clone(),
        inputs,
        outputs,
        nodes,
        functions: walk.functions.into_list(),
        tensors,
    })
}

fn value(port: &Port, default: &str, graph: &mut Graph) -> Value {
    Value {
        name: graph.fresh(port.name.as_deref().unwrap_or(default)),
        shape: port.shape,
    }
}
