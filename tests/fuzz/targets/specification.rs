//! Text to summary, generated Rust and exported PyTorch: diagnostics or output, never a panic.
#![no_main]

use ksdsl::compile::{Options, compile};
use ksdsl::export::pytorch;
use ksdsl::render::render;
use ksdsl::source::Source;
use ksdsl::summary::Summary;
use ksdsl::{checkpoint, codegen};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let source = Source::new("fuzz.ksn", text);
    let compilation = compile(&source, &Options::default());
    render(&source, &compilation.diagnostics, false);
    // What has errors is for diagnostics alone.
    if compilation.has_errors() {
        return;
    }
    for network in &compilation.networks {
        let _ = Summary::new(network, 1).to_string();
        let _ = pytorch::module(network, &[]);
        let _ = checkpoint::entries(network);
    }
    // Formatting parses the generated code.
    codegen::format(compilation.networks.iter().map(codegen::network).collect());
});
