//! How long checking takes: `cargo bench -p ksdsl --bench check`. A network of ten thousand layers
//! is to be checked in less than 50 ms, however it is written.

use ksdsl::compile::{Options, compile};
use ksdsl::source::Source;

fn main() {
    divan::main();
}

/// Ten thousand layers, a statement for each.
#[divan::bench]
fn ten_thousand_statements(bencher: divan::Bencher<'_, '_>) {
    let layers: String = (0..5_000)
        .map(|i| format!("    conv{i}: conv(16, kernel = 3, pad = 1); relu\n"))
        .collect();
    check(
        bencher,
        &format!("net flat {{\n    input 16 x 32 x 32\n{layers}}}\n"),
        10_000,
    );
}

/// Ten thousand layers of repeated blocks.
#[divan::bench]
fn repeated_blocks(bencher: divan::Bencher<'_, '_>) {
    let text = "
        net deep(depth = 2000) {
            input 16 x 32 x 32
            block basic(width) {
                residual { conv1: conv(width, kernel = 3, pad = 1); batch_norm; relu; conv2: conv(width, kernel = 3, pad = 1) }
                relu
            }
            stage body { repeat depth { basic(16) } }
        }";
    check(bencher, text, 10_000);
}

/// The same with one kernel for all 4,000 convolutions.
#[divan::bench]
fn repeated_blocks_shared(bencher: divan::Bencher<'_, '_>) {
    let text = "
        net deep(depth = 2000) {
            input 16 x 32 x 32
            block basic(width) {
                residual { conv1: conv(width, kernel = 3, pad = 1); batch_norm; relu; conv2: conv(width, kernel = 3, pad = 1) }
                relu
            }
            stage body { repeat depth { basic(16) } }
            share isomorphic conv in body
        }";
    check(bencher, text, 10_000);
}

fn check(bencher: divan::Bencher<'_, '_>, text: &str, layers: usize) {
    let source = Source::new("bench.ksn", text);
    bencher.bench_local(|| {
        let compilation = compile(&source, &Options::default());
        assert!(compilation.diagnostics.is_empty());
        assert_eq!(compilation.networks[0].layers.len(), layers);
        compilation
    });
}
