//! A model on images held out.

use crate::classifier::Classifier;
use crate::data::{Batch, Dataset, Scaling};
use crate::metrics::{Evaluation, Meter};
use crate::source::fingerprint;
use ksdsl_runtime::update::Updates;

/// Images per pass of an evaluation: so many that a few cores are busy, so few that little memory is
/// needed.
const AT_ONCE: usize = 250;

/// The images that a model is evaluated on.
#[derive(Clone, Copy, Debug)]
pub struct HeldOut<'d, const C: usize, const H: usize, const W: usize, const K: usize> {
    /// The images.
    pub data: &'d Dataset<C, H, W, K>,
    /// How pixels become numbers: as in training.
    pub scaling: Scaling<C>,
}

impl<const C: usize, const H: usize, const W: usize, const K: usize> HeldOut<'_, C, H, W, K> {
    /// A number that tells other images apart.
    pub(super) fn fingerprint(&self) -> u64 {
        fingerprint(self.data)
    }
}

/// Runs a model in inference on all images.
pub fn evaluate<const C: usize, const H: usize, const W: usize, const K: usize, D, M>(
    model: &M,
    held_out: HeldOut<'_, C, H, W, K>,
    device: &D,
) -> Result<Evaluation, D::Err>
where
    D: Updates<f32>,
    M: Classifier<C, H, W, K, D>,
{
    let data = held_out.data;
    let mut meter = Meter::new(K);
    for first in (0..data.len()).step_by(AT_ONCE) {
        let indices = first..data.len().min(first + AT_ONCE);
        let labels: Vec<usize> = indices.clone().map(|index| data.get(index).label).collect();
        let batch = Batch::<C, H, W, K, f32, D>::new(data, indices, held_out.scaling, device)?;
        meter.add(&model.try_forward(batch.images)?.as_vec(), &labels);
    }
    Ok(meter.evaluation())
}
