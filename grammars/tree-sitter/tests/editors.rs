//! The grammars of editors have the words of the language and parse every specification of the repository.

use ksdsl::mappings::{MAPPINGS, PLACES, PRIVATE_PARTS};
use ksdsl::ops;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tree_sitter::{Node, Parser, Query, QueryCursor, StreamingIterator as _};
use tree_sitter_ksn::{HIGHLIGHTS, LANGUAGE};

fn grammars() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The words in quotes of a rule of the compiler's grammar.
fn quoted(text: &str) -> BTreeSet<&str> {
    text.split('"').skip(1).step_by(2).collect()
}

/// The keywords of the compiler's grammar: those of the rules `k_...`, and `x`.
fn keywords() -> BTreeSet<&'static str> {
    let lines = ksdsl_grammar::TEXT.lines().filter(|line| line.starts_with("k_"));
    lines.flat_map(quoted).chain(["x"]).collect()
}

fn reserved() -> BTreeSet<&'static str> {
    let (_, rule) = ksdsl_grammar::TEXT.split_once("\nreserved = ").expect("the rule");
    quoted(rule.split_once('}').expect("its end").0)
}

/// The one source of words: what the compiler knows.
fn words() -> Value {
    let layers: BTreeSet<&str> = ops::layers().map(|layer| layer.name).collect();
    let others: BTreeSet<&str> = ops::language_words().filter(|word| !layers.contains(word)).collect();
    let clause: BTreeSet<&str> = MAPPINGS
        .iter()
        .map(|def| def.name)
        .chain(PLACES.iter().map(|def| def.name))
        .chain(PRIVATE_PARTS.iter().map(|def| def.name))
        .collect();
    json!({ "keywords": keywords(), "reserved": reserved(), "layers": layers, "clause": clause, "words": others })
}

/// Compares a file with what it must be, or writes it.
fn expect(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, text).expect("the file");
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == text,
        "{} is out of date: run this test with UPDATE_EXPECT=1",
        path.display()
    );
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("JSON") + "\n"
}

#[test]
fn the_list_of_words_is_the_compilers() {
    expect(&grammars().join("words.json"), &pretty(&words()));
}

/// A pattern that any of these words matches, as a whole.
fn any(words: &Value) -> String {
    let words: Vec<&str> = words
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    format!("\\b(?:{})\\b", words.join("|"))
}

/// The grammar for VS Code: made of the words.
fn textmate() -> Value {
    let words = words();
    let all = |name: &str| any(&words[name]);
    let rule = |name: &str, pattern: &str| json!({ "name": format!("{name}.ksn"), "match": pattern });
    json!({
        "information_for_contributors": "Made by grammars/tree-sitter/tests/editors.rs",
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "KSDSL",
        "scopeName": "source.ksn",
        "patterns": [
            { "include": "#comment" },
            rule("string.quoted.double", "\"[^\"\\n]+\""),
            {
                "match": "\\b(net|block|stage)\\s+([A-Za-z_]\\w*)",
                "captures": { "1": { "name": "keyword.ksn" }, "2": { "name": "entity.name.type.ksn" } },
            },
            rule("entity.name.label", "\\b[A-Za-z_]\\w*(?=\\s*:)"),
            rule("variable.parameter", "\\b[A-Za-z_]\\w*(?=\\s*=(?!=))"),
            rule("constant.numeric", "\\b\\d[\\d_]*(?:x\\d[\\d_]*)+\\b|\\b\\d[\\d_]*(?:\\.\\d+)?(?:[eE][+-]?\\d+)?\\b"),
            rule("constant.language", "\\b(?:true|false)\\b"),
            rule("keyword", &all("keywords")),
            rule("support.function.layer", &all("layers")),
            rule("support.function.clause", &all("clause")),
            rule("support.constant", &all("words")),
            rule("entity.name.function", "\\b[A-Za-z_]\\w*(?=\\s*\\()"),
            rule("keyword.operator", "==|!=|<=|>=|\\.\\.|[-+*/%<>=]"),
        ],
        "repository": { "comment": { "patterns": [
            rule("comment.line.documentation", "///.*$"),
            rule("comment.line.double-slash", "//.*$"),
            {
                "name": "comment.block.ksn", "begin": "/\\*", "end": "\\*/",
                "patterns": [{ "include": "#nested" }],
            },
        ] }, "nested": { "begin": "/\\*", "end": "\\*/", "patterns": [{ "include": "#nested" }] } },
    })
}

#[test]
fn the_grammar_for_vs_code_is_made_of_the_words() {
    expect(
        &grammars().join("vscode/syntaxes/ksn.tmLanguage.json"),
        &pretty(&textmate()),
    );
}

/// The words that a text has in single quotes, or in double quotes.
fn words_in(text: &str, quote: char) -> BTreeSet<&str> {
    let is_word = |word: &&str| word.starts_with(|first: char| first.is_ascii_lowercase());
    let pieces = text.split(quote).skip(1).step_by(2);
    pieces
        .filter(is_word)
        .filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()))
        .collect()
}

#[test]
fn the_tree_sitter_grammar_has_the_words_of_the_compilers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let grammar = fs::read_to_string(folder.join("grammar.js")).expect("the grammar");
    let (_, rules) = grammar.split_once("rules: {").expect("rules");
    let fields = ["base", "kind", "name"];
    let written: BTreeSet<&str> = words_in(rules, '\'')
        .into_iter()
        .filter(|word| !fields.contains(word))
        .collect();
    assert_eq!(written, keywords());
    // The parser is that of the grammar: it has all names and no other.
    let generated = fs::read_to_string(folder.join("src/grammar.json")).expect("the generated grammar");
    let generated: Value = serde_json::from_str(&generated).expect("JSON");
    let names: BTreeSet<&str> = generated["rules"]
        .as_object()
        .expect("rules")
        .keys()
        .map(String::as_str)
        .collect();
    let written = rules
        .lines()
        .filter_map(|line| line.strip_prefix("    ")?.split_once(':').map(|(name, _)| name));
    let is_rule = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    assert_eq!(names, written.filter(is_rule).collect());
    let literals = |value: &Value| {
        let mut found = BTreeSet::new();
        strings(value, &mut found);
        found
    };
    assert_eq!(
        literals(&generated["rules"]),
        keywords().into_iter().map(str::to_owned).collect()
    );
    // And the queries colour each of them, once.
    let coloured = words_in(HIGHLIGHTS.split_once("(line_comment)").expect("the tokens").0, '"');
    let literal: BTreeSet<&str> = keywords()
        .into_iter()
        .filter(|word| !["true", "false"].contains(word))
        .collect();
    assert_eq!(coloured, literal);
}

/// The words among the literal tokens of a generated grammar.
fn strings(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(rule) if rule.get("type") == Some(&json!("STRING")) => {
            let text = rule["value"].as_str().unwrap_or_default();
            if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase()) {
                found.insert(text.to_owned());
            }
        }
        Value::Object(rule) => rule.values().for_each(|value| strings(value, found)),
        Value::Array(list) => list.iter().for_each(|value| strings(value, found)),
        _ => {}
    }
}

fn parser() -> Parser {
    let mut parser = Parser::new();
    parser.set_language(&LANGUAGE.into()).expect("a parser of this version");
    parser
}

/// The first place that is no part of the language, as text.
fn error(node: Node<'_>, text: &str) -> Option<String> {
    if node.is_error() || node.is_missing() {
        let at = node.start_position();
        let rest: String = text[node.start_byte()..].chars().take(40).collect();
        return Some(format!("{}:{}: {rest:?}", at.row + 1, at.column + 1));
    }
    let mut cursor = node.walk();
    node.children(&mut cursor)
        .filter(Node::has_error)
        .find_map(|child| error(child, text))
}

/// Every file with this ending below a folder, but for build outputs.
fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !name.starts_with("target") && !name.starts_with('.') && name != "node_modules" {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
}

/// The compiler decides: what its parser takes, this one takes.
#[test]
fn every_specification_of_the_repository_parses_without_an_error() {
    let mut all = Vec::new();
    files(&grammars().join(".."), "ksn", &mut all);
    all.sort();
    let (mut parsed, mut problems, mut parser) = (0, Vec::new(), parser());
    for path in &all {
        let Ok(text) = fs::read_to_string(path) else { continue };
        if ksdsl::format::format("a", &text).is_err() {
            // Cases of syntax errors.
            continue;
        }
        let tree = parser.parse(&text, None).expect("a tree");
        parsed += 1;
        if tree.root_node().has_error() {
            let place = error(tree.root_node(), &text).unwrap_or_default();
            problems.push(format!("{}:{place}", path.display()));
        }
    }
    assert!(parsed > 300, "{parsed} of {} files", all.len());
    assert!(
        problems.is_empty(),
        "{} of {parsed}:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

#[test]
fn texts_that_are_no_specifications_have_errors() {
    for text in ["net { }", "net a { conv( }", "net a { share }", "let a = 1"] {
        assert!(
            parser().parse(text, None).expect("a tree").root_node().has_error(),
            "{text}"
        );
    }
}

#[test]
fn highlights_are_those_of_the_constructs() {
    let text =
        "/// A net.\nnet tiny(k = 3) { input 1x8x8; c: conv(4, kernel = k); share c with private bias /* /* */ */ }";
    let tree = parser().parse(text, None).expect("a tree");
    let query = Query::new(&LANGUAGE.into(), HIGHLIGHTS).expect("queries that fit the grammar");
    let mut cursor = QueryCursor::new();
    let mut found = BTreeSet::new();
    let mut matches = cursor.matches(&query, tree.root_node(), text.as_bytes());
    while let Some(matched) = matches.next() {
        for capture in matched.captures {
            let name = query.capture_names()[capture.index as usize];
            found.insert((name, &text[capture.node.byte_range()]));
        }
    }
    for expected in [
        ("comment.documentation", "/// A net."),
        ("keyword", "net"),
        ("type", "tiny"),
        ("variable.parameter", "kernel"),
        ("variable", "k"),
        ("number", "1x8x8"),
        ("label", "c"),
        ("function.call", "conv"),
        ("keyword.modifier", "private"),
        ("function.builtin", "bias"),
        ("comment", "/* /* */ */"),
    ] {
        assert!(found.contains(&expected), "{expected:?} is not in {found:?}");
    }
}

/// The extension for VS Code, which is JavaScript. `npm install` in its folder adds the test of its colours.
#[test]
fn the_extension_passes_its_tests() {
    let folder = grammars().join("vscode");
    let run = Command::new("node")
        .args(["--test", "test/"])
        .current_dir(folder)
        .output();
    let Ok(run) = run else {
        eprintln!("SKIPPED: node is not installed");
        return;
    };
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
}
