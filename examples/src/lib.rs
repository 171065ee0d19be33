//! Common code of the example programs: the networks of `nets/*.ksn`, compiled by the build script, and functions that
//! train and run each network. The command line is that of `ksn`.

pub mod catalog;
pub mod device;
pub mod entry;
pub mod nets;

pub use ksdsl_train_core::program::{data, options, output};
