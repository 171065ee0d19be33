//! The language book and the example networks say what is true: every example compiles, every
//! number in it is the compiler's, and nothing of the language is left out.

#[path = "book/fences.rs"]
mod fences;
#[path = "book/links.rs"]
mod links;
#[path = "book/nets.rs"]
mod nets;
#[path = "book/pages.rs"]
mod pages;
#[path = "book/recount.rs"]
mod recount;
#[path = "book/references.rs"]
mod references;

use fences::{Fence, fences};
use ksdsl::compile::{Compilation, Options, compile};
use ksdsl::diag::Severity;
use ksdsl::mappings::{MAPPINGS, PLACES, PRIVATE_PARTS};
use ksdsl::ops::{LOOP, LayerDef, RESIDUAL, kinds, layers};
use ksdsl::render::render;
use ksdsl::source::Source;
use ksdsl::summary::Summary;
use ksdsl::value::FUNCTIONS;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Images in the batch of every memory figure of the book.
const BATCH: u64 = 32;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = repository().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The chapters by file name, but for the catalogue of diagnostics, which has tests of its own.
fn chapters() -> BTreeMap<String, String> {
    let folder = repository().join("docs/book/src");
    let entries = std::fs::read_dir(&folder).expect("the book's folder");
    entries
        .map(|entry| entry.expect("an entry of the book's folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .filter(|name| name != "diagnostics.md" && name != "SUMMARY.md")
        .map(|name| (name.clone(), read(Path::new("docs/book/src").join(name))))
        .collect()
}

fn book() -> Vec<Fence> {
    chapters().iter().flat_map(|(name, text)| fences(name, text)).collect()
}

fn examples(fences: &[Fence]) -> impl Iterator<Item = &Fence> {
    fences.iter().filter(|fence| fence.is("ksn"))
}

/// The summaries of a source's networks, as a person reads them, with memory in a line.
fn summaries(compilation: &Compilation) -> String {
    let describe = |network| {
        let summary = Summary::new(network, BATCH);
        let memory = summary.memory;
        format!(
            "{summary}\nbytes for a batch of {BATCH}: model {}, inference {}, training {}\n",
            memory.model_bytes, memory.inference_bytes, memory.training_bytes
        )
    };
    compilation.networks.iter().map(describe).collect()
}

fn compiled(source: &Source) -> Compilation {
    compile(source, &Options::default())
}

/// Examples compile without errors or warnings, or give what they are marked with and nothing else.
#[test]
fn every_example_compiles() {
    let book = book();
    assert!(examples(&book).count() > 60, "the examples were not found");
    for fence in examples(&book) {
        let source = fence.source();
        let compilation = compiled(&source);
        let rendered = render(&source, &compilation.diagnostics, false);
        let (code, severity) = match (fence.setting("error"), fence.setting("warning")) {
            (Some(code), _) => (code, Severity::Error),
            (None, Some(code)) => (code, Severity::Warning),
            (None, None) => {
                assert!(compilation.diagnostics.is_empty(), "{rendered}");
                assert!(
                    !compilation.networks.is_empty() || fence.is("blocks"),
                    "{}: no network",
                    fence.place
                );
                continue;
            }
        };
        let expected = compilation
            .diagnostics
            .iter()
            .all(|found| found.code.to_string() == code && found.severity == severity);
        assert!(
            expected && !compilation.diagnostics.is_empty(),
            "{}: {code} was expected\n{rendered}",
            fence.place
        );
    }
}

/// The counts of every network of the book and of the examples are those of its layers' sizes.
#[test]
fn every_count_is_that_of_the_layers() {
    let mut sources: Vec<Source> = examples(&book()).map(Fence::source).collect();
    let folder = repository().join("examples/nets");
    let files = std::fs::read_dir(folder).expect("the folder of example networks");
    let paths = files.map(|file| file.expect("an entry").path());
    sources.extend(
        paths
            .filter(|path| path.extension().is_some_and(|extension| extension == "ksn"))
            .map(|path| Source::new(path.display().to_string(), read(&path))),
    );
    let mut counted = 0;
    for source in &sources {
        for network in compiled(source).networks {
            let summary = Summary::new(&network, 1);
            let parameters = summary.parameters;
            let found = recount::Counts {
                trainable: parameters.trainable,
                unshared: parameters.unshared,
                buffers: parameters.buffers,
                macs: summary.macs,
            };
            assert_eq!(
                found,
                recount::recount(&network),
                "{} of {}",
                network.name,
                source.name()
            );
            counted += 1;
        }
    }
    assert!(counted > 100, "only {counted} networks were counted");
}

/// Every line of a `summary` block is in the summary of the example before it, in that order; that the counts
/// themselves are right, the test above says.
#[test]
fn every_summary_is_the_compilers() {
    let book = book();
    let mut example = None;
    let mut checked = 0;
    for fence in &book {
        if fence.is("ksn") {
            example = Some(fence);
        }
        let (true, Some(example)) = (fence.is("summary"), example) else {
            continue;
        };
        let text = summaries(&compiled(&example.source()));
        let mut lines = text.lines().map(str::trim);
        for wanted in fence.text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            assert!(
                lines.any(|line| line == wanted),
                "{}: no line `{wanted}` (or not in this order) in\n{text}",
                fence.place
            );
            checked += 1;
        }
    }
    assert!(checked > 60, "only {checked} lines were found");
}

/// The part of a chapter under a heading, up to the next of the same or a higher rank.
fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let start = text
        .find(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("there is no `{heading}`"));
    let rest = &text[start + heading.len() + 1..];
    let rank = heading.bytes().take_while(|byte| *byte == b'#').count();
    let end = (1..=rank)
        .filter_map(|rank| rest.find(&format!("\n{} ", "#".repeat(rank))))
        .min();
    &rest[..end.unwrap_or(rest.len())]
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .any(|found| found == word)
}

/// The cells of a table row that begins with this name in code quotes.
fn row<'t>(text: &'t str, name: &str) -> Option<Vec<&'t str>> {
    let line = text.lines().find(|line| line.starts_with(&format!("| `{name}` |")))?;
    Some(line.split('|').map(str::trim).collect())
}

/// The chapters that describe layers: those of one input, and what joins paths.
fn described(chapters: &BTreeMap<String, String>) -> String {
    format!("{}\n{}", chapters["layers.md"], chapters["structure.md"])
}

/// Every layer has a section with a row for each parameter, and an example that uses it; the
/// example of the section, or a later one, uses each parameter.
#[test]
fn every_layer_and_parameter_is_described() {
    let chapters = chapters();
    let text = &described(&chapters);
    for layer in layers() {
        let section = section(text, &format!("### `{}`", layer.name));
        let used: String = examples(&fences("layers.md", section))
            .map(|f| f.text.as_str())
            .collect();
        assert!(has_word(&used, layer.name), "no example uses `{}`", layer.name);
        for param in layer.params {
            let row =
                row(section, param.name).unwrap_or_else(|| panic!("`{}` of `{}` has no row", param.name, layer.name));
            assert_eq!(
                row[3] == "required",
                param.required,
                "`{}` of `{}`",
                param.name,
                layer.name
            );
        }
        let rows = section.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, layer.params.len(), "rows of `{}`", layer.name);
    }
    for param in RESIDUAL.iter().chain(LOOP) {
        assert!(
            row(&chapters["structure.md"], param.name).is_some(),
            "`{}` of residual connections and loops",
            param.name
        );
    }
}

/// A call of each layer with nothing but what is required.
fn minimal(layer: &LayerDef) -> String {
    let value = |name: &str| match name {
        "p" => "0.5",
        "kernel" => "3",
        "heads" if layer.name == "rotary" => "2",
        "index" => "0",
        _ => "16",
    };
    let required = layer.params.iter().filter(|param| param.required);
    let args: Vec<String> = required
        .map(|param| format!("{} = {}", param.name, value(param.name)))
        .collect();
    args.join(", ")
}

/// A default that depends on other things, for the minimal call on 16 channels or features: the
/// window of a pooling is 3, and the fan-in is inputs per group times the kernel's 3x3.
fn spelt_out(default: &str, layer: &str) -> String {
    let fan_in = match layer {
        "conv" | "conv_transpose" => 16.0 * 9.0,
        "depthwise" => 9.0,
        "patch_embedding" => 16.0 * 16.0 * 16.0,
        _ => 16.0,
    };
    match default {
        "kernel" => "3".to_owned(),
        "heads" | "height" => "16".to_owned(),
        "uniform(1 / sqrt(fan_in))" => format!("uniform({})", 1.0 / f64::sqrt(fan_in)),
        other => other.to_owned(),
    }
}

/// Writing a default out changes nothing.
#[test]
fn defaults_are_what_the_book_says() {
    let chapters = chapters();
    let mut checked = 0;
    for layer in layers() {
        let section = section(&described(&chapters), &format!("### `{}`", layer.name)).to_owned();
        let input = match layer.name {
            "linear" => "16",
            "embedding" => "16 of 16",
            "class_token" | "token" | "rotary" | "sinusoidal_positions" | "matmul" | "gather" | "to_signal" => {
                "16 x 16"
            }
            "merge_windows" => "256 x 16",
            _ => "16 x 16 x 16",
        };
        let network = |args: &str| {
            let paths = layer.paths().map_or(0, |[least, _]| least);
            let paths = match paths {
                0 => String::new(),
                _ if layer.name == "gather" => "{ path {} path { token(0) } }".to_owned(),
                paths => format!("{{ {}}}", "path {} ".repeat(paths)),
            };
            let text = format!("net n {{ input {input} layer: {}({args}) {paths} }}", layer.name);
            let source = Source::new(layer.name, text);
            let mut compilation = compiled(&source);
            assert!(
                !compilation.has_errors(),
                "{}",
                render(&source, &compilation.diagnostics, false)
            );
            compilation.networks.remove(0)
        };
        let args = minimal(layer);
        for param in layer.params.iter().filter(|param| !param.required) {
            let default = row(&section, param.name).expect("a row")[3];
            let default = spelt_out(default.trim_matches('`'), layer.name);
            let plain = network(&args);
            let written = network(&match args.as_str() {
                "" => format!("{} = {default}", param.name),
                args => format!("{args}, {} = {default}", param.name),
            });
            // With their tensors: initial values make no other operation.
            let ops = |network: &ksdsl::ir::Network| {
                let layers = network.layers.iter();
                layers
                    .map(|layer| (layer.op.clone(), layer.op.tensors()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(ops(&plain), ops(&written), "`{}` of `{}`", param.name, layer.name);
            checked += 1;
        }
    }
    let optional = |layer: &LayerDef| layer.params.iter().filter(|param| !param.required).count();
    assert_eq!(checked, layers().map(optional).sum::<usize>());
}

/// Rules of the grammar with their doc lines.
fn rules() -> Vec<(String, String)> {
    let grammar = read("grammars/ksn.pest");
    let mut rules = Vec::new();
    let mut docs: Vec<&str> = Vec::new();
    for line in grammar.lines() {
        if let Some(doc) = line.strip_prefix("/// ") {
            docs.push(doc);
        } else if let Some((name, _)) = line.split_once(" = ") {
            if !line.starts_with(' ') {
                rules.push((name.to_owned(), docs.join(" ")));
            }
            docs.clear();
        }
    }
    rules
}

/// The grammar chapter has every rule with its doc lines, and every keyword is used in an example
/// that compiles.
#[test]
fn every_rule_of_the_grammar_is_in_the_book() {
    let chapters = chapters();
    let text = &chapters["grammar.md"];
    let book = book();
    let working: String = examples(&book)
        .filter(|fence| fence.setting("error").is_none())
        .map(|fence| fence.text.as_str())
        .collect();
    let rules = rules();
    assert!(rules.len() > 80, "the grammar was not read");
    for (rule, doc) in &rules {
        if let Some(word) = rule.strip_prefix("k_") {
            assert!(has_word(&working, word), "no example uses `{word}`");
            continue;
        }
        let expected = format!("| `{rule}` | {} |", doc.replace('|', "\\|"));
        assert!(text.contains(&expected), "grammar.md lacks the row\n{expected}");
    }
    let listed = text.lines().filter(|line| line.starts_with("| `")).count();
    let constructs = rules.iter().filter(|(rule, _)| !rule.starts_with("k_")).count();
    assert_eq!(listed, constructs, "rows of grammar.md that are no rules");
    for symbol in [
        "==", "!=", "<=", ">=", " < ", " > ", " + ", " - ", " * ", " / ", " % ", "**", "[*]", "..",
    ] {
        assert!(working.contains(symbol), "no example uses `{symbol}`");
    }
    for (function, _) in FUNCTIONS {
        assert!(row(&chapters["expressions.md"], function).is_some() && working.contains(&format!("{function}(")));
    }
    for kind in kinds() {
        assert!(row(&chapters["sharing.md"], kind).is_some(), "kind `{kind}`");
    }
    let mappings = MAPPINGS.iter().map(|def| def.name);
    let places = PLACES.iter().map(|def| def.name);
    for name in mappings.chain(places).chain(PRIVATE_PARTS.iter().map(|def| def.name)) {
        assert!(row(&chapters["sharing.md"], name).is_some(), "`{name}` has no row");
        assert!(has_word(&working, name), "no example uses `{name}`");
    }
}

/// The value of a constant as it is written: `200_000` or `1 << 20`.
fn constant(text: &str) -> u64 {
    let number = |text: &str| text.trim().replace('_', "").parse::<u64>().expect("a number");
    match text.split_once("<<") {
        Some((base, bits)) => number(base) << number(bits),
        None => number(text),
    }
}

/// The table of limits has every limit with its value, and no other.
#[test]
fn every_limit_is_in_the_book() {
    let text = read("docs/book/src/limits.md");
    let code = read("ksdsl/src/limits.rs");
    let mut limits = 0;
    for line in code.lines().filter_map(|line| line.strip_prefix("pub const ")) {
        let (name, rest) = line.split_once(':').expect("a type");
        let (_, value) = rest.trim_end_matches(';').split_once('=').expect("a value");
        let row = row(&text, name).unwrap_or_else(|| panic!("`{name}` has no row"));
        assert_eq!(constant(&row[2].replace(' ', "")), constant(value), "`{name}`");
        limits += 1;
    }
    assert!(limits > 8, "the limits were not read");
    assert_eq!(text.lines().filter(|line| line.starts_with("| `")).count(), limits);
}

/// The words that cannot be names are listed.
#[test]
fn every_reserved_word_is_in_the_book() {
    let grammar = read("grammars/ksn.pest");
    let (_, rest) = grammar.split_once("reserved = @{").expect("the reserved words");
    let words: Vec<&str> = rest
        .split('}')
        .next()
        .expect("an end")
        .split('"')
        .skip(1)
        .step_by(2)
        .collect();
    assert!(words.len() > 20, "the words were not read");
    let chapters = chapters();
    let names = section(&chapters["files.md"], "## Names");
    for word in words {
        assert!(names.contains(&format!("`{word}`")), "`{word}` is not listed");
    }
}
