#![doc = include_str!("../README.md")]
//!
//! # The format
//!
//! A shared kernel is one tensor of the file, `shared.<group>.weight`; the file's metadata lists the layers that use
//! it. A file with one copy per layer is accepted if the copies are equal ([`resolve`]). [`fuse`](fuse::fuse) fuses
//! different kernels into one, [`unroll`](fuse::unroll) gives every layer its own copy. The container is
//! [safetensors](https://github.com/huggingface/safetensors#format).
#![forbid(unsafe_code)]

mod file;
pub mod fuse;
mod header;
mod kind;
mod private;
mod problem;
mod resolve;
mod svd;
mod ties;
mod write;

pub use file::{Damage, File, FileError, Listing, View};
pub use kind::Kind;
pub use ksdsl_files::write as write_file;
pub use private::{Made, Private};
pub use problem::{Problem, Problems};
pub use resolve::{Expected, Shared, resolve};
pub use ties::Unstated;
pub use write::{Tensor, to_bytes};
