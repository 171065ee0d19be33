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

/// Bytes of a pass: in inference, of a prepared model with what it keeps, and of a training step.
#[derive(Clone, Copy, Debug)]
struct Peaks {
    inference: u128,
    prepared: u128,
    training: u128,
}

impl Peaks {
    fn named(self) -> [(&'static str, u128); 3] {
        [
            ("inference", self.inference),
            ("prepared", self.prepared),
            ("training", self.training),
        ]
    }
}

/// The most bytes in use at one time while `f` runs, beyond those in use before.
fn peak_of(f: impl FnOnce()) -> u128 {
    let before = memory::in_use();
    memory::reset_peak();
    f();
    (memory::peak() - before) as u128
}

/// What `$model` needs for `$images` in inference, and prepared for it.
macro_rules! measured_inference {
    ($device:expr, $model:expr, $images:expr) => {{
        let inference = peak_of(|| drop($model.forward($images.clone())));
        let prepared = peak_of(|| {
            let prepared = Prepared::new(&$model);
            drop(prepared.forward(&$device, $images.clone()));
            // The kernels are there: what counts is every further call.
            memory::reset_peak();
            drop(prepared.forward(&$device, $images.clone()));
        });
        (inference, prepared)
    }};
}

/// Runs `$net` once in inference and for one step of training.
macro_rules! measured {
    ($file:ident::$net:ident [$($size:literal),+], $batch:expr) => {{
        let device = Cpu::seed_from_u64(0);
        let mut model = device.build_module::<nets::$file::$net::Builder, f32>();
        let images = vec![0.5; $batch $(* $size)+];
        let images = device.tensor_from_vec(images, ($batch, $(Const::<$size>),+));
        let (inference, prepared) = measured_inference!(device, model, images);
        let gradients = model.alloc_grads();
        let training = peak_of(|| drop(model.forward_mut(images.traced(gradients)).square().mean().backward()));
        Peaks { inference, prepared, training }
    }};
}

macro_rules! for_nets {
    ($($file:ident::$net:ident $sizes:tt;)+) => {
        /// Every net at these sizes of the batch: its name, what was predicted for one thread and for
        /// `threads`, and what was measured.
        fn peaks(batches: &[usize], threads: usize) -> Vec<(String, [Peaks; 2], Peaks)> {
            let mut peaks = Vec::new();
            for &batch in batches {
                $(
                    let text = include_str!(concat!(env!("OUT_DIR"), "/", stringify!($file), ".ksn"));
                    peaks.push((
                        format!("{} of {batch}", stringify!($net)),
                        [1, threads].map(|threads| predicted(text, stringify!($net), batch, threads)),
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

fn predicted(text: &str, net: &str, batch: usize, threads: usize) -> Peaks {
    let options = Options {
        net: Some(net.to_owned()),
        ..Options::default()
    };
    let compilation = compile(&Source::new("memory.ksn", text), &options);
    let memory = Summary::on_threads(&compilation.networks[0], batch as u64, threads as u64).memory;
    Peaks {
        inference: memory.inference_bytes,
        prepared: memory.prepared_bytes,
        training: memory.training_bytes,
    }
}

/// What is predicted and measured in inference of a batch of five units and a half, which is taken in slices.
fn sliced(threads: usize) -> ([(&'static str, u128); 2], [u128; 2]) {
    let largest = 4 * <nets::convmixer_memory::small::Builder as Network>::LARGEST_ACTIVATION;
    let unit = (2 << 20) / largest;
    let batch = 5 * unit + unit / 2;
    let device = Cpu::seed_from_u64(0);
    let model = device.build_module::<nets::convmixer_memory::small::Builder, f32>();
    let images = vec![0.5; batch * 3 * 32 * 32];
    let images = device.tensor_from_vec(images, (batch, Const::<3>, Const::<32>, Const::<32>));
    let (inference, prepared) = measured_inference!(device, model, images);
    let text = include_str!(concat!(env!("OUT_DIR"), "/convmixer_memory.ksn"));
    let [of_inference, of_prepared, _] = predicted(text, "small", batch, threads).named();
    ([of_inference, of_prepared], [inference, prepared])
}

/// One net with different batches, and on several threads: statistics are the process's, so one test.
#[test]
fn peaks_are_as_predicted() {
    let mut wrong = Vec::new();
    for (name, [predicted, _], measured) in with_threads(NonZeroUsize::MIN, || peaks(&[4, 16], 1)) {
        for ((pass, predicted), (_, measured)) in predicted.named().into_iter().zip(measured.named()) {
            let ratio = predicted as f64 / measured as f64;
            println!("{name:24} {pass} {ratio:.3} of {measured}");
            if !(0.97..1.03).contains(&ratio) {
                wrong.push(format!("{name} {pass}"));
            }
        }
    }
    // Tasks need not have their scratch at the same moment: between one thread's and all threads'.
    let threads = NonZeroUsize::new(3).expect("not zero");
    for (name, [least, most], measured) in with_threads(threads, || peaks(&[8], threads.get())) {
        let bounds = least.named().into_iter().zip(most.named());
        for (((pass, least), (_, most)), (_, measured)) in bounds.zip(measured.named()) {
            println!("{name:24} {pass} on {threads} threads: {measured}, predicted {least} to {most}");
            if (measured as f64) < 0.97 * least as f64 || measured as f64 > 1.03 * most as f64 {
                wrong.push(format!("{name} {pass} on {threads} threads"));
            }
        }
    }
    for threads in [1, 2] {
        let name = format!("small in slices, {threads} threads");
        let (predicted, measured) = with_threads(NonZeroUsize::new(threads).expect("not zero"), || sliced(threads));
        for ((pass, predicted), measured) in predicted.into_iter().zip(measured) {
            println!("{name:24} {pass}: {measured}, predicted {predicted}");
            if !(0.97..1.03).contains(&(predicted as f64 / measured as f64)) {
                wrong.push(format!("{name} {pass}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
