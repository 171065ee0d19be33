//! Networks in the languages of other systems.

pub mod onnx;
pub mod pytorch;
