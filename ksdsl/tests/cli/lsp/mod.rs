//! `ksn lsp`, driven as an editor drives it.

mod client;

use client::{Client, apply, cut, find, marked, uri};
use serde_json::{Value, json};

const URI: &str = "untitled:net.ksn";

/// Four convolutions of a block; those named `second` share a kernel.
const NET: &str = "\
block unit(channels) {
    first: conv(channels, kernel = 3, pad = 1); relu
    second: conv(channels, kernel = 3, pad = 1)
}
net tiny(width = 8) {
    let half = width / 2
    input 3 x 8 x 8
    stage body { repeat 2 { unit(half) } }
    stage head { global_avg_pool; linear(10) }
    share body[*].second as shared_kernel
}
";

fn opened(text: &str) -> Client {
    let mut client = Client::new();
    client.open(URI, text);
    client
}

/// The texts of ranges or locations.
fn texts<'t>(text: &'t str, found: &Value) -> Vec<&'t str> {
    let found = found.as_array().unwrap().iter();
    found.map(|found| cut(text, &found["range"])).collect()
}

fn labels(items: &Value) -> Vec<&str> {
    items
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["label"].as_str().unwrap())
        .collect()
}

#[test]
fn sessions_begin_and_end_as_the_protocol_says() {
    let mut client = Client::raw();
    // JSON-RPC and the protocol: ServerNotInitialized, InvalidRequest, MethodNotFound, InvalidParams.
    let code = |response: Value| response["error"]["code"].as_i64();
    assert_eq!(code(client.request("textDocument/hover", json!({}))), Some(-32002));
    let result = client.result("initialize", json!({ "capabilities": {} }));
    assert_eq!(result["capabilities"]["positionEncoding"], "utf-16");
    assert_eq!(result["serverInfo"]["name"], "ksn");
    client.notify("initialized", json!({}));
    client.notify("$/unknown", json!({}));
    client.notify("textDocument/didOpen", json!({ "nonsense": 1 }));
    assert_eq!(code(client.request("unknown", json!({}))), Some(-32601));
    assert_eq!(code(client.request("textDocument/hover", json!({}))), Some(-32602));
    let closed = json!({ "textDocument": { "uri": URI }, "position": { "line": 0, "character": 0 } });
    assert_eq!(code(client.request("textDocument/hover", closed.clone())), Some(-32602));
    client.result("shutdown", Value::Null);
    assert_eq!(code(client.request("textDocument/hover", closed)), Some(-32600));
    assert_eq!(client.end(false, true), Some(0));

    assert_eq!(Client::new().end(true, true), Some(0));
    assert_eq!(Client::new().end(false, true), Some(1), "exit without shutdown");
    assert_eq!(Client::new().end(false, false), Some(1), "the editor has gone");
    assert_eq!(Client::raw().end(false, true), Some(1), "exit before initialize");
}

/// Non-ASCII text before a mistake, in its line: columns are UTF-16 code units.
#[test]
fn diagnostics_follow_the_text_and_bring_their_fixes() {
    let text = "net a(width = 4) { input 8; /* größe 𝄞 */ linear(widht) }\n";
    let mut client = opened(text);
    let found = client.diagnostics(URI);
    let [error] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(
        (error["code"].as_str(), error["severity"].as_i64()),
        (Some("KS0010"), Some(1))
    );
    assert_eq!(cut(text, &error["range"]), "widht");
    assert_eq!(error["range"]["start"], find(text, "widht", 0));
    let params = json!({ "textDocument": { "uri": URI }, "range": error["range"], "context": { "diagnostics": [] } });
    let actions = client.result("textDocument/codeAction", params);
    let fixed = apply(text, &actions[0]["edit"]["changes"][URI]);
    assert_eq!(fixed, text.replace("widht", "width"));
    assert_eq!(
        (actions.as_array().unwrap().len(), &actions[0]["kind"]),
        (1, &json!("quickfix"))
    );

    // The editor applies it as a change of a range.
    client.change(URI, json!({ "range": error["range"], "text": "width" }));
    assert_eq!(client.diagnostics(URI), [] as [Value; 0]);
    client.change(URI, json!({ "text": "net a {" }));
    assert_eq!(client.diagnostics(URI)[0]["code"], "KS0001");
    client.notify("textDocument/didClose", json!({ "textDocument": { "uri": URI } }));
    client.open("untitled:other", "");
    client.diagnostics("untitled:other");
    assert_eq!(client.shown[URI], [] as [Value; 0], "a closed text has no diagnostics");
    assert_eq!(client.end(true, true), Some(0));
}

/// By hand: 3x3 kernels from 3 to 4 and from 4 to 4 channels on 8x8 positions.
#[test]
fn hover_has_shapes_costs_and_visits() {
    let mut client = opened(NET);
    let mut hover = |word: &str, number: usize| {
        let hover = client.at("hover", URI, &find(NET, word, number));
        hover["contents"]["value"].as_str().unwrap_or_default().to_owned()
    };
    let second = hover("conv", 1);
    let macs = 2 * 4 * 4 * 9 * 64;
    assert_eq!(macs, 18_432);
    for part in [
        "`body[0..2].second`",
        "4x8x8 → 4x8x8, kernel 4x4x3x3",
        "288 parameters used, 18,432 multiply-adds",
    ] {
        assert!(second.contains(part), "{part}: {second}");
    }
    assert!(
        second.contains("shared kernel `shared_kernel` 4x4x3x3, 144 parameters, 2 visits: `body[0..2].second`"),
        "{second}"
    );
    assert_eq!(hover("second", 0), second, "the label of the layer");
    assert_eq!(hover("second", 1), second, "the path in the clause");
    let first = hover("conv", 0);
    assert!(
        first.contains("3x8x8 → 4x8x8, kernel 4x3x3x3") && first.contains("4x8x8 → 4x8x8"),
        "{first}"
    );
    let block = hover("unit", 1);
    assert!(
        block.contains("block `unit` `body[0..2]`") && block.contains("6 layers"),
        "{block}"
    );
    // 4 * 3 * 9 for the first, 3 * 4 * 4 * 9 for the others.
    assert!(block.contains("540 parameters used"), "{block}");
    assert!(hover("body", 0).contains("3x8x8 → 4x8x8"));
    // The kernels 108, 144, 144, and 4 * 10 + 10.
    assert!(hover("tiny", 0).contains("446 parameters, 590 without sharing"));
    assert!(hover("width", 0).contains("`8` in `tiny`"));
    assert!(hover("half", 1).contains("half = width / 2"));
    assert!(hover("shared_kernel", 0).contains("2 visits"));
}

#[test]
fn hints_have_the_shapes_that_change() {
    let mut client = opened(NET);
    let all = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 99, "character": 0 } });
    let hints = client.result(
        "textDocument/inlayHint",
        json!({ "textDocument": { "uri": URI }, "range": all }),
    );
    let at = |hint: &Value| {
        let line = hint["position"]["line"].as_u64().unwrap() as usize;
        let column = hint["position"]["character"].as_u64().unwrap() as usize;
        let before = &NET.lines().nth(line).unwrap()[..column];
        format!(
            "{} {}",
            before.rsplit([' ', ';']).next().unwrap(),
            hint["label"].as_str().unwrap()
        )
    };
    let hints: Vec<String> = hints.as_array().unwrap().iter().map(at).collect();
    assert_eq!(
        hints,
        [
            "1) → 4x8x8",
            "body → 4x8x8",
            "unit(half) → 4x8x8",
            "head → 10",
            "global_avg_pool → 4",
            "linear(10) → 10",
        ]
    );
}

#[test]
fn completion_knows_where_it_is() {
    let offered = |text: &str| {
        let (text, at) = marked(text);
        opened(&text).at("completion", URI, &at)
    };
    let has = |text: &str, wanted: &[&str]| {
        let items = offered(text);
        let found = labels(&items);
        assert!(wanted.iter().all(|word| found.contains(word)), "{text}: {found:?}");
    };
    has("net a { input 4; li|", &["linear", "relu", "residual", "stage"]);
    has(
        "net a { input 4; conv(8, ker|) }",
        &["kernel = ", "pad = ", "channels = ", "in_height"],
    );
    has("net a { input 4 x 4 x 4; conv(8, 3, pad = |) }", &["same", "valid"]);
    has(
        "block b(size, act = relu) { linear(size) } net a(n = 2) { input 4; b(|) }",
        &["size = ", "act = ", "n"],
    );
    has(
        "net a { input 4; linear(4)\n share linear into |\n}",
        &["cycle", "bank"],
    );
    has("|", &["net", "block", "use"]);
    has("use \"|", &["std/residual.ksn"]);

    // Paths, while the clause is not complete.
    let paths = |clause: &str| {
        let text = NET.replace(
            "    share body[*].second as shared_kernel\n",
            &format!("    {clause}\n"),
        );
        let items = offered(&text);
        labels(&items).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let top = paths("share |");
    assert!(
        top.iter().any(|path| path == "body[*].second") && top.iter().any(|path| path == "head"),
        "{top:?}"
    );
    assert_eq!(paths("share body[0].|"), ["first", "relu", "second"]);
    assert_eq!(paths("share isomorphic conv in head.|"), ["global_avg_pool", "linear"]);
    assert_eq!(
        paths("share body[0..2].second, head.li|"),
        ["global_avg_pool", "linear"]
    );
}

#[test]
fn definitions_and_references_lead_there_and_back() {
    let mut client = opened(NET);
    let go = |client: &mut Client, method: &str, word: &str, number: usize| {
        let found = client.at(method, URI, &find(NET, word, number));
        let found = found.as_array().unwrap().iter().map(|found| found["range"].clone());
        found.collect::<Vec<Value>>()
    };
    let starts = |ranges: &[Value]| ranges.iter().map(|range| range["start"].clone()).collect::<Vec<_>>();
    let places = |of: &[(&str, usize)]| {
        of.iter()
            .map(|(word, number)| find(NET, word, *number))
            .collect::<Vec<_>>()
    };
    let mut check = |method: &str, (word, number): (&str, usize), expected: &[(&str, usize)]| {
        let found = go(&mut client, method, word, number);
        assert_eq!(starts(&found), places(expected), "{method} of {word} {number}");
    };
    check("definition", ("unit", 1), &[("unit", 0)]);
    check("definition", ("half", 1), &[("half", 0)]);
    check("definition", ("channels", 2), &[("channels", 0)]);
    check("definition", ("second", 1), &[("second", 0)]);
    check("definition", ("body", 1), &[("body", 0)]);
    // A visit to its group, and back.
    check("definition", ("conv", 1), &[("share body", 0)]);
    check("definition", ("share body", 0), &[("conv", 1)]);
    check("references", ("unit", 0), &[("unit", 1)]);
    check("references", ("width", 0), &[("width", 1)]);
    check("references", ("channels", 0), &[("channels", 1), ("channels", 2)]);
    check("references", ("share body", 0), &[("conv", 1)]);
    check("references", ("conv", 1), &[("conv", 1)]);
    check("definition", ("relu", 0), &[]);
}

#[test]
fn names_change_with_their_uses_and_labels_with_their_paths() {
    let mut client = opened(NET);
    let mut rename = |text: &str, position: &Value, name: &str| {
        client.change(URI, json!({ "text": text }));
        let params = json!({ "textDocument": { "uri": URI }, "position": position, "newName": name });
        let response = client.request("textDocument/rename", params);
        match response.get("error") {
            Some(error) => Err(error["message"].as_str().unwrap().to_owned()),
            None => Ok(apply(text, &response["result"]["changes"][URI])),
        }
    };
    for (word, number, name) in [
        ("second", 0, "last"),
        ("second", 1, "last"),
        ("unit", 0, "cell"),
        ("channels", 1, "width"),
        ("half", 1, "few"),
        ("body", 1, "trunk"),
        ("tiny", 0, "small"),
    ] {
        let renamed = rename(NET, &find(NET, word, number), name).unwrap();
        assert_eq!(renamed, NET.replace(word, name), "{word}");
    }
    let refused = |result: Result<String, String>, part: &str| {
        let message = result.unwrap_err();
        assert!(message.contains(part), "{message}");
    };
    refused(rename(NET, &find(NET, "second", 0), "2nd"), "`2nd` is no name");
    refused(rename(NET, &find(NET, "second", 0), "net"), "`net` is no name");
    refused(
        rename(NET, &find(NET, "second", 0), "first"),
        "has errors: the name `body[0].first` is used twice",
    );
    refused(rename(NET, &find(NET, "conv", 0), "other"), "no name here");
    // `s*` would match no longer.
    let pattern = NET.replace("[*].second", "[*].s*");
    refused(rename(&pattern, &find(&pattern, "second", 0), "other"), "has errors");
    // Or one more: the layer `first` would share.
    let more = NET
        .replace("[*].second", "[*].*nd")
        .replace("relu", "third: conv(channels, kernel = 3, pad = 1)");
    refused(
        rename(&more, &find(&more, "third", 0), "thousand"),
        "other layers would share",
    );
    // Parameters of networks and blocks, where they are given by name.
    let given = "block b(size) { linear(size) }\nnet a(n) { input 4; b(size = n) }\nnet c = a(n = 2)\n";
    let size = rename(given, &find(given, "size", 0), "width").unwrap();
    assert_eq!(size, given.replace("size", "width"));
    let n = rename(given, &find(given, "n = 2", 0), "m").unwrap();
    assert_eq!(
        n,
        given
            .replace("a(n)", "a(m)")
            .replace("= n)", "= m)")
            .replace("n = 2", "m = 2")
    );
}

/// A file that is open and not saved, or not there at all, is what other texts import.
#[test]
fn imports_see_unsaved_texts() {
    let folder = tempfile::tempdir().unwrap();
    let [main, blocks] = ["main.ksn", "blocks.ksn"].map(|name| uri(folder.path(), name));
    let net = "use \"blocks.ksn\"\nnet a { input 4; unit(4) }\n";
    let mut client = Client::new();
    client.open(&main, net);
    assert_eq!(client.diagnostics(&main)[0]["code"], "KS0017", "there is no such file");
    client.open(&blocks, "block unit(n) { linear(n) }\n");
    assert_eq!(client.diagnostics(&main), [] as [Value; 0]);
    let found = client.at("definition", &main, &find(net, "unit", 0));
    assert_eq!(
        (&found[0]["uri"], &found[0]["range"]["start"]["character"]),
        (&json!(blocks), &json!(6))
    );
    assert_eq!(
        client.at("definition", &main, &find(net, "blocks.ksn", 0))[0]["uri"],
        json!(blocks)
    );

    // From the file that defines it to those that use it.
    let position = json!({ "line": 0, "character": 7 });
    let params = json!({ "textDocument": { "uri": blocks }, "position": position, "newName": "cell" });
    let changes = client.result("textDocument/rename", params)["changes"].clone();
    assert_eq!(apply(net, &changes[&main]), net.replace("unit", "cell"));
    assert_eq!(
        apply("block unit(n) { linear(n) }\n", &changes[&blocks]),
        "block cell(n) { linear(n) }\n"
    );

    // A mistake there stands at the import, with its place.
    client.change(&blocks, json!({ "text": "block unit(n) {\n    linear(m)\n}\n" }));
    let found = client.diagnostics(&main);
    assert_eq!(cut(net, &found[0]["range"]), "\"blocks.ksn\"");
    assert!(
        found[0]["message"]
            .as_str()
            .unwrap()
            .contains("blocks.ksn:2:12: `m` is not defined"),
        "{found:?}"
    );
    assert_eq!(found[0]["relatedInformation"][0]["location"]["uri"], json!(blocks));
    assert_eq!(
        client.diagnostics(&blocks)[0]["range"]["start"],
        json!({ "line": 1, "character": 11 })
    );
    // The file itself is what counts when the text is closed.
    std::fs::write(folder.path().join("blocks.ksn"), "block unit(n) { linear(n); relu }\n").unwrap();
    client.notify("textDocument/didClose", json!({ "textDocument": { "uri": blocks } }));
    assert_eq!(client.diagnostics(&main), [] as [Value; 0]);
}

#[test]
fn formatting_and_outline() {
    let text = "net a{input 4;/* ö */ linear( 4 );relu}\n";
    let mut client = opened(text);
    let options = json!({ "textDocument": { "uri": URI }, "options": { "tabSize": 8, "insertSpaces": false } });
    let edits = client.result("textDocument/formatting", options.clone());
    let formatted = ksdsl::format::format("a", text).unwrap();
    assert!(formatted != text);
    assert_eq!(apply(text, &edits), formatted);
    client.change(URI, json!({ "text": formatted }));
    assert_eq!(client.result("textDocument/formatting", options.clone()), json!([]));
    client.change(URI, json!({ "text": "net a {" }));
    assert_eq!(client.result("textDocument/formatting", options), Value::Null);
    client.change(URI, json!({ "text": NET }));
    let outline = client.result("textDocument/documentSymbol", json!({ "textDocument": { "uri": URI } }));
    let names = |list: &Value| {
        let list = list.as_array().unwrap().iter();
        list.map(|symbol| symbol["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&outline), ["unit", "tiny"]);
    assert_eq!(names(&outline[0]["children"]), ["first", "second"]);
    assert_eq!(names(&outline[1]["children"]), ["body", "head"]);
    assert_eq!(
        texts(NET, &outline),
        [
            NET.split("\nnet").next().unwrap(),
            NET[NET.find("net tiny").unwrap()..].trim_end()
        ]
    );
}

/// Everything that is asked while a text is written, at every length that it has on the way.
#[test]
fn no_text_is_too_odd() {
    let loops = "net l(n = 2) { input a: 4 x 6; keep s; go: repeat up to n { linear(6); set s; exit e } \
        each s, s as t, u { relu } add { p: path { relu } path {} } share go.linear into [0, _] when n > 1 }";
    let odd = "net \u{1d11e} { input 3 x 8 x\r 8; \r\n use \"\u{0}\" share s1[*].**.x with private bias, ö } /* \" ";
    let mut client = opened("");
    let requests = ["hover", "completion", "definition", "references", "prepareRename"];
    let whole = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 99, "character": 9 } });
    for text in [NET, loops, odd] {
        for (at, _) in text.char_indices().chain([(text.len(), ' ')]) {
            let (text, position) = marked(&format!("{}|", &text[..at]));
            client.change(URI, json!({ "text": text }));
            for method in requests {
                client.at(method, URI, &position);
            }
            let of = json!({ "textDocument": { "uri": URI }, "range": whole, "context": { "diagnostics": [] }, "options": {
                "tabSize": 4, "insertSpaces": true } });
            for method in ["inlayHint", "codeAction", "formatting", "documentSymbol"] {
                client.result(&format!("textDocument/{method}"), of.clone());
            }
        }
    }
    // Nothing was lost on the way.
    client.change(URI, json!({ "text": NET }));
    assert_eq!(client.diagnostics(URI), [] as [Value; 0]);
    assert_eq!(client.end(true, true), Some(0));
}
