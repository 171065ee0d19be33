//! Optimiser updates as operations on executor buffers. The caller owns the state and can save it.

use crate::exec::Exec;
use crate::real::Real;

/// What is known of a tensor of a model apart from its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its key in checkpoints.
    pub key: String,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// Whether it is trained; running statistics are not.
    pub trained: bool,
}

impl Slot {
    /// How many values the tensor has.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Stochastic gradient descent, as PyTorch's `torch.optim.SGD`: `g += decay * p`;
/// `v = momentum * v + g` (`v = g` at the first step); the step is `g + momentum * v` with Nesterov's
/// momentum and `v` without.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdStep {
    /// The learning rate.
    pub rate: f64,
    /// Momentum; 0 for plain gradient descent.
    pub momentum: f64,
    /// Nesterov momentum (Sutskever et al. 2013).
    pub nesterov: bool,
    /// L2 weight decay, added to the gradient.
    pub decay: f64,
    /// Decoupled weight decay (Loshchilov & Hutter 2019): the parameter is first multiplied by `1 - rate * decoupled`.
    pub decoupled: f64,
}

/// Adam (Kingma & Ba 2015), as PyTorch's `torch.optim.AdamW`: the parameter is first multiplied
/// by `1 - rate * decoupled`; the step is `rate * m' / (sqrt(v') + eps)` with bias-corrected
/// moments, `m' = m / (1 - beta1^t)` and `v' = v / (1 - beta2^t)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// The learning rate.
    pub rate: f64,
    /// The decay rates of the moments.
    pub betas: [f64; 2],
    /// Added to the denominator, the square root of the second moment.
    pub eps: f64,
    /// L2 weight decay, added to the gradient.
    pub decay: f64,
    /// Decoupled weight decay (Loshchilov & Hutter 2019).
    pub decoupled: f64,
    /// The number of this step, from 1.
    pub step: u64,
}

/// Updates of parameters, on buffers of the executor. All buffers of a call have the same length.
pub trait Updates<E: Real>: Exec<E> {
    /// A step of gradient descent; `velocity` is zero before the first.
    fn sgd_step(
        &self,
        rule: SgdStep,
        parameter: &mut Self::Buf,
        gradient: &Self::Buf,
        velocity: &mut Self::Buf,
    ) -> Result<(), Self::Err>;

    /// A step of Adam; both moments are zero before the first.
    fn adam_step(
        &self,
        rule: AdamStep,
        parameter: &mut Self::Buf,
        gradient: &Self::Buf,
        first: &mut Self::Buf,
        second: &mut Self::Buf,
    ) -> Result<(), Self::Err>;

    /// `average = decay * average + (1 - decay) * value`.
    fn average(&self, decay: f64, average: &mut Self::Buf, value: &Self::Buf) -> Result<(), Self::Err>;

    /// The sum of the squares of the values of each buffer, added in an order that does not depend on threads.
    fn sums_of_squares(&self, of: &[Self::Buf]) -> Result<Vec<f64>, Self::Err>;

    /// Multiplies all values.
    fn scale(&self, factor: f64, x: &mut Self::Buf) -> Result<(), Self::Err>;
}
