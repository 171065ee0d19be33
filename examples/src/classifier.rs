//! What a generated network that tells classes of images apart can do, as one bound.

use ksdsl_runtime::dfdx::nn::tensor_collection::TensorCollection;
use ksdsl_runtime::dfdx::tensor::CpuError;
use ksdsl_runtime::prelude::*;
use ksdsl_train::data::{Batch, Dataset, Images, Scaling, Targets};

type OnTape = OwnedTape<f32, Cpu>;

/// Images per pass of a test: so many that two cores are busy, so few that little memory is needed.
const TESTED_AT_ONCE: usize = 250;

/// A network from images to a logit for each class, in `f32` on the CPU: every net with
/// `input C x H x W` and `K` outputs.
pub trait Classifier<const C: usize, const H: usize, const W: usize, const K: usize>:
    TensorCollection<f32, Cpu>
    + Module<Images<C, H, W, f32, Cpu>, Output = Targets<K, f32, Cpu>, Error = CpuError>
    + ModuleMut<Images<C, H, W, f32, Cpu, OnTape>, Output = Targets<K, f32, Cpu, OnTape>, Error = CpuError>
{
}

impl<M, const C: usize, const H: usize, const W: usize, const K: usize> Classifier<C, H, W, K> for M where
    M: TensorCollection<f32, Cpu>
        + Module<Images<C, H, W, f32, Cpu>, Output = Targets<K, f32, Cpu>, Error = CpuError>
        + ModuleMut<Images<C, H, W, f32, Cpu, OnTape>, Output = Targets<K, f32, Cpu, OnTape>, Error = CpuError>
{
}

/// The share of the images whose class gets the largest logit.
pub fn accuracy<const C: usize, const H: usize, const W: usize, const K: usize>(
    model: &impl Classifier<C, H, W, K>,
    data: &Dataset<C, H, W, K>,
    scaling: Scaling<C>,
) -> Result<f64, CpuError> {
    let mut right = 0;
    for first in (0..data.len()).step_by(TESTED_AT_ONCE) {
        let indices = first..data.len().min(first + TESTED_AT_ONCE);
        let batch = Batch::new(data, indices.clone(), scaling, &Cpu::default())?;
        let logits = model.try_forward(batch.images)?.as_vec();
        right += logits
            .chunks(K)
            .zip(indices)
            .filter(|(logits, index)| largest(logits) == data.get(*index).label)
            .count();
    }
    Ok(right as f64 / data.len() as f64)
}

/// The index of the largest value, the first of several.
fn largest(values: &[f32]) -> usize {
    (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::largest;

    #[test]
    fn finds_the_first_largest() {
        assert_eq!(largest(&[-3.0, -1.0, -2.0, -1.0]), 1);
    }
}
