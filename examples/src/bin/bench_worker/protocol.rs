//! What is asked and answered. The workers of the other systems speak the same.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One line of standard input.
#[derive(Debug, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub(crate) enum Request {
    /// Asks for nothing but an answer.
    Ready,
    /// Builds a network and its batch, with weights and data from files or else random ones.
    Load {
        net: String,
        #[serde(flatten)]
        options: Options,
    },
    /// The logits of the batch, in the mode for inference.
    Logits,
    /// Times forward passes in the mode for inference.
    Infer { repeats: usize },
    /// Times training steps.
    Train { repeats: usize },
    /// Writes the weights as they are now.
    Save { path: PathBuf },
    /// Prepares a single convolution.
    LoadKernel(KernelOptions),
    /// Times one of its passes and writes the last outcome, as raw `f32` in PyTorch's order.
    Kernel {
        pass: Pass,
        repeats: usize,
        output: Option<PathBuf>,
    },
}

/// How to load a network.
#[derive(Debug, Deserialize)]
pub(crate) struct Options {
    /// Images in the batch.
    pub(crate) batch: usize,
    /// The rate of SGD; its momentum is 0.9.
    pub(crate) rate: f64,
    /// A `.safetensors` file with the values of all tensors.
    pub(crate) weights: Option<PathBuf>,
    /// A `.safetensors` file with `images` and `targets`, a probability for each class.
    pub(crate) data: Option<PathBuf>,
}

/// A convolution with stride 1 that keeps the size of its square maps.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct KernelOptions {
    /// Images in the batch.
    pub(crate) batch: usize,
    /// Channels in and out.
    pub(crate) channels: usize,
    /// Height and width of the maps.
    pub(crate) side: usize,
    /// Height and width of the window.
    pub(crate) kernel: usize,
    /// As many groups as channels are a depthwise convolution.
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
    /// The gradient with respect to the input.
    Data,
    /// The gradient with respect to the kernel.
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
    Error(String),
}
