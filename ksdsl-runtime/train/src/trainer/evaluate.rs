//! A model on images held out.

use crate::classifier::Classifier;
use crate::data::{Batch, Dataset, Scaling};
use crate::metrics::Evaluation;
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
    let mut logits = Vec::with_capacity(data.len() * K);
    for first in (0..data.len()).step_by(AT_ONCE) {
        let indices = first..data.len().min(first + AT_ONCE);
        let batch = Batch::<C, H, W, K, f32, D>::new(data, indices, held_out.scaling, device)?;
        logits.extend(model.try_forward(batch.images)?.as_vec());
    }
    let labels: Vec<usize> = data.iter().map(|example| example.label).collect();
    Ok(evaluation(&logits, &labels, K))
}

/// The metrics of logits, `classes` for each label.
fn evaluation(logits: &[f32], labels: &[usize], classes: usize) -> Evaluation {
    let mut evaluation = Evaluation {
        images: labels.len(),
        loss: 0.0,
        top1: 0.0,
        top5: 0.0,
        confusion: vec![0; classes * classes],
    };
    for (logits, &label) in logits.chunks_exact(classes).zip(labels) {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
        evaluation.loss += sum.ln() - f64::from(logits[label] - largest);
        // Of equal logits the first comes first.
        let before = |class: usize, of: usize| logits[class] > logits[of] || logits[class] == logits[of] && class < of;
        let rank = (0..classes).filter(|&class| before(class, label)).count();
        evaluation.top1 += f64::from(u8::from(rank < 1));
        evaluation.top5 += f64::from(u8::from(rank < 5));
        let taken = (1..classes).fold(0, |best, class| if before(class, best) { class } else { best });
        evaluation.confusion[label * classes + taken] += 1;
    }
    let count = labels.len().max(1) as f64;
    evaluation.loss /= count;
    evaluation.top1 /= count;
    evaluation.top5 /= count;
    evaluation
}
