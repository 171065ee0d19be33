//! The networks of `nets/digits.ksn`, which `build.rs` compiles.

ksdsl_runtime::include_generated!("digits");
