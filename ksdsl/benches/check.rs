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

/// Requests of editors, all answered from the networks of the text.
#[cfg(feature = "lsp")]
const REQUESTS: [&str; 5] = ["hover", "inlayHint", "completion", "definition", "documentSymbol"];

/// What an editor waits for after a keystroke in ten thousand statements: the compilation, and an answer. It is to be less
/// than 100 ms.
#[cfg(feature = "lsp")]
#[divan::bench(args = REQUESTS)]
fn editor_in_ten_thousand_statements(bencher: divan::Bencher<'_, '_>, method: &str) {
    let layers: String = (0..5_000)
        .map(|i| format!("    conv{i}: conv(16, kernel = 3, pad = 1); relu\n"))
        .collect();
    let text = format!("net flat {{\n    input 16 x 32 x 32\n{layers}    share conv* as all\n}}\n");
    answer(bencher, method, &text, 2500);
}

/// The same in blocks that are repeated.
#[cfg(feature = "lsp")]
#[divan::bench(args = REQUESTS)]
fn editor_in_repeated_blocks(bencher: divan::Bencher<'_, '_>, method: &str) {
    let text = "net deep(depth = 2000) {
    input 16 x 32 x 32
    block basic(width) {
        residual {
        conv1: conv(width, kernel = 3, pad = 1); batch_norm; relu
        conv2: conv(width, kernel = 3, pad = 1) }
        relu
    }
    stage body { repeat depth { basic(16) } }
    share isomorphic conv in body
}
";
    answer(bencher, method, text, 4);
}

/// Changes a text, and asks something at a line of it.
#[cfg(feature = "lsp")]
fn answer(bencher: divan::Bencher<'_, '_>, method: &str, text: &str, line: u32) {
    use lsp_server::{Connection, Message, Notification, Request};
    use serde_json::json;
    let (server, client) = Connection::memory();
    let thread = std::thread::spawn(move || ksdsl::lsp::run(&server));
    let notify = |method: &str, params| {
        let message = Notification::new(method.to_owned(), params);
        client.sender.send(message.into()).unwrap()
    };
    let request = |method: &str, params: serde_json::Value| {
        let message = Request::new(1.into(), method.to_owned(), params);
        client.sender.send(message.into()).unwrap();
        loop {
            if let Message::Response(response) = client.receiver.recv().unwrap() {
                return response.response_result.unwrap();
            }
        }
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
            json!({ "line": line, "character": 16 }),
            json!({ "line": line + 60, "character": 0 }),
        );
        let range = json!({ "start": start, "end": end });
        let params = json!({ "textDocument": { "uri": "untitled:a" }, "position": start, "range": range });
        let result = request(&format!("textDocument/{method}"), params);
        assert!(!result.is_null(), "{method} has no answer");
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
