//! When two layers can use one kernel.

use crate::ir::{Op, SharePart};

/// What must be equal for layers to share. Stride, padding, dilation, initialisation and a norm's
/// epsilon may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Signature {
    operation: &'static str,
    kernel: [u64; 2],
    inputs: u64,
    outputs: u64,
    groups: u64,
    bias: bool,
}

/// The first field in which two layers differ.
pub(super) struct Difference {
    pub(super) field: &'static str,
    pub(super) one: String,
    pub(super) other: String,
}

impl Signature {
    /// What matters of a layer when this part of it is shared.
    pub(super) fn of(op: &Op, part: SharePart) -> Self {
        let mut signature = match *op {
            Op::Conv(conv) => Signature {
                operation: "convolution",
                kernel: conv.kernel,
                inputs: conv.inputs,
                outputs: conv.outputs,
                groups: conv.groups,
                bias: conv.bias,
            },
            Op::Linear {
                inputs, outputs, bias, ..
            } => Signature {
                operation: "linear layer",
                kernel: [1, 1],
                inputs,
                outputs,
                groups: 1,
                bias,
            },
            Op::PositionEmbedding {
                shape: [channels, height, width],
                ..
            } => Signature {
                kernel: [height, width],
                bias: false,
                ..Signature::norm("position embedding", channels)
            },
            Op::BatchNorm { channels, .. } => Signature::norm("batch norm", channels),
            Op::LayerNorm { channels, .. } => Signature::norm("layer norm", channels),
            _ => Signature::norm("layer", 0),
        };
        match part {
            SharePart::All => {}
            SharePart::Kernel => signature.bias = false,
            SharePart::Bias => {
                signature = Signature {
                    outputs: signature.outputs,
                    ..Signature::norm("bias", 0)
                }
            }
        }
        signature
    }

    fn norm(operation: &'static str, channels: u64) -> Self {
        Signature {
            operation,
            kernel: [1, 1],
            inputs: channels,
            outputs: channels,
            groups: 1,
            bias: true,
        }
    }

    pub(super) fn difference(&self, other: &Self) -> Option<Difference> {
        let sizes = |kernel: [u64; 2]| format!("{}x{}", kernel[0], kernel[1]);
        let is_norm = self.operation.ends_with("norm");
        let bias = |has: bool| if has { "a bias" } else { "no bias" }.to_owned();
        let fields = [
            ("operation", self.operation.to_owned(), other.operation.to_owned()),
            ("kernel size", sizes(self.kernel), sizes(other.kernel)),
            (
                if is_norm {
                    "number of channels"
                } else {
                    "number of input channels"
                },
                self.inputs.to_string(),
                other.inputs.to_string(),
            ),
            (
                "number of output channels",
                self.outputs.to_string(),
                other.outputs.to_string(),
            ),
            ("number of groups", self.groups.to_string(), other.groups.to_string()),
            ("bias", bias(self.bias), bias(other.bias)),
        ];
        fields
            .into_iter()
            .find(|(_, one, other)| one != other)
            .map(|(field, one, other)| Difference { field, one, other })
    }
}
