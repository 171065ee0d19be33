//! Counts of networks that are far too large to run: exact, or an error, never a number that stands for more.

use ksdsl::compile::{Compilation, Options, compile};
use ksdsl::diag::Code;
use ksdsl::source::Source;
use ksdsl::summary::Summary;

fn compiled(text: &str) -> Compilation {
    compile(&Source::new("large.ksn", text), &Options::default())
}

fn summary(text: &str, batch: u64, threads: u64) -> Summary {
    let compilation = compiled(text);
    assert!(!compilation.has_errors(), "{:?}", compilation.diagnostics);
    Summary::on_threads(&compilation.networks[0], batch, threads)
}

/// 3x3 convolutions of 2^16 channels on 2^10 x 2^10 pixels: 9 * 2^16 * 2^16 * 2^20 = 9 * 2^52 multiply-adds each.
fn convolutions(count: usize) -> String {
    let body = "conv(65536, kernel = 3, pad = 1) ".repeat(count);
    format!("net huge {{ input 65536 x 1024 x 1024\n{body}\n}}")
}

#[test]
fn multiply_adds_are_the_sum_of_the_rows() {
    let one = 9 * (1u64 << 52);
    let summary = summary(&convolutions(400), 1, 1);
    assert!(summary.layers.iter().all(|layer| layer.macs == one));
    assert_eq!(summary.macs, 400 * one);
    // 9 * 2^16 * 2^16 parameters.
    assert_eq!(summary.parameters.trainable, 400 * 9 * (1 << 32));
    assert_eq!(summary.memory.model_bytes, 4 * 400 * 9 * (1 << 32));
}

/// 500 * 9 * 2^52 = 20,266,198,323,167,232,000 is more than 2^64.
///
/// Elsewhere: <https://github.com/ooples/AiDotNet/pull/1271>
#[test]
fn more_multiply_adds_than_can_be_counted_are_an_error() {
    let diagnostics = compiled(&convolutions(500)).diagnostics;
    let codes: Vec<Code> = diagnostics.iter().map(|found| found.code).collect();
    assert_eq!(codes, [Code::NetworkTooLarge]);
    let text = &diagnostics[0].message;
    assert!(text.contains("20266198323167232000 multiply-adds"), "{text}");
}

/// One layer alone: 2^10 * 2^10 taps of 2^20 inputs for each of 2^40 outputs are 2^80.
#[test]
fn one_layer_can_be_too_much() {
    let text = "net huge { input 1 x 1048576 x 1048576\nconv(1, kernel = 1048575, pad = 524287) }";
    let diagnostics = compiled(text).diagnostics;
    assert_eq!(
        diagnostics.iter().map(|found| found.code).collect::<Vec<_>>(),
        [Code::NetworkTooLarge]
    );
    // 1048575^2 taps for each of 1048576^2 outputs.
    let macs = 1_048_575u128.pow(2) * 1_048_576u128.pow(2);
    assert!(diagnostics[0].message.contains(&macs.to_string()), "{diagnostics:?}");
}

/// But for the lines of the cache by which large buffers start apart, memory is proportional to the batch.
#[test]
fn memory_grows_with_the_batch_beyond_64_bits() {
    let text = "net wide { input 16 x 1024 x 1024\nrelu silu residual { gelu } }";
    let small = summary(text, 1 << 10, 1).memory;
    let large = summary(text, 1 << 60, 1).memory;
    let ratio = large.training_bytes as f64 / (small.training_bytes << 50) as f64;
    assert!((ratio - 1.0).abs() < 1e-6, "{ratio}");
    assert!(large.training_bytes > u128::from(u64::MAX));
    let json = serde_json::to_string(&large).expect("a summary serialises");
    assert!(
        json.contains(&format!("\"training_bytes\":{}", large.training_bytes)),
        "{json}"
    );
}

/// The largest sizes in every direction, on as many threads and images as can be asked for.
#[test]
fn the_largest_numbers_do_not_overflow() {
    let body = "conv(1024, kernel = 1023, pad = same) depthwise(1025, pad = same) depthwise(31, pad = 15, stride = 7) attention(16)
        batch_norm squeeze_excite(4) conv(1024, kernel = 3, pad = 1) linear(8)";
    for text in [
        format!(
            "net a {{ input 512 x 1024 x 1024\n{} }}",
            body.replace(" linear(8)", "")
        ),
        "net b { input 1048576\nlinear(1048576) batch_norm linear(1048576) }".to_owned(),
        "net c { input 1048576 x 1024 x 1024\nmax_pool(3, stride = 2) avg_pool(511) flatten }".to_owned(),
    ] {
        for (batch, threads) in [(u64::MAX, u64::MAX), (1, u64::MAX), (u64::MAX, 1)] {
            let memory = summary(&text, batch, threads).memory;
            assert!(memory.training_bytes > 0 && memory.prepared_bytes > 0, "{memory:?}");
        }
    }
}
