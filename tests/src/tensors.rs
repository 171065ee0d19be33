//! A model's tensors by their checkpoint keys.

use ksdsl_runtime::Scalar;
use ksdsl_runtime::backend::Backend;
use ksdsl_runtime::dfdx::nn::tensor_collection::TensorCollection;
use ksdsl_runtime::dfdx::tensor::{Cpu, Gradients};
use ksdsl_runtime::tensors::{AnyTensor, Slot, visit, visit_mut};
use std::collections::BTreeMap;

/// Values by checkpoint key.
pub type Values<E> = BTreeMap<String, Vec<E>>;

/// The values of all tensors, running statistics included.
pub fn values<E: Scalar, M: TensorCollection<E, Cpu>>(model: &M) -> Values<E>
where
    Cpu: Backend<E>,
{
    collect(model, |_, tensor| Some(tensor.values()))
}

/// The values of the tensors that are trained.
pub fn trainable<E: Scalar, M: TensorCollection<E, Cpu>>(model: &M) -> Values<E>
where
    Cpu: Backend<E>,
{
    collect(model, |slot, tensor| slot.trained.then(|| tensor.values()))
}

/// The gradients of the tensors that are trained; each must have one.
pub fn gradients<E: Scalar, M: TensorCollection<E, Cpu>>(model: &M, gradients: &Gradients<E, Cpu>) -> Values<E>
where
    Cpu: Backend<E>,
{
    collect(model, |slot, tensor| slot.trained.then(|| tensor.gradient(gradients)))
}

/// Changes every tensor's values in place; `change` is told the key.
pub fn change<E: Scalar, M: TensorCollection<E, Cpu>>(model: &mut M, mut change: impl FnMut(&str, &mut [E]))
where
    Cpu: Backend<E>,
{
    let changed = visit_mut::<E, Cpu, M>(model, |slot, tensor| {
        let mut values = tensor.values();
        change(&slot.key, &mut values);
        tensor.set_values(&values);
        Ok(())
    });
    changed.unwrap();
}

/// Writes values by key; each tensor must be among them.
pub fn write<E: Scalar, M: TensorCollection<E, Cpu>>(model: &mut M, values: &Values<E>)
where
    Cpu: Backend<E>,
{
    change(model, |key, to| to.copy_from_slice(&values[key]));
}

/// What `read` finds in each tensor that it takes.
fn collect<E: Scalar, M: TensorCollection<E, Cpu>>(
    model: &M,
    read: impl Fn(&Slot, &dyn AnyTensor<E, Cpu>) -> Option<Vec<E>>,
) -> Values<E>
where
    Cpu: Backend<E>,
{
    let mut all = Values::new();
    let visited = visit::<E, Cpu, M>(model, |slot, tensor| {
        if let Some(values) = read(&slot, tensor) {
            let twice = all.insert(slot.key.clone(), values).is_some();
            assert!(!twice, "two tensors are called {}", slot.key);
        }
        Ok(())
    });
    visited.unwrap();
    all
}
