//! What the example programs share: the networks of `nets/*.ksn`, compiled by the build script, and
//! a lean training loop on dfdx's own optimisers.

pub mod classifier;
pub mod comparison;
pub mod nets;
pub mod one_cycle;
pub mod optimiser;
pub mod options;
pub mod training;
