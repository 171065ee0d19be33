//! Models prepared for inference: kernels are read, packed and transformed once, not at every call.

use crate::backend::Backend;
use crate::network::Infer;
use crate::pass::Pass;
use crate::scalar::Scalar;
use dfdx::shapes::Shape;
use dfdx::tensor::Tensor;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

/// A model prepared for inference. It borrows the model, so the kernels cannot change; a shared kernel is
/// prepared once for all its visits.
#[derive(Debug)]
pub struct Prepared<'m, M, E: Scalar, D: Backend<E>> {
    model: &'m M,
    kernels: Rc<Kernels<E, D>>,
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

/// Prepared kernels by the address of their tensor, which a borrow keeps in place.
pub(crate) struct Kernels<E: Scalar, D: Backend<E>> {
    by_address: RefCell<HashMap<usize, Rc<D::Kernel>>>,
    /// Kernels with an addition of a visit's own, by the address of its second factor.
    sums: RefCell<HashMap<usize, Rc<D::Kernel>>>,
}

impl<E: Scalar, D: Backend<E>> Default for Kernels<E, D> {
    fn default() -> Self {
        Self {
            by_address: RefCell::default(),
            sums: RefCell::default(),
        }
    }
}

impl<E: Scalar, D: Backend<E>> fmt::Debug for Kernels<E, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernels({})", self.by_address.borrow().len())
    }
}

impl<E: Scalar, D: Backend<E>> Kernels<E, D> {
    /// The kernel of `tensor`, read at the first use.
    pub(crate) fn of<S: Shape>(&self, tensor: &Tensor<S, E, D>) -> Result<Rc<D::Kernel>, D::Err> {
        let address = std::ptr::from_ref(tensor).addr();
        if let Some(kernel) = self.by_address.borrow().get(&address) {
            return Ok(kernel.clone());
        }
        let kernel = Rc::new(read(tensor)?);
        self.by_address.borrow_mut().insert(address, kernel.clone());
        Ok(kernel)
    }

    /// The kernel with the addition of which `factor` is a factor, made at the first use.
    pub(crate) fn sum<S: Shape>(
        &self,
        factor: &Tensor<S, E, D>,
        make: impl FnOnce() -> Result<D::Kernel, D::Err>,
    ) -> Result<Rc<D::Kernel>, D::Err> {
        let address = std::ptr::from_ref(factor).addr();
        if let Some(kernel) = self.sums.borrow().get(&address) {
            return Ok(kernel.clone());
        }
        let kernel = Rc::new(make()?);
        self.sums.borrow_mut().insert(address, kernel.clone());
        Ok(kernel)
    }
}

/// Reads a tensor as a kernel.
pub(crate) fn read<S: Shape, E: Scalar, D: Backend<E>>(tensor: &Tensor<S, E, D>) -> Result<D::Kernel, D::Err> {
    let device = tensor.device();
    let values = device.read_tensor(tensor)?;
    Ok(device.kernel(values))
}
