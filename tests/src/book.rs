//! The Rust blocks of READMEs and of the book are documentation tests of this crate: each is compiled, and run unless
//! it says `no_run`, as rustdoc does it. A block that cannot be compiled here says why: `rust,ignore (needs a GPU)`.
//! `ksdsl/tests/book/rust.rs` sees to it that no page with a Rust block is missing.

macro_rules! pages {
    ($($page:ident $path:literal)+) => {$(
        #[cfg(doctest)]
        #[doc = include_str!(concat!("../../", $path))]
        pub mod $page {}
    )+};
}

pages! {
    readme "README.md"
    checkpoints "docs/book/src/checkpoints.md"
    cuda "docs/book/src/cuda.md"
    data "docs/book/src/data.md"
    fine_tune "docs/book/src/fine-tune.md"
    inference "docs/book/src/inference.md"
    macros "ksdsl-macros/README.md"
    nets "docs/book/src/nets.md"
    pytorch "docs/book/src/pytorch.md"
    rust "docs/book/src/rust.md"
    snapshots "docs/book/src/snapshots.md"
    training "docs/book/src/training.md"
}
