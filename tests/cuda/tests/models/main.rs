//! Generated models on the CUDA device against the CPU device.

mod nets;
#[path = "../support/mod.rs"]
#[allow(dead_code)]
mod support;
mod training;
