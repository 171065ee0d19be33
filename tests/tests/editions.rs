//! What `check` accepts compiles, in every edition of Rust: the book's examples, and every word that means
//! something to Rust as the name of anything. rustc checks the code against the runtime that this test is built
//! with; nothing is linked.

#[path = "../../ksdsl/tests/book/fences.rs"]
mod fences;

use ksdsl::codegen;
use ksdsl::compile::{Options, compile};
use ksdsl::source::Source;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const EDITIONS: [&str; 4] = ["2015", "2018", "2021", "2024"];

/// The keywords of all editions, strict, reserved and weak (The Rust Reference, "Keywords"), but for those that
/// no name can be.
const KEYWORDS: &[&str] = &[
    "as",
    "async",
    "await",
    "break",
    "const",
    "continue",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "fn",
    "for",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "match",
    "mod",
    "move",
    "mut",
    "pub",
    "ref",
    "return",
    "static",
    "struct",
    "trait",
    "true",
    "type",
    "unsafe",
    "use",
    "where",
    "while",
    "abstract",
    "become",
    "box",
    "do",
    "final",
    "gen",
    "macro",
    "override",
    "priv",
    "try",
    "typeof",
    "unsized",
    "virtual",
    "yield",
    "auto",
    "catch",
    "default",
    "macro_rules",
    "raw",
    "safe",
    "union",
];

/// The preludes of all editions (`std::prelude`), macros among them, and the primitive types.
const PRELUDE: &[&str] = &[
    "Option",
    "Some",
    "None",
    "Result",
    "Ok",
    "Err",
    "Box",
    "String",
    "Vec",
    "ToString",
    "ToOwned",
    "Send",
    "Sync",
    "Sized",
    "Copy",
    "Clone",
    "Debug",
    "Default",
    "Drop",
    "Fn",
    "FnMut",
    "FnOnce",
    "AsRef",
    "AsMut",
    "Into",
    "From",
    "Iterator",
    "IntoIterator",
    "Extend",
    "DoubleEndedIterator",
    "ExactSizeIterator",
    "PartialEq",
    "Eq",
    "PartialOrd",
    "Ord",
    "Hash",
    "TryFrom",
    "TryInto",
    "FromIterator",
    "Future",
    "IntoFuture",
    "drop",
    "size_of",
    "align_of",
    "bool",
    "char",
    "str",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "usize",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "isize",
    "f16",
    "f32",
    "f64",
    "f128",
    "never",
    "panic",
    "assert",
    "vec",
    "format",
    "println",
    "cfg",
    "include",
    "concat",
    "env",
    "line",
    "derive",
    "test",
    "global_allocator",
    "std",
    "core",
    "alloc",
    "proc_macro",
];

/// What generated code itself names or contains.
const OWN: &[&str] = &[
    "rt",
    "ksdsl_runtime",
    "Model",
    "Builder",
    "Shared",
    "Visits",
    "Input",
    "Output",
    "PARAMETERS",
    "UNSHARED_PARAMETERS",
    "MULTIPLY_ADDS",
    "E",
    "D",
    "B",
    "T",
    "S",
    "V",
    "E2",
    "D2",
    "To",
    "x",
    "pass",
    "visitor",
    "f0",
    "f1",
    "forward",
    "run",
    "bind",
    "visit",
    "iter_tensors",
    "clone",
    "weight",
    "bias",
    "gate",
    "skip",
    "main",
    "context",
    "block_0",
    "blocks",
];

/// Names that a specification cannot have: words of the language, and those that `check` refuses.
const REFUSED: &[&str] = &["as", "else", "false", "in", "let", "true", "concat", "x"];

fn names() -> impl Iterator<Item = &'static str> {
    [KEYWORDS, PRELUDE, OWN].into_iter().flatten().copied()
}

/// The code of a text; `None` if it is refused.
fn code(text: &str) -> Option<String> {
    let compilation = compile(&Source::new("names.ksn", text), &Options::default());
    (!compilation.has_errors()).then(|| {
        let modules = compilation.networks.iter().map(codegen::network);
        modules.map(codegen::format).collect()
    })
}

/// Whether no specification can have this name, or a block cannot because it is a layer's.
fn is_refused(name: &str) -> bool {
    let stage = format!("net a {{ input 4; stage {name} {{ linear(2) }} }}");
    let block = format!("block {name} {{ relu }} net a {{ input 4; {name}; linear(2) }}");
    [stage, block].iter().any(|text| code(text).is_none())
}

/// A block of this name, with it in every place of a block.
fn block(name: &str) -> String {
    format!("block {name}({name}) {{ {name}: conv({name}, kernel = 1); relu }}\n")
}

/// A stage of this name, with it in every place of a stage.
fn stage(name: &str) -> String {
    format!(
        "stage {name} {{
            {name}: seq {{ {name}: conv(4, kernel = 1, bias = true) }}
            a: conv(4, kernel = 1, bias = true)
            r: repeat 4 {{ {name}: batch_norm }}
            {name}(4)
        }}\n"
    )
}

/// A clause that gives the name to one kernel, to one norm or to several.
fn clause(name: &str, number: usize) -> String {
    match number % 3 {
        0 => format!("share {name}.{name}.{name}, {name}.a as {name}\n"),
        1 => format!("share {name}.r[*].{name} as {name}\n"),
        _ => format!("share {name}.r[*].{name} into cycle(2) as {name}\n"),
    }
}

#[test]
fn the_words_of_rust_are_names_in_every_edition() {
    let (refused, allowed): (Vec<&str>, Vec<&str>) = names().partition(|name| is_refused(name));
    assert_eq!(refused, REFUSED);
    let blocks: String = allowed.iter().map(|name| block(name)).collect();
    let stages: String = allowed.iter().map(|name| stage(name)).collect();
    let clauses = allowed.iter().enumerate().map(|(number, name)| clause(name, number));
    let text = format!(
        "{blocks}net a {{\ninput 4 x 4 x 4\n{stages}{}}}",
        clauses.collect::<String>()
    );
    check(&code(&text).expect("no errors"));
}

/// Networks side by side in the root of a crate, whatever they are called.
#[test]
fn networks_may_be_called_as_anything_of_rust() {
    // In edition 2015 the root has crates of these names itself.
    let crates = ["std", "ksdsl_runtime"];
    let nets = names().filter(|name| !REFUSED.contains(name) && !crates.contains(name));
    let text: String = nets
        .map(|name| format!("net {name} {{ input 4; a: linear(2) }}\n"))
        .collect();
    let code = code(&text).expect("no errors");
    check(&code);
}

#[test]
fn every_example_of_the_book_compiles_in_every_edition() {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/book/src");
    let mut chapters: Vec<PathBuf> = fs::read_dir(book)
        .expect("the book")
        .map(|entry| entry.expect("a chapter").path())
        .collect();
    chapters.sort();
    let mut text = String::new();
    let mut examples = 0;
    for chapter in chapters
        .iter()
        .filter(|path| path.extension().is_some_and(|it| it == "md"))
    {
        let name = chapter.file_stem().expect("a name").to_string_lossy();
        for fence in fences::fences(&name, &fs::read_to_string(chapter).expect("a chapter")) {
            if fence.info.first().is_none_or(|info| info != "ksn") || fence.setting("error").is_some() {
                continue;
            }
            let source = fence.source();
            let code = code(source.own_text()).unwrap_or_else(|| panic!("{} has errors", fence.place));
            examples += 1;
            writeln!(text, "// {}\npub mod m{examples} {{\n{code}\n}}", fence.place).expect("a string");
        }
    }
    assert!(examples > 50, "only {examples} examples were found");
    check(&text);
}

/// Layers that take maps and vectors alike, and those around them.
#[test]
fn layers_on_vectors_compile() {
    let text = "net a { input 8; linear(4); flatten; linear(2) }
        net b { input 8; f: flatten; residual { flatten; linear(8); relu; flatten } flatten }
        net c { input 8; concat { path { flatten } path { linear(4); identity } } batch_norm; layer_norm; dropout(0.5) }
        net d { input 4 x 2 x 2; flatten; flatten; multiply { path { linear(3); sigmoid } path { linear(3); gelu } } }";
    check(&code(text).expect("no errors"));
}

/// `ks = { package = "ksdsl-runtime" }`, with `crate = ks`, for both macros and for build scripts.
#[test]
fn the_runtime_may_have_another_name() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("small.ksn"), "net in_file { input 4; linear(2) }").expect("a file");
    let net = "net inline_one { input 4; gen: linear(2) }";
    let broken = "#[cfg(any())] ks::ksnet! { net not_compiled { } }";
    let text = format!(
        "ks::ksnet! {{ crate = ks; {net} }}\nks::include_ksn!(\"small.ksn\", crate = ::ks);\n{broken}\n
        pub mod inner {{ pub use ks as renamed; ks::ksnet! {{ crate = crate::inner::renamed; {net} }} }}
        ks::include_generated!(\"small\");"
    );
    // The script's networks have the same name as the file's.
    let config = ksdsl::build::Config::new().root(folder.path()).out_dir(folder.path());
    fs::write(folder.path().join("small.ksn"), "net in_file { input 4; linear(2) }").expect("a file");
    config
        .file("small.ksn")
        .runtime_path("ks")
        .compile_to(&mut Vec::new())
        .expect("no errors");
    let text = text.replace(
        "ks::include_generated!(\"small\");",
        "pub mod built { ks::include_generated!(\"small\"); }",
    );
    for edition in ["2018", "2021", "2024"] {
        rustc("rustc", edition, "ks", &text, &folder, &["-D", "warnings"]);
    }
}

/// No lint of clippy's fires in a user's crate, whatever the user asks for.
#[test]
fn clippy_is_silent() {
    let sysroot = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .expect("rustc");
    let sysroot = String::from_utf8(sysroot.stdout).expect("a path");
    let clippy = Path::new(sysroot.trim()).join("bin/clippy-driver");
    assert!(clippy.exists(), "clippy belongs to the toolchain: {}", clippy.display());
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/nets/se_resnet.ksn");
    let text = fs::read_to_string(example).expect("an example");
    let code = code(&text).expect("no errors");
    let code = format!("//! A user's crate.\n{code}");
    let lints = ["all", "pedantic", "nursery"];
    let mut args = vec!["-D".to_owned(), "warnings".to_owned()];
    args.extend(
        lints
            .iter()
            .flat_map(|lint| ["-D".to_owned(), format!("clippy::{lint}")]),
    );
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let folder = TempDir::new().expect("a folder");
    let clippy = clippy.to_string_lossy();
    rustc(&clippy, "2024", "ksdsl_runtime", &code, &folder, &args);
}

/// Checks a crate in all editions.
fn check(text: &str) {
    let folder = TempDir::new().expect("a folder");
    for edition in EDITIONS {
        // Other paths begin at the crate's root there.
        let text = match edition {
            "2015" => &format!("extern crate ksdsl_runtime;\n{text}"),
            _ => text,
        };
        rustc("rustc", edition, "ksdsl_runtime", text, &folder, &[]);
    }
}

/// Checks a library with the runtime under a name.
fn rustc(program: &str, edition: &str, runtime: &str, text: &str, folder: &TempDir, args: &[&str]) {
    let file = folder.path().join("lib.rs");
    fs::write(&file, text).expect("a file");
    let (deps, library) = runtime_library();
    let outcome = Command::new(program)
        .args(["--crate-type", "lib", "--crate-name", "checked", "--emit", "metadata"])
        .args(["--edition", edition])
        .arg("--out-dir")
        .arg(folder.path())
        .arg("-L")
        .arg(format!("dependency={}", deps.display()))
        .arg("--extern")
        .arg(format!("{runtime}={}", library.display()))
        .args(args)
        .arg(&file)
        .env("OUT_DIR", folder.path())
        .env("CARGO_MANIFEST_DIR", folder.path())
        .output()
        .expect("rustc runs");
    let said = String::from_utf8_lossy(&outcome.stderr);
    let said: Vec<&str> = said.lines().take(60).collect();
    assert!(outcome.status.success(), "edition {edition}:\n{}", said.join("\n"));
}

/// The folder of the libraries that this test is built with, and the runtime among them: the newest, as cargo
/// has just built it.
fn runtime_library() -> (PathBuf, PathBuf) {
    let test = std::env::current_exe().expect("the test's own path");
    let deps = test.parent().expect("a folder").to_owned();
    let is_runtime = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libksdsl_runtime-") && name.ends_with(".rlib")
    };
    let libraries = fs::read_dir(&deps)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path());
    let age = |path: &PathBuf| fs::metadata(path).and_then(|data| data.modified()).expect("a time");
    let newest = libraries
        .filter(is_runtime)
        .max_by_key(age)
        .expect("the runtime was built");
    (deps, newest)
}
