//! The CUDA device against the CPU device, which is tested against the oracle and PyTorch. On a GPU with
//! the feature `cuda`, on an emulator of CUDA's libraries with the feature `emulator`.

mod device;
mod models;
mod operations;
mod support;
mod tensors;
mod training;
