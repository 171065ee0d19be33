//! What the example programs share: the networks of `nets/*.ksn`, compiled by the build script, the data they are
//! trained on, and one way to train and to run each of them.

pub mod catalog;
pub mod data;
pub mod device;
pub mod entry;
pub mod nets;
pub mod options;
pub mod output;
