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

/// What an editor waits for after a keystroke in ten thousand statements: the compilation, and an answer.
#[cfg(feature = "lsp")]
#[divan::bench(args = ["hover", "inlayHint", "completion", "definition", "documentSymbol"])]
fn editor_in_ten_thousand_statements(bencher: divan::Bencher<'_, '_>, method: &str) {
    use lsp_server::{Connection, Message, Notification, Request};
    use serde_json::json;
    let layers: String = (0..5_000)
        .map(|i| format!("    conv{i}: conv(16, kernel = 3, pad = 1); relu\n"))
        .collect();
    let text = format!("net flat {{\n    input 16 x 32 x 32\n{layers}    share conv* as all\n}}\n");
    let (server, client) = Connection::memory();
    let thread = std::thread::spawn(move || ksdsl::lsp::run(&server));
    let notify = |method: &str, params| {
        client
            .sender
            .send(Notification::new(method.to_owned(), params).into())
            .unwrap()
    };
    let request = |method: &str, params: serde_json::Value| {
        client
            .sender
            .send(Request::new(1.into(), method.to_owned(), params).into())
            .unwrap();
        while !matches!(client.receiver.recv().unwrap(), Message::Response(_)) {}
    };
    request("initialize", json!({}));
    let document = json!({ "uri": "untitled:a", "languageId": "ksn", "version": 1, "text": text });
    notify("textDocument/didOpen", json!({ "textDocument": document }));
    bencher.bench_local(|| {
        let at = json!({ "line": 2, "character": 0 });
        let change = json!({ "range": { "start": at, "end": at }, "text": " " });
        let of = json!({ "uri": "untitled:a", "version": 2 });
        notify(
            "textDocument/didChange",
            json!({ "textDocument": of, "contentChanges": [change] }),
        );
        let (start, end) = (
            json!({ "line": 2500, "character": 14 }),
            json!({ "line": 2560, "character": 0 }),
        );
        let range = json!({ "start": start, "end": end });
        let params = json!({ "textDocument": { "uri": "untitled:a" }, "position": start, "range": range });
        request(&format!("textDocument/{method}"), params);
    });
    request("shutdown", json!(null));
    notify("exit", json!(null));
    assert_eq!(thread.join().unwrap(), ksdsl::lsp::End::Orderly);
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
