//! The networks of `nets/digits.ksn` and `nets/vit.ksn`, which `build.rs` compiles.

ksdsl_runtime::include_generated!("digits");
ksdsl_runtime::include_generated!("vit");
