//! The optimiser: a method and its state.

use super::method::Method;
use super::stored::{floats, stored};
use crate::recipe::Recipe;
use ksdsl_checkpoint::Tensor as Stored;
use ksdsl_engine::update::{Slot, Updates};
use ksdsl_engine::{Exec, Real};
use ksdsl_files::keys::{COEFFICIENTS, SCALE};
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

/// An optimiser of the parameters of one model, on buffers of an executor `X`. The caller gives it gradients and
/// parameters, in an order that stays. A shared kernel is one parameter, with one state.
#[derive(Debug)]
pub struct Optimiser<E: Real, X: Exec<E>> {
    /// The learning rate of the next step.
    pub rate: f64,
    /// The parameters with weight decay.
    pub decayed: Decayed,
    /// Maximum global gradient norm, as in PyTorch's `clip_grad_norm_`.
    pub clip: Option<f64>,
    method: Method,
    steps: u64,
    kept: Vec<Kept<X::Buf>>,
    /// Of each trained tensor, whether it holds factors of a visit; empty before the model is known.
    factors: Vec<bool>,
}

impl<E: Real, X: Updates<E>> Optimiser<E, X> {
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

    /// The optimiser of a recipe.
    pub fn of(recipe: &Recipe) -> Self {
        Self {
            decayed: recipe.decayed,
            clip: recipe.clip,
            ..Self::new(recipe.method)
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

    /// Whether [`Optimiser::know`] has been called.
    pub fn knows_model(&self) -> bool {
        !self.factors.is_empty()
    }

    /// Says which tensors the model has: before the first [`Optimiser::update`].
    pub fn know(&mut self, slots: &[Slot]) {
        self.factors = factors(slots);
    }

    /// Begins a step with the gradients of all trained tensors, which it clips; returns the global gradient norm before
    /// clipping. If the norm is not finite, no step begins.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn begin(&mut self, exec: &X, gradients: &mut [X::Buf]) -> Result<f64, X::Err> {
        let squares = exec.sums_of_squares(gradients)?;
        let norm = squares.into_iter().sum::<f64>().sqrt();
        if !norm.is_finite() || gradients.is_empty() {
            return Ok(norm);
        }
        // As in PyTorch's clip_grad_norm_.
        let factor = self.clip.map_or(1.0, |most| most / (norm + 1e-6));
        if factor < 1.0 {
            for gradient in gradients {
                exec.scale(factor, gradient)?;
            }
        }
        self.steps += 1;
        Ok(norm)
    }

    /// Updates the `at`-th trained tensor in the step that has begun.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn update(
        &mut self,
        exec: &X,
        (at, slot): (usize, &Slot),
        parameter: &mut X::Buf,
        gradient: &X::Buf,
    ) -> Result<(), X::Err> {
        let is_factor = self.factors.get(at).is_some_and(|&is| is);
        let how = (self.steps, self.rate, self.decayed.includes(slot, is_factor));
        let method = self.method;
        if at >= self.kept.len() {
            let zeros = (0..method.states().len()).map(|_| exec.zeroed(slot.elements()));
            let buffers = zeros.collect::<Result<_, _>>()?;
            let slot = slot.clone();
            self.kept.push(Kept { slot, buffers });
        }
        debug_assert_eq!(self.kept[at].slot, *slot, "an optimiser serves one model");
        method.step(exec, how, parameter, gradient, &mut self.kept[at].buffers)
    }
}

/// Serialisation.
impl<X: Updates<f32>> Optimiser<f32, X> {
    /// Its state as named tensors: `PREFIX` + `velocity.` + the parameter's key, etc.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn save(&self, exec: &X, prefix: &str) -> Result<Vec<Stored<'static>>, X::Err> {
        let mut all = Vec::new();
        for Kept { slot, buffers } in &self.kept {
            for (name, buffer) in self.method.states().iter().zip(buffers) {
                let key = format!("{prefix}{name}.{}", slot.key);
                all.push(stored(key, slot, &exec.download(buffer)?));
            }
        }
        Ok(all)
    }

    /// The state after `steps` steps, of the tensors that `bytes` gives for their keys, without prefix.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn restore<'b>(
        &mut self,
        exec: &X,
        steps: u64,
        slots: &[Slot],
        bytes: impl Fn(&str) -> &'b [u8],
    ) -> Result<(), X::Err> {
        self.steps = steps;
        self.kept.clear();
        if steps == 0 {
            return Ok(());
        }
        for slot in slots.iter().filter(|slot| slot.trained) {
            let state = |name: &&str| exec.upload(floats(bytes(&format!("{name}.{}", slot.key))));
            let buffers = self.method.states().iter().map(state).collect::<Result<_, _>>()?;
            let slot = slot.clone();
            self.kept.push(Kept { slot, buffers });
        }
        Ok(())
    }
}
