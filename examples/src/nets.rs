//! The networks that `build.rs` compiles from `nets/digits.ksn` and `nets/vit.ksn`, and small ones for 32x32 colour
//! images.

ksdsl_runtime::include_generated!("digits");
ksdsl_runtime::include_generated!("vit");

/// The SE-ResNet of `sweep.ksn`, 16 channels wide, with two blocks per stage.
pub mod small_se_resnet {
    ksdsl_runtime::include_generated!("small_se_resnet");
}

/// The ConvMixer of `nets/convmixer.ksn` with 64 channels, six blocks and patches of 2x2.
pub mod small_convmixer {
    ksdsl_runtime::include_generated!("small_convmixer");
}

/// The study of `cifar/study.ksn`.
#[cfg(feature = "cifar")]
pub mod cifar {
    ksdsl_runtime::include_generated!("study");
}
