//! When two layers can use one kernel.

use crate::ir::{Op, Part, SharePart, join_sizes};
use crate::ops::Alike;

/// How a layer is to use a kernel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Use {
    /// Transposed.
    pub(super) transposed: bool,
    /// A part of it, as large as the layer needs.
    pub(super) sliced: bool,
}

/// What must be equal for layers to share. Stride, padding, dilation, initialisation and a norm's
/// epsilon may differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Signature {
    operation: &'static str,
    sizes: Vec<(&'static str, Vec<u64>)>,
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
    pub(super) fn of(op: &Op, part: SharePart, wanted: Use) -> Self {
        let mut tensors = op.tensors().into_iter();
        let bias = tensors.find(|tensor| tensor.part == Part::Bias);
        let (operation, sizes) = match (part, op.sharing()) {
            (SharePart::Bias, _) => {
                let outputs = bias
                    .as_ref()
                    .map(|bias| ("number of output channels", bias.shape.clone()));
                ("bias", outputs.into_iter().collect())
            }
            (_, Some(sharing)) => {
                let alike = match (wanted.transposed, wanted.sliced) {
                    (_, true) => sharing.sliced,
                    (true, false) => sharing.transposed.map(|transposed| transposed.of),
                    (false, false) => Some(sharing.alike()),
                };
                // What cannot be used so is reported elsewhere.
                let Alike { what, sizes } = alike.unwrap_or(Alike {
                    what: sharing.what,
                    sizes: sharing.sizes,
                });
                (what, sizes)
            }
            (_, None) => ("layer", Vec::new()),
        };
        Signature {
            operation,
            sizes,
            bias: part == SharePart::All && bias.is_some(),
        }
    }

    pub(super) fn difference(&self, other: &Self) -> Option<Difference> {
        let difference = |field, one, other| Some(Difference { field, one, other });
        if self.operation != other.operation {
            return difference("operation", self.operation.to_owned(), other.operation.to_owned());
        }
        let mut sizes = self.sizes.iter().zip(&other.sizes);
        if let Some(((field, one), (_, other))) = sizes.find(|(one, other)| one != other) {
            return difference(field, join_sizes(one), join_sizes(other));
        }
        let bias = |has: bool| if has { "a bias" } else { "no bias" }.to_owned();
        match self.bias == other.bias {
            true => None,
            false => difference("bias", bias(self.bias), bias(other.bias)),
        }
    }
}
