//! The optimiser of dfdx's models.

use super::tensors;
use ksdsl_runtime::Scalar;
use ksdsl_runtime::backend::{Backend, Buf};
use ksdsl_runtime::dfdx::nn::tensor_collection::TensorCollection;
use ksdsl_runtime::dfdx::optim::{Optimizer, OptimizerUpdateError};
use ksdsl_runtime::dfdx::tensor::Gradients;
use ksdsl_runtime::tensors::{visit, visit_mut};
use ksdsl_train_core::optim::{self, Method};
use std::ops::{Deref, DerefMut};

/// An optimiser of the parameters of one model on a device `D`. A shared kernel is one parameter, with
/// one state. It has the fields `rate`, `decayed` and `clip` of [`ksdsl_train_core::optim::Optimiser`].
#[derive(Debug)]
pub struct Optimiser<E: Scalar, D: Backend<E>>(optim::Optimiser<E, D::Exec>);

impl<E: Scalar, D: Backend<E>> Deref for Optimiser<E, D> {
    type Target = optim::Optimiser<E, D::Exec>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<E: Scalar, D: Backend<E>> DerefMut for Optimiser<E, D> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<E: Scalar, D: Backend<E>> From<optim::Optimiser<E, D::Exec>> for Optimiser<E, D> {
    fn from(optimiser: optim::Optimiser<E, D::Exec>) -> Self {
        Self(optimiser)
    }
}

impl<E: Scalar, D: Backend<E>> Optimiser<E, D> {
    /// An optimiser with empty state, a learning rate of 0.001 and no gradient clipping; weight decay acts on
    /// [`Decayed::default`](optim::Decayed), as in a recipe.
    pub fn new(method: impl Into<Method>) -> Self {
        Self(optim::Optimiser::new(method))
    }

    /// Runs a step, consuming `gradients`; returns the global gradient norm before clipping. If the norm is not
    /// finite, the model is unchanged.
    pub fn step<M: TensorCollection<E, D>>(
        &mut self,
        model: &mut M,
        gradients: &mut Gradients<E, D>,
    ) -> Result<f64, D::Err> {
        let (device, mut gathered) = gather(model, gradients)?;
        let Some(device) = device else {
            return Ok(0.0);
        };
        let exec = device.exec()?;
        let norm = self.0.begin(&exec, &mut gathered).map_err(D::failed)?;
        if !norm.is_finite() {
            return Ok(norm);
        }
        if !self.0.knows_model() {
            self.0.know(&tensors::slots::<E, D, M>(model)?);
        }
        let mut gradients = gathered.into_iter().enumerate();
        visit_mut::<E, D, M>(model, |slot, tensor| {
            // Running statistics have no gradient.
            let Some((at, gradient)) = slot.trained.then(|| gradients.next()).flatten() else {
                return Ok(());
            };
            let mut parameter = tensor.buffer()?;
            let updated = self.0.update(&exec, (at, &slot), &mut parameter, &gradient);
            updated.map_err(D::failed)?;
            tensor.set_buffer(parameter)
        })?;
        Ok(norm)
    }
}

/// The gradients of all trained tensors and the device they are on, if there are any.
#[allow(clippy::type_complexity)]
fn gather<E: Scalar, D: Backend<E>, M: TensorCollection<E, D>>(
    model: &M,
    gradients: &mut Gradients<E, D>,
) -> Result<(Option<D>, Vec<Buf<E, D>>), D::Err> {
    let (mut device, mut gathered) = (None, Vec::new());
    visit::<E, D, M>(model, |slot, tensor| {
        if slot.trained {
            device.get_or_insert_with(|| tensor.on().clone());
            gathered.push(tensor.take_gradient(gradients)?);
        }
        Ok(())
    })?;
    Ok((device, gathered))
}

impl<E: Scalar, D: Backend<E>, M: TensorCollection<E, D>> Optimizer<M, D, E> for Optimiser<E, D> {
    /// Runs a step; a missing gradient counts as zero.
    fn update(&mut self, model: &mut M, gradients: &Gradients<E, D>) -> Result<(), OptimizerUpdateError<D::Err>> {
        let step = self.step(model, &mut gradients.clone());
        step.map(|_| ()).map_err(OptimizerUpdateError::DeviceError)
    }
}
