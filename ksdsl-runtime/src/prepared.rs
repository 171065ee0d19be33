//! Models prepared for inference: kernels are read, packed and transformed once, not at every call.

use crate::backend::Backend;
use crate::network::Infer;
use crate::pass::Pass;
use crate::scalar::Scalar;
use crate::steps::{HasSteps, Steps, StepsError};
use ksdsl_engine::Kernels;
use std::rc::Rc;

/// A model prepared for inference. It borrows the model, so the kernels cannot change; a shared kernel is
/// prepared once for all its visits.
#[derive(Debug)]
pub struct Prepared<'m, M, E: Scalar, D: Backend<E>> {
    model: &'m M,
    kernels: Rc<Kernels<E, D::Exec>>,
}

impl<'m, M, E: Scalar, D: Backend<E>> Prepared<'m, M, E, D> {
    /// Prepares `model`. Kernels are packed during the first call.
    pub fn new(model: &'m M) -> Self {
        Self {
            model,
            kernels: Rc::default(),
        }
    }

    /// Runs the model on `x`.
    pub fn try_forward<X>(&self, device: &D, x: X) -> Result<M::Output, D::Err>
    where
        M: Infer<X, E, D>,
    {
        let mut pass = Pass::inference(device).with_kernels(self.kernels.clone());
        self.model.infer(&mut pass, x)
    }

    /// Runs the model on `x`, its loops as often as `steps` says.
    ///
    /// # Errors
    /// If a loop cannot run so often, or the device fails.
    pub fn try_forward_with<X>(
        &self,
        device: &D,
        steps: impl Into<M::Steps>,
        x: X,
    ) -> Result<M::Output, StepsError<D::Err>>
    where
        M: Infer<X, E, D> + HasSteps,
    {
        let counts = steps.into().checked()?;
        let pass = Pass::inference(device).with_kernels(self.kernels.clone());
        self.model
            .infer(&mut pass.with_counts(counts), x)
            .map_err(StepsError::Device)
    }

    /// Runs the model on `x`.
    ///
    /// # Panics
    /// If the device fails.
    pub fn forward<X>(&self, device: &D, x: X) -> M::Output
    where
        M: Infer<X, E, D>,
    {
        self.try_forward(device, x).expect("the device failed")
    }
}
