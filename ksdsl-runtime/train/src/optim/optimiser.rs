//! The optimiser: a method and its state.

use super::method::Method;
use super::tensors::{self, stored};
use ksdsl_checkpoint::Tensor as Stored;
use ksdsl_engine::Exec;
use ksdsl_engine::update::Updates;
use ksdsl_files::keys::{COEFFICIENTS, SCALE};
use ksdsl_runtime::Scalar;
use ksdsl_runtime::backend::{Backend, Buf};
use ksdsl_runtime::checkpoint::Element;
use ksdsl_runtime::dfdx::nn::tensor_collection::TensorCollection;
use ksdsl_runtime::dfdx::optim::{Optimizer, OptimizerUpdateError};
use ksdsl_runtime::dfdx::tensor::Gradients;
use ksdsl_runtime::tensors::{AnyTensor, Slot, visit, visit_mut};
use serde::{Deserialize, Serialize};

/// The parameters with weight decay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decayed {
    /// All parameters, as in PyTorch's optimisers without parameter groups, except the factors of visits (`with private
    /// scale`, and the coefficients of `into bank`): decay towards 0 would erase the visit's kernel.
    #[default]
    All,
    /// Parameters with at least two dimensions: kernels and embeddings, but neither biases nor the scales and shifts of
    /// norms.
    Kernels,
}

impl Decayed {
    fn includes(self, slot: &Slot, is_factor: bool) -> bool {
        slot.shape.len() > 1 || self == Self::All && !is_factor
    }
}

/// Of each trained tensor, whether it holds the factors of a visit. dfdx's batch norms call theirs alike, and have
/// running statistics beside them.
fn factors(slots: &[Slot]) -> Vec<bool> {
    let has = |key: String| slots.iter().any(|slot| slot.key == key);
    let is_factor = |slot: &Slot| {
        let layer = [SCALE, COEFFICIENTS]
            .iter()
            .find_map(|name| slot.key.strip_suffix(name));
        layer.is_some_and(|layer| layer.ends_with('.') && !has(format!("{layer}running_mean")))
    };
    slots.iter().filter(|slot| slot.trained).map(is_factor).collect()
}

/// The state of one parameter.
#[derive(Debug)]
struct Kept<B> {
    slot: Slot,
    buffers: Vec<B>,
}

/// An optimiser of the parameters of one model on a device `D`. A shared kernel is one parameter, with
/// one state.
#[derive(Debug)]
pub struct Optimiser<E: Scalar, D: Backend<E>> {
    /// The learning rate of the next step.
    pub rate: f64,
    /// The parameters with weight decay.
    pub decayed: Decayed,
    /// Maximum global gradient norm, as in PyTorch's `clip_grad_norm_`.
    pub clip: Option<f64>,
    method: Method,
    steps: u64,
    kept: Vec<Kept<Buf<E, D>>>,
    /// Of each trained tensor, whether it holds factors of a visit; empty before the first step.
    factors: Vec<bool>,
}

impl<E: Scalar, D: Backend<E>> Optimiser<E, D> {
    /// An optimiser with empty state, a learning rate of 0.001 and no gradient clipping; weight decay acts on
    /// [`Decayed::default`], as in a recipe.
    pub fn new(method: impl Into<Method>) -> Self {
        Self {
            rate: 1e-3,
            decayed: Decayed::default(),
            clip: None,
            method: method.into(),
            steps: 0,
            kept: Vec::new(),
            factors: Vec::new(),
        }
    }

    /// The method and its hyperparameters.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The number of steps done.
    pub fn steps(&self) -> u64 {
        self.steps
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
        let mut squares = 0.0;
        for gradient in &gathered {
            squares += exec.sum_of_squares(gradient).map_err(D::failed)?;
        }
        let norm = squares.sqrt();
        if !norm.is_finite() {
            return Ok(norm);
        }
        // As in PyTorch's clip_grad_norm_.
        let factor = self.clip.map_or(1.0, |most| most / (norm + 1e-6));
        if factor < 1.0 {
            for gradient in &mut gathered {
                exec.scale(factor, gradient).map_err(D::failed)?;
            }
        }
        if self.factors.is_empty() {
            self.factors = factors(&tensors::slots::<E, D, M>(model)?);
        }
        self.steps += 1;
        let mut gradients = gathered.into_iter().enumerate();
        visit_mut::<E, D, M>(model, |slot, tensor| {
            // Running statistics have no gradient.
            match slot.trained.then(|| gradients.next()).flatten() {
                Some((at, gradient)) => self.update_tensor(at, slot, tensor, &gradient),
                None => Ok(()),
            }
        })?;
        Ok(norm)
    }

    /// Updates the `at`-th trained tensor.
    fn update_tensor(
        &mut self,
        at: usize,
        slot: Slot,
        tensor: &mut dyn AnyTensor<E, D>,
        gradient: &Buf<E, D>,
    ) -> Result<(), D::Err> {
        let device = tensor.on().clone();
        let mut parameter = tensor.buffer()?;
        let is_factor = self.factors.get(at).is_some_and(|&is| is);
        let decays = self.decayed.includes(&slot, is_factor);
        let how = (self.steps, self.rate, decays);
        let method = self.method;
        let states = self.kept(&device, slot, at)?;
        method.step::<E, D>(&device, how, &mut parameter, gradient, states)?;
        tensor.set_buffer(parameter)
    }

    /// The buffers of a parameter, the `at`-th; zeros before the first step.
    fn kept(&mut self, device: &D, slot: Slot, at: usize) -> Result<&mut [Buf<E, D>], D::Err> {
        if at >= self.kept.len() {
            let exec = device.exec()?;
            let zeros = (0..self.method.states().len()).map(|_| exec.zeroed(slot.elements()));
            let buffers = zeros.collect::<Result<_, _>>().map_err(D::failed)?;
            self.kept.push(Kept { slot, buffers });
            return Ok(&mut self.kept[at].buffers);
        }
        debug_assert_eq!(self.kept[at].slot, slot, "an optimiser serves one model");
        Ok(&mut self.kept[at].buffers)
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

/// Serialisation.
impl<E: Element, D: Backend<E>> Optimiser<E, D> {
    /// Its state as named tensors: `PREFIX` + `velocity.` + the parameter's key, etc.
    pub(crate) fn save(&self, device: &D, prefix: &str) -> Result<Vec<Stored<'static>>, D::Err> {
        let mut all = Vec::new();
        for kept in &self.kept {
            for (name, buffer) in self.method.states().iter().zip(&kept.buffers) {
                let values = device.make_tensor(buffer.clone(), (kept.slot.elements(),))?.as_vec();
                all.push(stored(
                    format!("{prefix}{name}.{}", kept.slot.key),
                    &kept.slot.shape,
                    &values,
                ));
            }
        }
        Ok(all)
    }

    /// The state after `steps` steps, of the tensors that `bytes` gives for their keys, without prefix.
    pub(crate) fn restore<'b>(
        &mut self,
        device: &D,
        steps: u64,
        slots: &[Slot],
        bytes: impl Fn(&str) -> &'b [u8],
    ) -> Result<(), D::Err> {
        self.steps = steps;
        self.kept.clear();
        if steps == 0 {
            return Ok(());
        }
        for slot in slots.iter().filter(|slot| slot.trained) {
            let mut buffers = Vec::new();
            for name in self.method.states() {
                let values = E::from_bytes(bytes(&format!("{name}.{}", slot.key)));
                let tensor = device.try_tensor_from_vec(values, (slot.elements(),))?;
                buffers.push(device.read_tensor(&tensor)?);
            }
            let slot = slot.clone();
            self.kept.push(Kept { slot, buffers });
        }
        Ok(())
    }
}
