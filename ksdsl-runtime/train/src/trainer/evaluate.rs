//! Evaluation of a model.

use crate::classifier::Classifier;
use crate::data::{Batch, Dataset, Scaling};
use crate::metrics::{Evaluation, Meter};
use crate::source::fingerprint;
use ksdsl_runtime::Backend;

/// Batch size of evaluation: large enough to keep a few cores busy, small enough to need little memory.
const AT_ONCE: usize = 250;

/// A validation set.
#[derive(Clone, Copy, Debug)]
pub struct ValidationSet<'d, const C: usize, const H: usize, const W: usize, const K: usize> {
    /// The images.
    pub data: &'d Dataset<C, H, W, K>,
    /// The scaling of the training set.
    pub scaling: Scaling<C>,
}

impl<const C: usize, const H: usize, const W: usize, const K: usize> ValidationSet<'_, C, H, W, K> {
    /// A fingerprint of the images.
    pub(super) fn fingerprint(&self) -> u64 {
        fingerprint(self.data)
    }
}

/// Evaluates a model on all images.
pub fn evaluate<const C: usize, const H: usize, const W: usize, const K: usize, D, M>(
    model: &M,
    validation: ValidationSet<'_, C, H, W, K>,
    device: &D,
) -> Result<Evaluation, D::Err>
where
    D: Backend<f32>,
    M: Classifier<C, H, W, K, D>,
{
    let data = validation.data;
    let mut meter = Meter::new(K);
    for first in (0..data.len()).step_by(AT_ONCE) {
        let indices = first..data.len().min(first + AT_ONCE);
        let labels: Vec<usize> = indices.clone().map(|index| data.get(index).label).collect();
        let batch = Batch::<C, H, W, K, f32, D>::new(data, indices, validation.scaling, device)?;
        meter.add(&model.try_forward(batch.images)?.as_vec(), &labels);
    }
    Ok(meter.evaluation())
}
