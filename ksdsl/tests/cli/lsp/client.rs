//! An editor: messages over the standard streams of `ksn lsp`.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub(super) struct Client {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    next: i64,
    version: i64,
    /// The last diagnostics of each text.
    pub(super) shown: BTreeMap<String, Vec<Value>>,
    /// The version of each text.
    versions: BTreeMap<String, i64>,
    /// The texts whose diagnostics have come since the last change of any text.
    fresh: BTreeSet<String>,
}

/// A text without its `|`, and the position of that, in UTF-16 code units.
pub(super) fn marked(text: &str) -> (String, Value) {
    let at = text.find('|').expect("a mark");
    let before = &text[..at];
    let line = before.matches('\n').count();
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let column: usize = before[start..].chars().map(char::len_utf16).sum();
    (text.replacen('|', "", 1), json!({ "line": line, "character": column }))
}

/// The position of the `number`th occurrence of a word, from 0.
pub(super) fn find(text: &str, word: &str, number: usize) -> Value {
    let (at, _) = text
        .match_indices(word)
        .nth(number)
        .unwrap_or_else(|| panic!("no {word:?}"));
    marked(&format!("{}|{}", &text[..at], &text[at..])).1
}

/// The text that a range of the protocol covers.
pub(super) fn cut<'t>(text: &'t str, range: &Value) -> &'t str {
    let offset = |position: &Value| {
        let line = position["line"].as_u64().unwrap() as usize;
        let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        let mut units = position["character"].as_u64().unwrap() as usize;
        let mut at = start;
        for letter in text[start..].chars() {
            if units == 0 {
                break;
            }
            units -= letter.len_utf16();
            at += letter.len_utf8();
        }
        at
    };
    &text[offset(&range["start"])..offset(&range["end"])]
}

/// A text with the changes of a list, last first.
pub(super) fn apply(text: &str, edits: &Value) -> String {
    let mut edits: Vec<&Value> = edits.as_array().unwrap().iter().collect();
    let key = |edit: &&Value| {
        let start = &edit["range"]["start"];
        (start["line"].as_u64().unwrap(), start["character"].as_u64().unwrap())
    };
    edits.sort_by_key(key);
    let mut text = text.to_owned();
    for edit in edits.into_iter().rev() {
        let old = cut(&text, &edit["range"]);
        let start = old.as_ptr() as usize - text.as_ptr() as usize;
        let range = start..start + old.len();
        text.replace_range(range, edit["newText"].as_str().unwrap());
    }
    text
}

impl Client {
    /// A server that has not been initialised.
    pub(super) fn raw() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ksn"))
            .args(["lsp", "--stdio"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Client {
            to: child.stdin.take(),
            from: BufReader::new(child.stdout.take().unwrap()),
            child,
            next: 0,
            version: 0,
            shown: BTreeMap::new(),
            versions: BTreeMap::new(),
            fresh: BTreeSet::new(),
        }
    }

    /// A server at work.
    pub(super) fn new() -> Self {
        let mut client = Self::raw();
        client.result(
            "initialize",
            json!({ "capabilities": {}, "processId": null, "rootUri": null }),
        );
        client.notify("initialized", json!({}));
        client
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        let to = self.to.as_mut().unwrap();
        write!(to, "Content-Length: {}\r\n\r\n{text}", text.len()).unwrap();
        to.flush().unwrap();
    }

    fn receive(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(self.from.read_line(&mut line).unwrap() > 0, "the server has gone");
            match line.trim_end().strip_prefix("Content-Length: ") {
                Some(bytes) => length = bytes.parse().unwrap(),
                None if line == "\r\n" => break,
                None => {}
            }
        }
        let mut text = vec![0; length];
        self.from.read_exact(&mut text).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    pub(super) fn notify(&mut self, method: &str, params: Value) {
        self.fresh.clear();
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// The whole response to a request; diagnostics that come before it are kept.
    pub(super) fn request(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.receive();
            if message["method"] == "textDocument/publishDiagnostics" {
                self.show(&message["params"]);
            } else {
                assert_eq!(message["id"], id, "{message}");
                return message;
            }
        }
    }

    fn show(&mut self, params: &Value) {
        let uri = params["uri"].as_str().unwrap().to_owned();
        if self.versions.get(&uri) == params["version"].as_i64().as_ref() {
            self.fresh.insert(uri.clone());
        }
        self.shown
            .insert(uri, params["diagnostics"].as_array().unwrap().clone());
    }

    pub(super) fn result(&mut self, method: &str, params: Value) -> Value {
        let response = self.request(method, params);
        assert!(response.get("error").is_none(), "{method}: {response}");
        response["result"].clone()
    }

    pub(super) fn open(&mut self, uri: &str, text: &str) {
        self.version += 1;
        self.versions.insert(uri.to_owned(), self.version);
        let item = json!({ "uri": uri, "languageId": "ksn", "version": self.version, "text": text });
        self.notify("textDocument/didOpen", json!({ "textDocument": item }));
    }

    /// Changes a text: as a whole, or a range of it.
    pub(super) fn change(&mut self, uri: &str, change: Value) {
        self.version += 1;
        self.versions.insert(uri.to_owned(), self.version);
        let document = json!({ "uri": uri, "version": self.version });
        self.notify(
            "textDocument/didChange",
            json!({ "textDocument": document, "contentChanges": [change] }),
        );
    }

    /// The diagnostics of a text after the last change, of itself or of what it imports.
    pub(super) fn diagnostics(&mut self, uri: &str) -> Vec<Value> {
        while !self.fresh.contains(uri) {
            let message = self.receive();
            assert_eq!(message["method"], "textDocument/publishDiagnostics", "{message}");
            self.show(&message["params"]);
        }
        self.shown[uri].clone()
    }

    /// Asks about a position.
    pub(super) fn at(&mut self, method: &str, uri: &str, position: &Value) -> Value {
        let params = json!({
            "textDocument": { "uri": uri }, "position": position, "context": { "includeDeclaration": false, "triggerKind": 1 },
        });
        self.result(&format!("textDocument/{method}"), params)
    }

    /// Ends the session with these messages; the exit status.
    pub(super) fn end(mut self, shutdown: bool, exit: bool) -> Option<i32> {
        if shutdown {
            self.result("shutdown", Value::Null);
        }
        if exit {
            self.notify("exit", Value::Null);
        }
        drop(self.to.take());
        self.child.wait().unwrap().code()
    }
}

/// The URI of a file in a folder; the names of temporary folders need no escapes.
pub(super) fn uri(folder: &Path, name: &str) -> String {
    format!("file://{}/{name}", folder.canonicalize().unwrap().display())
}
