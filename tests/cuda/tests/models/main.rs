//! Models on the CUDA device against the CPU device.

mod graph;
mod nets;
#[path = "../support/mod.rs"]
#[allow(dead_code)]
mod support;
mod training;
