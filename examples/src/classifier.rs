//! What a generated network of digits can do, as one bound.

use ksdsl_runtime::data::{Batch, Digits, Images, Scaling, Targets};
use ksdsl_runtime::dfdx::nn::tensor_collection::TensorCollection;
use ksdsl_runtime::dfdx::tensor::CpuError;
use ksdsl_runtime::prelude::*;

type OnTape = OwnedTape<f32, Cpu>;

/// A network from images of digits to a logit for each class, in `f32` on the CPU: every net with
/// `input 1 x 8 x 8` and ten outputs.
pub trait Classifier:
    TensorCollection<f32, Cpu>
    + Module<Images<f32, Cpu>, Output = Targets<f32, Cpu>, Error = CpuError>
    + ModuleMut<Images<f32, Cpu, OnTape>, Output = Targets<f32, Cpu, OnTape>, Error = CpuError>
{
}

impl<M> Classifier for M where
    M: TensorCollection<f32, Cpu>
        + Module<Images<f32, Cpu>, Output = Targets<f32, Cpu>, Error = CpuError>
        + ModuleMut<Images<f32, Cpu, OnTape>, Output = Targets<f32, Cpu, OnTape>, Error = CpuError>
{
}

/// The share of `digits` whose class gets the largest logit.
pub fn accuracy(model: &impl Classifier, digits: &Digits, scaling: Scaling) -> Result<f64, CpuError> {
    let batch = Batch::new(digits, scaling, &Cpu::default())?;
    let logits = model.try_forward(batch.images)?.as_vec();
    let right = logits
        .chunks(Digits::CLASSES)
        .zip(digits)
        .filter(|(logits, digit)| largest(logits) == usize::from(digit.class));
    Ok(right.count() as f64 / digits.len() as f64)
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
