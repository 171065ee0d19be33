//! The CPU kernels against the oracle, the oracle against finite differences and PyTorch.

mod activations;
mod attention;
mod chains;
mod convolutions;
mod coverage;
mod depthwise;
mod extremes;
mod gradients;
mod items;
mod joined;
mod loops;
mod maps;
mod norms;
mod pytorch;
mod rounding;
mod support;
mod tables;
mod threads;
mod uneven;
mod winograd;
