//! What targets share, and the readers of `ksdsl-train`, built apart from it: without dfdx and the kernels they build in
//! a minute, on nightly too.
#![allow(dead_code, missing_docs)]

pub mod steps;

/// Images; see `ksdsl_train::data`.
#[path = "../../../ksdsl-runtime/train/core/src/data"]
pub mod data {
    mod archive;
    mod augment {
        mod picture;
        pub(in crate::data) use picture::lightness;
    }
    mod cifar;
    mod dataset;
    mod digits;
    mod error;
    mod folder;
    mod gunzip;
    mod jpeg;
    mod picture;
    mod png;

    pub use cifar::{Cifar10, Cifar100};
    pub use dataset::{Dataset, Example, Sizes};
    pub use digits::Digits;
    pub use error::DataError;
    pub use folder::read_picture;
}
