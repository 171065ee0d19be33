//! Weight averaging.

use super::stored::{floats, stored};
use ksdsl_checkpoint::Tensor as Stored;
use ksdsl_engine::update::{Slot, Updates};
use ksdsl_engine::{Exec, Real};
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

/// An exponential moving average of a model's tensors, on buffers of an executor (Polyak & Juditsky 1992 for the plain
/// mean): a copy after the first step, then `average = decay * average + (1 - decay) * model`, as PyTorch's
/// `AveragedModel` with `get_ema_multi_avg_fn`. The caller gives it the tensors of the model, in an order that stays.
#[derive(Debug)]
pub struct Average<B> {
    averaging: Averaging,
    values: Vec<B>,
}

impl<B> Average<B> {
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

    /// The averages, which the caller may exchange with the values of the model.
    pub fn values_mut(&mut self) -> &mut [B] {
        &mut self.values
    }

    /// Updates the average of the `at`-th tensor.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn update<E: Real, X: Updates<E, Buf = B>>(
        &mut self,
        exec: &X,
        (at, slot): (usize, &Slot),
        value: B,
    ) -> Result<(), X::Err> {
        let Some(average) = self.values.get_mut(at) else {
            self.values.push(value);
            return Ok(());
        };
        let decay = match self.averaging.statistics {
            Statistics::Copied if !slot.trained => 0.0,
            _ => self.averaging.decay,
        };
        if decay == 0.0 {
            *average = value;
            return Ok(());
        }
        exec.average(decay, average, &value)
    }

    /// The averages as tensors of a file, with `prefix` before their keys.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn save<X: Exec<f32, Buf = B>>(
        &self,
        exec: &X,
        slots: &[Slot],
        prefix: &str,
    ) -> Result<Vec<Stored<'static>>, X::Err> {
        let pairs = slots.iter().zip(&self.values);
        pairs
            .map(|(slot, value)| Ok(stored(format!("{prefix}{}", slot.key), slot, &exec.download(value)?)))
            .collect()
    }

    /// The averages that `bytes` gives for the keys of tensors.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn restore<'b, X: Exec<f32, Buf = B>>(
        &mut self,
        exec: &X,
        slots: &[Slot],
        bytes: impl Fn(&str) -> &'b [u8],
    ) -> Result<(), X::Err> {
        let values = slots.iter().map(|slot| exec.upload(floats(bytes(&slot.key))));
        self.values = values.collect::<Result<_, _>>()?;
        Ok(())
    }
}
