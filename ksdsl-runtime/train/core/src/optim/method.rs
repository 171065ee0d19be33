//! Optimisers and their hyperparameters.

use ksdsl_engine::Real;
use ksdsl_engine::update::{AdamStep, SgdStep, Updates};
use serde::{Deserialize, Serialize};

/// Stochastic gradient descent with momentum, as PyTorch's `torch.optim.SGD`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sgd {
    /// Momentum; 0 for plain gradient descent.
    pub momentum: f64,
    /// Nesterov momentum (Sutskever et al. 2013).
    pub nesterov: bool,
    /// L2 weight decay, added to the gradient.
    pub decay: f64,
    /// Decoupled weight decay (Loshchilov & Hutter 2019), an alternative to `decay`.
    pub decoupled: f64,
}

impl Default for Sgd {
    /// Nesterov momentum of 0.9 and weight decay of 5e-4.
    fn default() -> Self {
        Self {
            momentum: 0.9,
            nesterov: true,
            decay: 5e-4,
            decoupled: 0.0,
        }
    }
}

/// Adam with decoupled weight decay (Loshchilov & Hutter 2019), as PyTorch's `torch.optim.AdamW`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamW {
    /// The decay rates of the moments.
    pub betas: [f64; 2],
    /// Added to the denominator, the square root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay, multiplied by the learning rate.
    pub decay: f64,
}

impl Default for AdamW {
    /// PyTorch's betas and epsilon, and weight decay of 0.05, usual for transformers (PyTorch's default is 0.01).
    fn default() -> Self {
        Self {
            betas: [0.9, 0.999],
            eps: 1e-8,
            decay: 0.05,
        }
    }
}

/// An optimiser and its hyperparameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Method {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Adam with decoupled weight decay.
    AdamW(AdamW),
}

impl From<Sgd> for Method {
    fn from(sgd: Sgd) -> Self {
        Self::Sgd(sgd)
    }
}

impl From<AdamW> for Method {
    fn from(adam: AdamW) -> Self {
        Self::AdamW(adam)
    }
}

impl Method {
    /// The names of the state tensors, each with the shape of its parameter.
    pub fn states(self) -> &'static [&'static str] {
        match self {
            Self::Sgd(_) => &["velocity"],
            Self::AdamW(_) => &["first_moment", "second_moment"],
        }
    }

    /// The update of one parameter: step number (from 1), learning rate, and whether it has weight decay.
    pub(super) fn step<E: Real, X: Updates<E>>(
        self,
        exec: &X,
        (number, rate, decays): (u64, f64, bool),
        parameter: &mut X::Buf,
        gradient: &X::Buf,
        states: &mut [X::Buf],
    ) -> Result<(), X::Err> {
        let decays = if decays { 1.0 } else { 0.0 };
        match (self, states) {
            (Self::Sgd(sgd), [velocity]) => {
                let rule = SgdStep {
                    rate,
                    momentum: sgd.momentum,
                    nesterov: sgd.nesterov,
                    decay: decays * sgd.decay,
                    decoupled: decays * sgd.decoupled,
                };
                exec.sgd_step(rule, parameter, gradient, velocity)
            }
            (Self::AdamW(adam), [first, second]) => {
                let rule = AdamStep {
                    rate,
                    betas: adam.betas,
                    eps: adam.eps,
                    decay: 0.0,
                    decoupled: decays * adam.decay,
                    step: number,
                };
                exec.adam_step(rule, parameter, gradient, first, second)
            }
            _ => unreachable!("a parameter has as many states as `states` names"),
        }
    }
}
