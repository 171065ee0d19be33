//! Weight averaging.

use super::tensors::{stored, swap};
use ksdsl_checkpoint::Tensor as Stored;
use ksdsl_engine::update::Updates;
use ksdsl_runtime::Scalar;
use ksdsl_runtime::backend::{Backend, Buf};
use ksdsl_runtime::checkpoint::Element;
use ksdsl_runtime::dfdx::nn::tensor_collection::TensorCollection;
use ksdsl_runtime::tensors::{Slot, visit};
use serde::{Deserialize, Serialize};

/// The running statistics of batch norms in an averaged model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistics {
    /// Averaged like the parameters (PyTorch's `AveragedModel` with `use_buffers=True`).
    #[default]
    Averaged,
    /// Copied from the trained model.
    Copied,
}

/// The configuration of weight averaging.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Averaging {
    /// The decay: 0.999 averages over about 1,000 steps.
    pub decay: f64,
    /// The treatment of running statistics.
    pub statistics: Statistics,
}

/// An exponential moving average of a model's tensors (Polyak & Juditsky 1992 for the plain mean): a copy
/// after the first step, then `average = decay * average + (1 - decay) * model`, as PyTorch's `AveragedModel` with
/// `get_ema_multi_avg_fn`.
#[derive(Debug)]
pub struct Average<E: Scalar, D: Backend<E>> {
    averaging: Averaging,
    values: Vec<Buf<E, D>>,
}

impl<E: Scalar, D: Backend<E>> Average<E, D> {
    /// An empty average.
    pub fn new(averaging: Averaging) -> Self {
        Self {
            averaging,
            values: Vec::new(),
        }
    }

    /// Whether there has been no update.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Updates the average with the model, after a step.
    pub fn update<M: TensorCollection<E, D>>(&mut self, model: &M) -> Result<(), D::Err> {
        let Averaging { decay, statistics } = self.averaging;
        let of_statistics = match statistics {
            Statistics::Averaged => decay,
            Statistics::Copied => 0.0,
        };
        let first = self.is_empty();
        let values = &mut self.values;
        let mut at = 0;
        visit::<E, D, M>(model, |slot, tensor| {
            let value = tensor.buffer()?;
            if first {
                values.push(value);
                return Ok(());
            }
            let average = &mut values[at];
            at += 1;
            match if slot.trained { decay } else { of_statistics } {
                0.0 => *average = value,
                decay => {
                    let exec = tensor.on().exec()?;
                    exec.average(decay, average, &value).map_err(D::failed)?;
                }
            }
            Ok(())
        })
    }

    /// Swaps the values of the model and the average; calling it twice restores both. Does nothing before the first
    /// update.
    pub fn swap<M: TensorCollection<E, D>>(&mut self, model: &mut M) -> Result<(), D::Err> {
        swap::<E, D, M>(model, &mut self.values)
    }
}

/// Serialisation.
impl<E: Element, D: Backend<E>> Average<E, D> {
    /// The averages as tensors of a file, with `prefix` before their keys.
    pub(crate) fn save(&self, device: &D, slots: &[Slot], prefix: &str) -> Result<Vec<Stored<'static>>, D::Err> {
        let mut all = Vec::new();
        for (slot, value) in slots.iter().zip(&self.values) {
            let values = device.make_tensor(value.clone(), (slot.elements(),))?.as_vec();
            all.push(stored(format!("{prefix}{}", slot.key), &slot.shape, &values));
        }
        Ok(all)
    }

    /// The averages that `bytes` gives for the keys of tensors.
    pub(crate) fn restore<'b>(
        &mut self,
        device: &D,
        slots: &[Slot],
        bytes: impl Fn(&str) -> &'b [u8],
    ) -> Result<(), D::Err> {
        self.values.clear();
        for slot in slots {
            let tensor = device.try_tensor_from_vec(E::from_bytes(bytes(&slot.key)), (slot.elements(),))?;
            self.values.push(device.read_tensor(&tensor)?);
        }
        Ok(())
    }
}
