#![doc = include_str!("../README.md")]

pub mod act;
pub mod budget;
pub mod exec;
pub mod halting;
pub mod ids;
pub mod loops;
pub mod ops;
pub mod param;
pub mod past;
pub mod real;
pub mod size;
pub mod statistics;
pub mod tape;
pub mod update;
pub mod weight;

mod memo;
mod pending;
mod saved;

pub use act::{Act, Context};
pub use exec::Exec;
pub use param::Param;
pub use past::Past;
pub use real::Real;
pub use saved::Stored;
pub use tape::{NoTape, Recorder, Tape};
pub use weight::{Kernels, Weight};
