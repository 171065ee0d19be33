//! The memory of loops: that `ksn summary` predicts what generated models use, and that gradients through the last
//! iterations keep nothing of the others.
//!
//! One test in a process of its own: the measured peak is the process's.

use ksdsl::compile::{Options, compile};
use ksdsl::source::Source;
use ksdsl::summary::{Memory, Summary};
use ksdsl_runtime::cpu::{memory, with_threads};
use ksdsl_runtime::prelude::*;
use std::num::NonZeroUsize;

ksdsl_runtime::include_generated!("loops");

/// Items of a batch.
const BATCH: usize = 256;

fn predicted(net: &str) -> Memory {
    let options = Options {
        net: Some(net.to_owned()),
        ..Options::default()
    };
    let text = include_str!("../nets/loops.ksn");
    Summary::new(
        &compile(&Source::new("loops.ksn", text), &options).networks[0],
        BATCH as u64,
    )
    .memory
}

/// The most bytes in use at one time while `f` runs, beyond those in use before.
fn peak_of(f: impl FnOnce()) -> u128 {
    let before = memory::in_use();
    memory::reset_peak();
    f();
    (memory::peak() - before) as u128
}

/// What a network uses in inference and in training.
macro_rules! measured {
    ($name:ident, $steps:expr) => {{
        let device = Cpu::seed_from_u64(0);
        let mut model = device.build_module::<$name::Builder, f32>();
        let x: Tensor<(usize, Const<4>, Const<5>, Const<6>), f32, _> =
            device.sample_normal_like(&(BATCH, Const, Const, Const));
        let inference = peak_of(|| drop(model.with_steps($steps).forward(x.clone())));
        let gradients = model.alloc_grads();
        let training = peak_of(|| {
            let y = model.with_steps_mut($steps).forward_mut(x.trace(gradients));
            drop(y.square().mean().backward());
        });
        [inference, training]
    }};
}

fn near(what: &str, predicted: u128, measured: u128) {
    let ratio = predicted as f64 / measured as f64;
    assert!((0.95..1.05).contains(&ratio), "{what}: {predicted} for {measured}");
}

#[test]
fn peaks_are_as_predicted_and_truncation_saves_memory() {
    with_threads(NonZeroUsize::MIN, || {
        let (whole, truncated) = (measured!(loop_whole, 4), measured!(loop_truncated, 4));
        for (net, measured) in [("loop_whole", whole), ("loop_truncated", truncated)] {
            let predicted = predicted(net);
            near(&format!("{net}, inference"), predicted.inference_bytes, measured[0]);
            near(&format!("{net}, training"), predicted.training_bytes, measured[1]);
        }
        // The iterations that record nothing are as if there were none.
        let two = measured!(loop_truncated, 2);
        near("two of four iterations, training", truncated[1], two[1]);
        assert!(whole[1] > two[1] * 3 / 2, "{whole:?} {two:?}");
    });
}
