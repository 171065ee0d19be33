//! Text to ONNX, and to C in single precision and in integers: models and files, or errors. What is small also gets
//! weights, and runs.
#![no_main]

use ksdsl::checkpoint::entries;
use ksdsl::compile::{Options, compile};
use ksdsl::export::{c, onnx};
use ksdsl::ir::Network;
use ksdsl::quantize::{Ranges, quantize};
use ksdsl::source::Source;
use ksdsl_fuzz::steps::{ints, weights};
use libfuzzer_sys::fuzz_target;

/// Weights of a network that gets some.
const SMALL: u64 = 1 << 14;
/// Weights of a network that becomes C: more take seconds, of which the fuzzer has better use.
const LARGE: u64 = 1 << 20;
/// Products of one that runs.
const SHORT: u64 = 1 << 18;

fuzz_target!(|text: &str| {
    let compilation = compile(&Source::new("fuzz.ksn", text), &Options::default());
    // What has errors is for diagnostics alone.
    if compilation.has_errors() {
        return;
    }
    for network in &compilation.networks {
        let elements = |shape: &[u64]| shape.iter().fold(1u64, |product, size| product.saturating_mul(*size));
        let all = entries(network)
            .iter()
            .map(|entry| elements(&entry.shape))
            .fold(0, u64::saturating_add);
        let weights = (all <= SMALL).then(|| weights(network, text.as_bytes()));
        [false, true].map(|functions| of_onnx(network, weights.as_deref(), functions));
        if all <= LARGE {
            of_c(network, weights.as_deref());
        }
    }
});

fn of_onnx(network: &Network, weights: Option<&[Vec<f32>]>, functions: bool) {
    let options = onnx::Options {
        functions,
        ..onnx::Options::default()
    };
    let model = match onnx::model(network, &options) {
        Ok(model) => model,
        Err(error) => return drop(error.to_string()),
    };
    let Some(weights) = weights else { return };
    let bytes = |data: &Vec<f32>| data.iter().flat_map(|value| value.to_le_bytes()).collect();
    let file = onnx::encode(&model, weights.iter().map(bytes).collect()).expect("a small one");
    let content = ksdsl::audit::read(std::io::Cursor::new(file)).expect("what was written");
    let stored = model.tensors.iter().filter(|entry| !entry.shape.contains(&0)).count();
    assert!(
        content.tensors.len() >= stored,
        "{} of {stored} tensors",
        content.tensors.len()
    );
}

fn of_c(network: &Network, weights: Option<&[Vec<f32>]>) {
    // As `ksn summary --target c`, which needs no weights.
    let program = match c::program(network, None, &c::Options::default()) {
        Ok(program) => program,
        Err(error) => return drop(error.to_string()),
    };
    c::single(&program).bytes();
    if let Ok(integers) = quantize(&program, &Ranges::different(&program)) {
        c::integer(&integers).bytes();
    }
    let Some(weights) = weights else { return };
    let program = match c::program(network, Some(weights), &c::Options::default()) {
        Ok(program) => program,
        // Weights that are not finite.
        Err(error) => return drop(error.to_string()),
    };
    let values: usize = program.buffers.iter().map(|buffer| buffer.len()).sum();
    if program.products() > SHORT || values as u64 > SHORT {
        return;
    }
    ints(&program, weights.first().map_or(&[], Vec::as_slice));
}
