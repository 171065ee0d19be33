//! Common code of the example programs: the networks of `nets/*.ksn`, compiled by the build script, the data sets, and
//! functions that train and run each network.

pub mod catalog;
pub mod data;
pub mod device;
pub mod entry;
pub mod nets;
pub mod options;
pub mod output;
