#![doc = include_str!("../README.md")]
//!
//! # The format
//!
//! A shared kernel is one tensor of the file, `shared.<group>.weight`; which layers it serves is in
//! the file's metadata. A file with a copy for each of those layers instead is accepted as long as
//! the copies are equal ([`resolve`]). [`fuse`](fuse::fuse) makes one kernel of copies that differ,
//! [`unroll`](fuse::unroll) gives every layer its copy. The container is that of
//! [safetensors](https://github.com/huggingface/safetensors#format).
#![forbid(unsafe_code)]

mod file;
pub mod fuse;
mod header;
mod kind;
mod private;
mod problem;
mod resolve;
mod ties;
mod write;

pub use file::{Damage, File, FileError, View};
pub use kind::Kind;
pub use ksdsl_files::write as write_file;
pub use private::{LOW_RANK_A, LOW_RANK_B, Private, SCALE};
pub use problem::{Problem, Problems};
pub use resolve::{Expected, Shared, resolve};
pub use ties::Unstated;
pub use write::{Tensor, to_bytes};
