//! Steps of training within a memory budget: what is predicted, against what they use.

use crate::{ALONE, peak_of};
use ksdsl::compile::{Options, compile};
use ksdsl::graph::Graph;
use ksdsl::graph::budget::{MemoryBudget, within};
use ksdsl::source::Source;
use ksdsl_cpu::CpuExec;
use ksdsl_runtime::cpu::with_threads;
use std::num::NonZeroUsize;
use std::sync::PoisonError;

const BATCH: usize = 16;

/// The graph executor also has the sums of the gradients, and the inputs and outputs as buffers of its own.
#[test]
fn peaks_within_a_budget_are_as_predicted() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let texts = [
        (
            "se_resnet",
            include_str!(concat!(env!("OUT_DIR"), "/se_resnet_memory.ksn")),
        ),
        ("small", include_str!(concat!(env!("OUT_DIR"), "/convmixer_memory.ksn"))),
        (
            "mobilenet",
            include_str!(concat!(env!("OUT_DIR"), "/mobilenet_memory.ksn")),
        ),
    ];
    let mut wrong = Vec::new();
    for (name, text) in texts {
        let options = Options {
            net: Some(name.to_owned()),
            ..Options::default()
        };
        let network = compile(&Source::new("memory.ksn", text), &options).networks.remove(0);
        let fit = |budget| within(&network, [BATCH as u64, 1], budget);
        let least = fit(MemoryBudget::Bytes(1)).expect_err("a byte is too little").least;
        let mut graph: Graph<f32, CpuExec> =
            Graph::new(network.clone(), CpuExec, |parameter| Some(vec![0.5; parameter.len])).expect("all values");
        let len = |shape: ksdsl::ir::Shape| BATCH * shape.elements() as usize;
        let [input, output] = [network.input(), network.output()].map(len);
        let own: usize = graph.parameters().iter().map(|parameter| parameter.len).sum::<usize>() + input + 2 * output;
        let images = vec![0.5; input];
        for budget in [MemoryBudget::Fraction(1.0), MemoryBudget::Bytes(least as u64)] {
            let found = fit(budget).expect("it fits");
            graph.recompute(&found);
            let measured = with_threads(NonZeroUsize::MIN, || {
                peak_of(|| {
                    let step = graph.train_step(&[&images], || 0, |outputs| outputs.to_vec());
                    step.expect("a step");
                })
            });
            let [from, to] = [0.97 * found.bytes as f64, 1.03 * (found.bytes + 4 * own as u128) as f64];
            println!("{name:12} {budget}: {measured}, predicted {}", found.bytes);
            if !(from..to).contains(&(measured as f64)) {
                wrong.push(format!("{name} {budget}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
