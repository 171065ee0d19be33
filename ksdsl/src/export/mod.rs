//! Networks in the languages of other systems.

pub mod c;
pub mod onnx;
pub mod pytorch;
