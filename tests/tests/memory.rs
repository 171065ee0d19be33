//! The memory that `ksn summary` predicts, against what generated models use.
//!
//! In a process of its own, and in one test: the measured peak is the process's.

use ksdsl::compile::{Options, compile};
use ksdsl::source::Source;
use ksdsl::summary::Summary;
use ksdsl_runtime::cpu::{memory, with_threads};
use ksdsl_runtime::prelude::*;
use std::num::NonZeroUsize;

mod nets {
    macro_rules! files {
        ($($name:ident $text:literal)+) => {$(
            #[allow(missing_docs, dead_code)]
            pub(crate) mod $name {
                ksdsl_runtime::include_generated!($text);
            }
        )+};
    }
    files! {
        bottleneck_memory "bottleneck_memory"
        branches_memory "branches_memory"
        convmixer_memory "convmixer_memory"
        digits_memory "digits_memory"
        mlp_memory "mlp_memory"
        mobilenet_memory "mobilenet_memory"
        preact_resnet_memory "preact_resnet_memory"
        private_parts_memory "private_parts_memory"
        se_resnet_memory "se_resnet_memory"
        vit_memory "vit_memory"
    }
}

/// Bytes of a pass: in inference, and of a training step.
#[derive(Clone, Copy, Debug)]
struct Peaks {
    inference: u64,
    training: u64,
}

/// The most bytes in use at one time while `f` runs, beyond those in use before.
fn peak_of(f: impl FnOnce()) -> u64 {
    let before = memory::in_use();
    memory::reset_peak();
    f();
    (memory::peak() - before) as u64
}

/// Runs `$net` once in inference and for one step of training.
macro_rules! measured {
    ($file:ident::$net:ident [$($size:literal),+], $batch:expr) => {{
        let device = Cpu::seed_from_u64(0);
        let mut model = device.build_module::<nets::$file::$net::Builder, f32>();
        let images = vec![0.5; $batch $(* $size)+];
        let images = device.tensor_from_vec(images, ($batch, $(Const::<$size>),+));
        let inference = peak_of(|| drop(model.forward(images.clone())));
        let gradients = model.alloc_grads();
        let training = peak_of(|| drop(model.forward_mut(images.traced(gradients)).square().mean().backward()));
        Peaks { inference, training }
    }};
}

macro_rules! for_nets {
    ($($file:ident::$net:ident $sizes:tt;)+) => {
        /// Every net at two sizes of the batch: its name, what was predicted and what was measured.
        fn peaks() -> Vec<(String, Peaks, Peaks)> {
            let mut peaks = Vec::new();
            for batch in [4, 16] {
                $(
                    let text = include_str!(concat!(env!("OUT_DIR"), "/", stringify!($file), ".ksn"));
                    peaks.push((
                        format!("{} of {batch}", stringify!($net)),
                        predicted(text, stringify!($net), batch),
                        measured!($file::$net $sizes, batch),
                    ));
                )+
            }
            peaks
        }
    };
}

for_nets! {
    se_resnet_memory::se_resnet [3, 32, 32];
    se_resnet_memory::unshared [3, 32, 32];
    convmixer_memory::small [3, 32, 32];
    convmixer_memory::small_unshared [3, 32, 32];
    digits_memory::digits [1, 8, 8];
    mobilenet_memory::mobilenet [3, 32, 32];
    preact_resnet_memory::preact_resnet [3, 32, 32];
    private_parts_memory::private_parts [3, 32, 32];
    private_parts_memory::low_rank [3, 32, 32];
    private_parts_memory::wide [3, 32, 32];
    bottleneck_memory::bottleneck [3, 32, 32];
    branches_memory::branches [3, 32, 32];
    mlp_memory::mlp [64];
    vit_memory::vit_shared [1, 8, 8];
    vit_memory::vit_unshared [1, 8, 8];
    vit_memory::fine [1, 8, 8];
    vit_memory::odd [1, 8, 8];
}

fn predicted(text: &str, net: &str, batch: usize) -> Peaks {
    let options = Options {
        net: Some(net.to_owned()),
        ..Options::default()
    };
    let compilation = compile(&Source::new("memory.ksn", text), &options);
    let memory = Summary::new(&compilation.networks[0], batch as u64).memory;
    Peaks {
        inference: memory.inference_bytes,
        training: memory.training_bytes,
    }
}

/// On one thread: each further one has scratch of its own.
#[test]
fn peaks_are_as_predicted() {
    let peaks = with_threads(NonZeroUsize::MIN, peaks);
    let ratio = |predicted: u64, measured: u64| predicted as f64 / measured as f64;
    let mut wrong = Vec::new();
    for (name, predicted, measured) in peaks {
        let inference = ratio(predicted.inference, measured.inference);
        let training = ratio(predicted.training, measured.training);
        println!(
            "{name:24} inference {inference:.3} of {}, training {training:.3} of {}",
            measured.inference, measured.training
        );
        if ![inference, training].iter().all(|ratio| (0.97..1.03).contains(ratio)) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
