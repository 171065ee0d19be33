//! The resolved network as data: stable, readable, serialisable. Used by `ksn summary` and by architecture
//! snapshots.

mod parts;
mod text;

#[cfg(feature = "memory")]
use crate::analyse::Analysis;
use crate::analyse::analyse;
#[cfg(feature = "memory")]
use crate::graph::budget::{MemoryBudget, OverBudget, within};
#[cfg(feature = "memory")]
use crate::graph::memory::{self, Peaks};
#[cfg(feature = "memory")]
use crate::graph::traffic;
use crate::ir::{Count, Network, Port, join_sizes};
use crate::value::Value;
#[cfg(feature = "memory")]
pub use ksdsl_cpu::WeightType;
#[cfg(any(feature = "cli", feature = "lsp"))]
pub(crate) use parts::traits;
use parts::{groups, layers, mappings};
use serde::Serialize;
use std::collections::BTreeMap;

/// A resolved network. Serialises the same on every run; displays as a short text made for
/// snapshot tests.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// The network's name.
    pub name: String,
    /// The values of its parameters.
    pub settings: BTreeMap<String, Setting>,
    /// The sizes of the first input, in PyTorch's order and without the batch.
    pub input: Vec<u64>,
    /// What the first input is, in a word.
    #[serde(skip)]
    pub item: &'static str,
    /// The sizes of the first output.
    pub output: Vec<u64>,
    /// All inputs, if they have names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<PortSummary>,
    /// All outputs, if they have names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<PortSummary>,
    /// Parameter counts.
    pub parameters: Parameters,
    /// Multiply-adds per image or sequence, of loops that run as often as they can.
    pub macs: u64,
    /// The counts of loops.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub loops: Vec<LoopSummary>,
    /// Memory. With the feature `memory`.
    #[cfg(feature = "memory")]
    pub memory: Memory,
    /// What a step of training computes again to fit into a memory budget, if there is one. With the feature `memory`.
    #[cfg(feature = "memory")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetSummary>,
    /// What a network on token ids reads for each token, if it generates token by token. With the feature `memory`.
    #[cfg(feature = "memory")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoding: Option<Decoding>,
    /// Every shared kernel with its visits.
    pub groups: Vec<SharedKernel>,
    /// Every mapping of visits to kernels in a clause.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mappings: Vec<MappingSummary>,
    /// Every layer in the order of the forward pass.
    pub layers: Vec<LayerSummary>,
}

/// An input or an output with a name.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[non_exhaustive]
pub struct PortSummary {
    /// Its name.
    pub name: String,
    /// Its sizes, in PyTorch's order and without the batch.
    pub sizes: Vec<u64>,
}

/// The count of loops, which a call gives.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoopSummary {
    /// The name of the loops.
    pub name: String,
    /// Its maximum.
    pub most: u64,
}

/// A parameter's value.
#[derive(Clone, Debug, Serialize, PartialEq)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Setting {
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A word, or a call as it is written.
    Text(String),
    /// A list.
    List(Vec<Setting>),
}

/// Parameter counts.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parameters {
    /// Trainable parameters; a shared parameter counts once.
    pub trainable: u64,
    /// Trainable parameters without sharing.
    pub unshared: u64,
    /// Running statistics.
    pub buffers: u64,
}

/// Memory in bytes for 4-byte values: what the runtime's CPU allocates, counted by running the network on its engine with
/// buffers that hold nothing.
#[cfg(feature = "memory")]
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// Images or sequences in the batch.
    pub batch: u64,
    /// Threads, each with its own scratch memory.
    pub threads: u64,
    /// Parameters and running statistics.
    pub model_bytes: u64,
    /// Peak memory of inference in addition to the model: activations, packed kernels, scratch.
    pub inference_bytes: u128,
    /// The same for a prepared model, including its packed kernels.
    pub prepared_bytes: u128,
    /// Peak memory of a training step in addition to the model, its gradients and the optimiser's state: activations
    /// kept for the backward pass, gradients of activations, accumulated kernel gradients.
    pub training_bytes: u128,
}

/// A step of training within a memory budget.
#[cfg(feature = "memory")]
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetSummary {
    /// The budget.
    pub budget_bytes: u128,
    /// As [`Memory::training_bytes`], of a step that computes again what it does not keep.
    pub training_bytes: u128,
    /// Multiply-adds per image that it computes again in its backward pass. Without them, a step has three times
    /// [`Summary::macs`].
    pub recomputed_macs: u128,
}

/// What a network on token ids reads for each token, if it generates token by token. Everything but kernels has 4-byte
/// values.
#[cfg(feature = "memory")]
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decoding {
    /// The type of the kernels of linear layers: `f32`, `bf16` or `int8`.
    pub weight_type: &'static str,
    /// The cache that is assumed.
    pub assumed_cache_bytes: u64,
    /// Weights that are read from memory.
    pub bytes_from_memory: u64,
    /// Weights that an earlier visit has left in the cache.
    pub bytes_from_cache: u64,
    /// Keys and values of all visits when the sequence is full.
    pub key_value_bytes: u64,
}

/// The cache that [`Decoding`] assumes: the third-level cache of a common processor.
#[cfg(feature = "memory")]
const CACHE_BYTES: u64 = 32 << 20;

/// A shared kernel.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedKernel {
    /// Its name: the key below `shared.` in checkpoints.
    pub name: String,
    /// What is shared: `kernel`, `bias` or `norm`, as a list.
    pub parts: Vec<&'static str>,
    /// The sizes of the shared kernel (of the bias, where only that is shared).
    pub shape: Vec<u64>,
    /// Trainable parameters in it.
    pub parameters: u64,
    /// The paths of the layers that use it.
    pub visits: Vec<String>,
}

/// A mapping of visits to kernels.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[non_exhaustive]
pub struct MappingSummary {
    /// The name of the group: that of its kernels without their numbers.
    pub group: String,
    /// The mapping, with numbers for expressions: `cycle(groups = 3) at sandwich`.
    pub mapping: String,
    /// The kernel of every layer the clause selects, `null` for one that keeps its own.
    pub kernels: Vec<Option<u32>>,
}

/// A layer.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerSummary {
    /// Its path.
    pub path: String,
    /// What it is.
    pub op: &'static str,
    /// What distinguishes it from others of its kind, such as `stride 2, pad 1`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub details: String,
    /// The sizes of its input.
    pub input: Vec<u64>,
    /// The sizes of its output.
    pub output: Vec<u64>,
    /// The sizes of its kernel, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Vec<u64>>,
    /// The shared kernel it uses, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The shared bias it uses, if that is another group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias_group: Option<String>,
    /// Trainable parameters stored for it; those of a shared kernel at its first visit only.
    pub stored: u64,
    /// Trainable parameters it would have without sharing.
    pub unshared: u64,
    /// Multiply-adds per image.
    pub macs: u64,
    /// For convolutions: the algorithm that the runtime uses for this batch size on a CPU with AVX-512, chosen by its
    /// heuristic. With the feature `memory`.
    #[cfg(feature = "memory")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<&'static str>,
    /// Whether the runtime computes it in inference together with the operation before it, in one pass over memory. With
    /// the feature `memory`.
    #[cfg(feature = "memory")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fused: bool,
}

impl Summary {
    /// Summarises a network; memory is for a batch of `batch` images and one thread.
    pub fn new(network: &Network, batch: u64) -> Self {
        Self::on_threads(network, batch, 1)
    }

    /// Summarises a network; memory is for a batch of `batch` images on this many threads.
    #[cfg_attr(not(feature = "memory"), allow(unused_variables))]
    pub fn on_threads(network: &Network, batch: u64, threads: u64) -> Self {
        let analysis = analyse(network);
        Summary {
            name: network.name.clone(),
            settings: network
                .parameters
                .iter()
                .map(|(name, value)| (name.clone(), setting(value)))
                .collect(),
            input: network.input().sizes(),
            item: network.input().item(),
            output: network.output().sizes(),
            inputs: ports(&network.inputs),
            outputs: ports(&network.outputs),
            parameters: Parameters {
                trainable: analysis.trainable,
                unshared: analysis.unshared,
                buffers: analysis.buffers,
            },
            macs: analysis.macs,
            loops: loops(network),
            #[cfg(feature = "memory")]
            memory: memory(&analysis, memory::peaks(network, batch, threads), [batch, threads]),
            #[cfg(feature = "memory")]
            budget: None,
            #[cfg(feature = "memory")]
            decoding: decoding(network, WeightType::F32),
            groups: groups(network),
            mappings: mappings(network),
            layers: layers(network, &analysis, batch),
        }
    }

    /// The same with what a token reads if the kernels of linear layers are of this type. With the feature `memory`.
    #[cfg(feature = "memory")]
    #[must_use]
    pub fn with_weight_type(self, network: &Network, kernels: WeightType) -> Self {
        Summary {
            decoding: decoding(network, kernels),
            ..self
        }
    }

    /// The same with what a step of training computes again to fit into a memory budget. With the feature `memory`.
    ///
    /// # Errors
    /// If no step fits.
    #[cfg(feature = "memory")]
    pub fn within(self, network: &Network, budget: MemoryBudget) -> Result<Self, OverBudget> {
        let Memory { batch, threads, .. } = self.memory;
        let found = within(network, [batch, threads], budget)?;
        let budget = Some(BudgetSummary {
            budget_bytes: budget.bytes(found.all_bytes),
            training_bytes: found.bytes,
            recomputed_macs: found.macs,
        });
        Ok(Summary { budget, ..self })
    }

    /// The sizes of the input, or of all inputs with their names.
    pub(crate) fn input_in_words(&self) -> String {
        in_words(&self.inputs, &self.input)
    }

    /// The sizes of the output, or of all outputs with their names.
    pub(crate) fn output_in_words(&self) -> String {
        in_words(&self.outputs, &self.output)
    }

    /// The fraction of the parameters that sharing saves, between 0 and 1.
    pub fn saving(&self) -> f64 {
        match self.parameters.unshared {
            0 => 0.0,
            unshared => 1.0 - self.parameters.trainable as f64 / unshared as f64,
        }
    }
}

fn ports(ports: &[Port]) -> Vec<PortSummary> {
    let port = |port: &Port| {
        Some(PortSummary {
            name: port.name.clone()?,
            sizes: port.shape.sizes(),
        })
    };
    ports.iter().filter_map(port).collect()
}

fn in_words(named: &[PortSummary], only: &[u64]) -> String {
    let port = |port: &PortSummary| format!("{} {}", port.name, join_sizes(&port.sizes));
    match named {
        [] => join_sizes(only),
        named => named.iter().map(port).collect::<Vec<_>>().join(", "),
    }
}

fn setting(value: &Value) -> Setting {
    match value {
        Value::Int(value) => Setting::Int(*value),
        Value::Float(value) => Setting::Float(*value),
        Value::Bool(value) => Setting::Bool(*value),
        Value::Word(_) | Value::Call(_) | Value::Kept(_) => Setting::Text(value.to_string()),
        Value::List(list) => Setting::List(list.items().iter().map(setting).collect()),
    }
}

#[cfg(feature = "memory")]
fn memory(analysis: &Analysis, peaks: Peaks, [batch, threads]: [u64; 2]) -> Memory {
    Memory {
        batch,
        threads,
        model_bytes: 4 * (analysis.trainable + analysis.buffers),
        inference_bytes: peaks.inference,
        prepared_bytes: peaks.prepared,
        training_bytes: peaks.training,
    }
}

#[cfg(feature = "memory")]
fn decoding(network: &Network, kernels: WeightType) -> Option<Decoding> {
    let traffic = traffic(network, CACHE_BYTES, kernels)?;
    Some(Decoding {
        weight_type: kernels.name(),
        assumed_cache_bytes: CACHE_BYTES,
        bytes_from_memory: traffic.memory,
        bytes_from_cache: traffic.cache,
        key_value_bytes: traffic.kept,
    })
}

fn loops(network: &Network) -> Vec<LoopSummary> {
    let of = |count: &Count| LoopSummary {
        name: count.name.clone(),
        most: count.most,
    };
    network.loops.iter().map(of).collect()
}

/// `1,223,002`.
#[cfg(any(feature = "cli", feature = "lsp"))]
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
