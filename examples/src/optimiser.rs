//! How parameters follow their gradients: dfdx's optimisers behind one type.

use ksdsl_runtime::dfdx::optim::{Adam, Sgd};
use ksdsl_runtime::dfdx::tensor::CpuError;
use ksdsl_runtime::prelude::*;

/// Which optimiser, with its constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// SGD with Nesterov's momentum of 0.9 and weight decay of 5e-4: for convolutional networks.
    Sgd,
    /// Adam (Kingma & Ba 2015) with decoupled weight decay of 0.05 (Loshchilov & Hutter 2019): for
    /// transformers.
    AdamW,
}

/// An optimiser of the parameters of a model `M`.
#[derive(Debug)]
pub enum Optimiser<M> {
    /// See [`Method::Sgd`].
    Sgd(Sgd<M, f32, Cpu>),
    /// See [`Method::AdamW`].
    AdamW(Adam<M, f32, Cpu>),
}

impl<M: TensorCollection<f32, Cpu>> Optimiser<M> {
    /// An optimiser without history.
    pub fn new(method: Method, model: &M) -> Self {
        match method {
            Method::Sgd => Self::Sgd(Sgd::new(
                model,
                SgdConfig {
                    momentum: Some(Momentum::Nesterov(0.9)),
                    weight_decay: Some(WeightDecay::L2(5e-4)),
                    ..SgdConfig::default()
                },
            )),
            Method::AdamW => Self::AdamW(Adam::new(
                model,
                AdamConfig {
                    weight_decay: Some(WeightDecay::Decoupled(0.05)),
                    ..AdamConfig::default()
                },
            )),
        }
    }

    /// A step at this learning rate.
    pub fn step(
        &mut self,
        model: &mut M,
        gradients: &Gradients<f32, Cpu>,
        rate: f64,
    ) -> Result<(), OptimizerUpdateError<CpuError>> {
        match self {
            Self::Sgd(sgd) => {
                sgd.cfg.lr = rate;
                sgd.update(model, gradients)
            }
            Self::AdamW(adam) => {
                adam.cfg.lr = rate;
                adam.update(model, gradients)
            }
        }
    }
}
