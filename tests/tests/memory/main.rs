//! The memory that `ksn summary` predicts, against what generated models use.
//!
//! In a process of its own, and one test at a time: the measured peak is the process's.

mod budget;
mod measure;
mod rules;

use ksdsl::compile::{Options, compile};
use ksdsl::source::Source;
use ksdsl::summary::Summary;
use ksdsl_runtime::cpu::with_threads;
use ksdsl_runtime::prelude::*;
use measure::{Peaks, measured, measured_inference, peak_of};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

static ALONE: Mutex<()> = Mutex::new(());

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

macro_rules! for_nets {
    ($($file:ident::$net:ident $at:tt;)+) => {
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
                        measured!(nets::$file::$net::Builder $at, batch),
                    ));
                )+
            }
            peaks
        }
    };
}

for_nets! {
    se_resnet_memory::se_resnet [0, 1, 2];
    se_resnet_memory::unshared [0, 1, 2];
    convmixer_memory::small [0, 1, 2];
    convmixer_memory::small_unshared [0, 1, 2];
    digits_memory::digits [0, 1, 2];
    mobilenet_memory::mobilenet [0, 1, 2];
    preact_resnet_memory::preact_resnet [0, 1, 2];
    private_parts_memory::private_parts [0, 1, 2];
    private_parts_memory::low_rank [0, 1, 2];
    private_parts_memory::wide [0, 1, 2];
    bottleneck_memory::bottleneck [0, 1, 2];
    branches_memory::branches [0, 1, 2];
    mlp_memory::mlp [0];
    vit_memory::vit_shared [0, 1, 2];
    vit_memory::vit_unshared [0, 1, 2];
    vit_memory::fine [0, 1, 2];
    vit_memory::odd [0, 1, 2];
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
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
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
