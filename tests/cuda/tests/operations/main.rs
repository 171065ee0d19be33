//! The CUDA device's operations against the CPU device's, which are tested against the oracle and PyTorch.

mod convolutions;
mod device;
mod every;
mod loops;
mod run;
#[path = "../support/mod.rs"]
#[allow(dead_code)]
mod support;
mod tensors;
