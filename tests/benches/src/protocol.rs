//! Requests and responses; the workers of the other systems use the same protocol.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One line of standard input.
#[derive(Debug, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub(crate) enum Request {
    /// Checks that the worker responds.
    Ready,
    /// Builds a network and its batch, with weights and data from files or random ones.
    Load {
        net: String,
        #[serde(flatten)]
        options: Options,
    },
    /// Writes a network as a PyTorch module.
    Pytorch { net: String, path: PathBuf },
    /// Computes the logits of the batch, in evaluation mode.
    Logits,
    /// Times forward passes, in evaluation mode.
    Infer { repeats: usize },
    /// Times training steps.
    Train { repeats: usize },
    /// Saves the current weights.
    Save { path: PathBuf },
    /// Prepares a single convolution.
    LoadKernel(KernelOptions),
    /// Times one of its passes and writes the last result, as raw `f32` in PyTorch's memory order.
    Kernel {
        pass: Pass,
        repeats: usize,
        output: Option<PathBuf>,
    },
}

/// How to load a network.
#[derive(Debug, Deserialize)]
pub(crate) struct Options {
    /// Batch size.
    pub(crate) batch: usize,
    /// The learning rate of SGD; the momentum is 0.9.
    pub(crate) rate: f64,
    /// The memory of a training step.
    pub(crate) budget: Option<String>,
    /// A `.safetensors` file with the values of all tensors.
    pub(crate) weights: Option<PathBuf>,
    /// A `.safetensors` file with `input` and `targets`, a probability for each class, or maps.
    pub(crate) data: Option<PathBuf>,
}

/// A convolution with stride 1 whose output has the size of its square input.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct KernelOptions {
    /// Batch size.
    pub(crate) batch: usize,
    /// Input and output channels.
    pub(crate) channels: usize,
    /// Height and width of the maps.
    pub(crate) side: usize,
    /// Height and width of the kernel.
    pub(crate) kernel: usize,
    /// Groups; as many as channels for a depthwise convolution.
    pub(crate) groups: usize,
    /// A `.safetensors` file with `x`, `weight` and `dy`.
    pub(crate) data: PathBuf,
}

/// A pass of a convolution.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pass {
    /// The output.
    Forward,
    /// The input gradient.
    Data,
    /// The kernel gradient.
    Weight,
}

/// One line of standard output.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Done,
    Seconds(Vec<f64>),
    Logits(Vec<f32>),
    Training { seconds: Vec<f64>, losses: Vec<f32> },
    Network(Ports),
    Error(String),
}

/// The first input and output of a network, and its counts.
#[derive(Debug, Serialize)]
pub(crate) struct Ports {
    pub(crate) input: Port,
    pub(crate) output: Port,
    /// Of an image, a vector or a sequence.
    pub(crate) multiply_adds: u64,
    /// Trainable parameters, a shared kernel once.
    pub(crate) parameters: u64,
}

/// An input or output.
#[derive(Debug, Serialize)]
pub(crate) struct Port {
    /// Its sizes in PyTorch's order, without the batch.
    pub(crate) shape: Vec<u64>,
    /// Of token ids, the number of different ones.
    pub(crate) vocabulary: Option<u64>,
}
