//! A model's tensors as files hold them, and changes of all of them.

use ksdsl_checkpoint::Tensor as Stored;
use ksdsl_runtime::Scalar;
use ksdsl_runtime::backend::{Backend, Buf};
use ksdsl_runtime::dfdx::nn::tensor_collection::TensorCollection;
use ksdsl_runtime::tensors::{Slot, visit, visit_mut};
use ksdsl_train_core::optim::{floats, stored};

/// All tensors of a model, running statistics included.
pub(crate) fn slots<E: Scalar, D: Backend<E>, M: TensorCollection<E, D>>(model: &M) -> Result<Vec<Slot>, D::Err> {
    let mut slots = Vec::new();
    visit::<E, D, M>(model, |slot, _| {
        slots.push(slot);
        Ok(())
    })?;
    Ok(slots)
}

/// All tensors of a model as a file holds them, with `prefix` before their keys.
pub(crate) fn read<D: Backend<f32>, M: TensorCollection<f32, D>>(
    model: &M,
    prefix: &str,
) -> Result<Vec<Stored<'static>>, D::Err> {
    let mut all = Vec::new();
    visit::<f32, D, M>(model, |slot, tensor| {
        all.push(stored(format!("{prefix}{}", slot.key), &slot, &tensor.values()));
        Ok(())
    })?;
    Ok(all)
}

/// Sets all tensors of a model to the values that `bytes` gives for their slots.
pub(crate) fn write<'b, D: Backend<f32>, M: TensorCollection<f32, D>>(
    model: &mut M,
    mut bytes: impl FnMut(&Slot) -> &'b [u8],
) -> Result<(), D::Err> {
    visit_mut::<f32, D, M>(model, |slot, tensor| {
        tensor.set_values(&floats(bytes(&slot)));
        Ok(())
    })
}

/// Exchanges the values of all tensors with those of `values`, one for each.
pub(crate) fn swap<E: Scalar, D: Backend<E>, M: TensorCollection<E, D>>(
    model: &mut M,
    values: &mut [Buf<E, D>],
) -> Result<(), D::Err> {
    let mut values = values.iter_mut();
    visit_mut::<E, D, M>(model, |_, tensor| match values.next() {
        Some(value) => {
            let old = tensor.buffer()?;
            tensor.set_buffer(std::mem::replace(value, old))
        }
        None => Ok(()),
    })
}

/// The keys of a model's tensors that hold a value that is not finite.
///
/// # Errors
/// Of the device.
pub fn non_finite<E: Scalar, D: Backend<E>, M: TensorCollection<E, D>>(model: &M) -> Result<Vec<String>, D::Err> {
    let mut keys = Vec::new();
    visit::<E, D, M>(model, |slot, tensor| {
        if tensor.values().iter().any(|value| !value.is_finite()) {
            keys.push(slot.key);
        }
        Ok(())
    })?;
    Ok(keys)
}
