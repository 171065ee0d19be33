//! The command `ksn`, run as a person runs it.

mod c;
mod convert;
mod counts;
mod diagram;
mod diff;
mod explain;
mod fine_tune;
mod fmt;
mod generate;
mod install;
mod lsp;
mod new;
mod onnx;
mod page;
mod puzzles;
mod settings;
mod study;
mod text;
mod train;

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// Three layers of which the last two share a kernel.
const SMALL: &str = "\
/// A small network.
net small(width = 4, shared = true) {
    input 3 x 8 x 8
    stage body {
        repeat 3 { conv(width, kernel = 3, pad = 1) }
        relu
    }
    share isomorphic conv in body as body when shared
}
";

const SEVERAL: &str = "\
net family(depth) { input 4; repeat depth { linear(4) } }
net two = family(depth = 2)
net three = family(depth = 3)
";

/// Adds two shapes that differ, and names a layer that does not exist.
const BROKEN: &str = "\
net broken {
    input 3 x 8 x 8
    residual { conv(8, kernel = 3, pad = 1) }
    covn(8)
}
";

/// A folder with specifications in it, in which `ksn` runs.
struct Folder(TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Folder(folder)
    }

    fn ksn(&self, args: &[&str]) -> Run {
        run(self.0.path(), args)
    }
}

/// What came of a run.
struct Run {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(folder: &Path, args: &[&str]) -> Run {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_ksn"))
        .args(args)
        .current_dir(folder)
        .env_remove("NO_COLOR")
        .output()
        .unwrap();
    Run {
        status: status.code(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

impl Run {
    fn json(&self) -> Value {
        assert_eq!(self.status, Some(0), "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap()
    }
}

#[test]
fn check_says_what_it_looked_at() {
    let folder = Folder::with(&[("small.ksn", SMALL), ("several.ksn", SEVERAL)]);
    let run = folder.ksn(&["check", "small.ksn", "several.ksn"]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        run.stdout,
        "ok: small.ksn: 1 network, 4 layers\nok: several.ksn: 2 networks, 5 layers; not expanded, since parameters have no values: family\n"
    );
}

#[test]
fn settings_reach_the_network() {
    let folder = Folder::with(&[("several.ksn", SEVERAL)]);
    let run = folder.ksn(&["check", "several.ksn", "--net", "family", "--set", "depth=7"]);
    assert_eq!(run.stdout, "ok: several.ksn: 1 network, 7 layers\n");
    let run = folder.ksn(&["check", "several.ksn", "--net", "two", "--set", "depth=7"]);
    assert_eq!(run.stdout, "ok: several.ksn: 1 network, 7 layers\n");
}

#[test]
fn errors_are_rendered_and_counted_and_all_files_are_checked() {
    let folder = Folder::with(&[("broken.ksn", BROKEN), ("small.ksn", SMALL)]);
    let run = folder.ksn(&["check", "broken.ksn", "small.ksn"]);
    assert_eq!(run.status, Some(1));
    assert_eq!(run.stdout, "ok: small.ksn: 1 network, 4 layers\n");
    insta::assert_snapshot!("broken", run.stderr);
}

#[test]
fn errors_have_colours_where_they_are_wanted() {
    let folder = Folder::with(&[("broken.ksn", BROKEN)]);
    let colours = |choice| {
        folder
            .ksn(&["check", "broken.ksn", "--color", choice])
            .stderr
            .contains('\x1b')
    };
    assert_eq!(
        [colours("always"), colours("never"), colours("auto")],
        [true, false, false]
    );
}

#[test]
fn warnings_do_not_change_the_exit_status() {
    let text = "net warned { input 4; linear(4); share linear }";
    let folder = Folder::with(&[("warned.ksn", text)]);
    let run = folder.ksn(&["check", "warned.ksn"]);
    assert_eq!(run.status, Some(0));
    assert_eq!(run.stdout, "ok: warned.ksn: 1 network, 1 layer, 1 warning\n");
    assert!(run.stderr.starts_with("warning[KS0053]: "), "{}", run.stderr);
}

#[test]
fn the_worst_file_decides_the_exit_status() {
    let folder = Folder::with(&[("broken.ksn", BROKEN), ("small.ksn", SMALL)]);
    assert_eq!(
        folder.ksn(&["check", "missing.ksn", "broken.ksn", "small.ksn"]).status,
        Some(2)
    );
}

#[test]
fn wrong_usage_is_told_from_errors_in_a_specification() {
    let folder = Folder::with(&[("small.ksn", SMALL), ("several.ksn", SEVERAL), ("empty.ksn", "")]);
    let cases: &[(&[&str], &str)] = &[
        (&["check", "missing.ksn"], "error: cannot read missing.ksn: "),
        (&["check", "."], "error: cannot read .: "),
        (
            &["check"],
            "error: the following required arguments were not provided:\n  <FILE>...",
        ),
        (&["chek", "small.ksn"], "error: unrecognized subcommand 'chek'"),
        (
            &["summary", "small.ksn", "--set", "width"],
            "error: invalid value 'width' for '--set <NAME=VALUE>': expected name=value, such as depth=6\n",
        ),
        (
            &["summary", "small.ksn", "--set", "width=[4"],
            "error: invalid value 'width=[4' for '--set <NAME=VALUE>': `[4` is not a value: a number, `true` or `false`, a word, or a list such as `[64, 128]`\n",
        ),
        (
            &["check", "small.ksn", "--set", "widht=8"],
            "error: network `small` has no parameter `widht`; did you mean `width`?\n",
        ),
        (
            &["expand", "small.ksn", "--set", "depth=8"],
            "error: network `small` has no parameter `depth`; its parameters are width, shared\n",
        ),
        (
            &["summary", "several.ksn", "--net", "tow"],
            "error: several.ksn has no network `tow`; did you mean `two`?\n",
        ),
        (
            &["summary", "several.ksn"],
            "error: several.ksn defines multiple networks: family, two, three\n",
        ),
        (
            &["summary", "several.ksn", "--net", "family"],
            "error: network `family` needs a value for depth\n",
        ),
        (&["summary", "empty.ksn"], "error: empty.ksn defines no networks\n"),
        (
            &["summary", "small.ksn", "--batch", "0"],
            "error: invalid value '0' for '--batch <IMAGES>'",
        ),
    ];
    for (args, message) in cases {
        let run = folder.ksn(args);
        assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(run.stderr.starts_with(message), "{args:?} says {}", run.stderr);
    }
}

#[test]
fn wrong_usage_comes_with_what_to_type() {
    let folder = Folder::with(&[("several.ksn", SEVERAL)]);
    let run = folder.ksn(&["summary", "several.ksn"]);
    assert!(
        run.stderr.contains("help: choose one, such as `--net family`"),
        "{}",
        run.stderr
    );
    let run = folder.ksn(&["summary", "several.ksn", "--net", "family"]);
    assert!(
        run.stderr.contains("help: set them with `--set depth=...`"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_network_that_alone_has_all_values_need_not_be_named() {
    let text = "net family(depth) { input 4; repeat depth { linear(4) } }\nnet two = family(depth = 2)";
    let json = Folder::with(&[("one.ksn", text)])
        .ksn(&["summary", "one.ksn", "--json"])
        .json();
    assert_eq!(json["name"], "two");
}

#[test]
fn files_that_are_no_source_end_in_a_clear_error() {
    let folder = Folder::with(&[]);
    // A terabyte of nothing: whoever reads it whole does not come back.
    let large = std::fs::File::create(folder.0.path().join("large.ksn")).unwrap();
    large.set_len(1 << 40).unwrap();
    let run = folder.ksn(&["check", "large.ksn"]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(1), ""));
    assert!(
        run.stderr
            .starts_with("error[KS0002]: the source has 1099511627776 bytes; at most 1048576 can be compiled\n"),
        "{}",
        run.stderr
    );

    std::fs::write(folder.0.path().join("binary.ksn"), b"net a {\n  \xff }").unwrap();
    let run = folder.ksn(&["check", "binary.ksn"]);
    let expected = "error: binary.ksn is not valid UTF-8: line 2, column 3\n";
    assert_eq!((run.status, run.stderr.as_str()), (Some(2), expected));
}

/// What has no end, or nobody writes to, is refused by name and does not keep the command waiting.
#[cfg(unix)]
#[test]
fn pipes_and_devices_are_no_source() {
    let folder = Folder::with(&[]);
    let path = |name: &str| folder.0.path().join(name);
    std::os::unix::fs::symlink("/dev/zero", path("endless.ksn")).unwrap();
    assert!(Command::new("mkfifo").arg(path("pipe.ksn")).status().unwrap().success());
    std::fs::create_dir(path("folder.ksn")).unwrap();
    for (name, what) in [
        ("endless.ksn", "it is a device; expected a file"),
        ("pipe.ksn", "it is a named pipe; expected a file"),
        ("folder.ksn", "it is a directory; expected a file"),
    ] {
        let run = folder.ksn(&["check", name]);
        let expected = format!("error: cannot read {name}: {what}\n");
        assert_eq!((run.status, run.stderr), (Some(2), expected));
    }
}

/// As in `ksn check <(command)`: the shell's pipe is open already.
#[cfg(target_os = "linux")]
#[test]
fn what_a_command_writes_is_a_source() {
    let folder = Folder::with(&[("small.ksn", SMALL)]);
    let source = std::fs::File::open(folder.0.path().join("small.ksn")).unwrap();
    let mut cat = Command::new("cat")
        .stdin(source)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let check = Command::new(env!("CARGO_BIN_EXE_ksn"))
        .args(["check", "/dev/stdin"])
        .stdin(cat.stdout.take().unwrap())
        .output();
    let check = check.unwrap();
    assert!(cat.wait().unwrap().success());
    assert_eq!(
        String::from_utf8_lossy(&check.stdout),
        "ok: /dev/stdin: 1 network, 4 layers\n"
    );
}

#[test]
fn a_byte_order_mark_does_no_harm() {
    let folder = Folder::with(&[("marked.ksn", &format!("\u{feff}{SMALL}"))]);
    assert_eq!(
        folder.ksn(&["check", "marked.ksn"]).stdout,
        "ok: marked.ksn: 1 network, 4 layers\n"
    );
}

/// What a convolution, a norm and a gate compute in inference besides themselves: the norm's running statistics, an
/// activation next to the convolution, one behind the norm, and what is added behind it with its ReLU. A pool and what two
/// layers read are passes of their own.
#[test]
fn fused_layers_are_marked() {
    let net = "net n { input 3 x 8 x 8
        conv(4, kernel = 3); batch_norm; a: relu
        conv(4, kernel = 3); b: gelu; batch_norm; c: sigmoid
        max_pool(2); d: relu
        residual { conv(4, kernel = 3, pad = 1); batch_norm }
        e: relu
        global_avg_pool; linear(5); f: relu }";
    let folder = Folder::with(&[("n.ksn", net)]);
    let json = folder.ksn(&["summary", "n.ksn", "--json"]).json();
    let fused: Vec<&str> = json["layers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|layer| layer["fused"] == true)
        .map(|layer| layer["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        fused,
        ["batch_norm", "a", "b", "batch_norm_2", "c", "batch_norm_3", "e", "f"]
    );
}

#[test]
fn json_has_the_fields_that_tools_rely_on() {
    let folder = Folder::with(&[("small.ksn", SMALL)]);
    let json = folder.ksn(&["summary", "small.ksn", "--json", "--batch", "2"]).json();
    assert_eq!(json["name"], "small");
    // A kernel for 3 channels, and one for 4 channels that is used twice.
    assert_eq!(json["parameters"]["trainable"], 4 * 3 * 9 + 4 * 4 * 9);
    assert_eq!(json["parameters"]["unshared"], 4 * 3 * 9 + 2 * 4 * 4 * 9);
    assert_eq!(json["macs"], (4 * 3 * 9 + 2 * 4 * 4 * 9) * 8 * 8);
    assert_eq!(
        json["groups"],
        serde_json::json!([{
            "name": "body",
            "parts": ["kernel"],
            "shape": [4, 4, 3, 3],
            "parameters": 4 * 4 * 9,
            "visits": ["body[1].conv", "body[2].conv"],
        }])
    );
    assert_eq!(json["memory"]["batch"], 2);
    // The second convolution, for 2 images: input and output are maps of 4x8x8 values, the shared
    // kernel is held as it is and as a matrix of 36 rows, padded to 16 columns and with room to
    // align it; a task computes 2 of 16 rows, for which it copies 4 rows of 10 pixels, padding
    // among them. What follows has a factor and an offset for each of 64 columns of vectors.
    let values = 2 * (2 * 4 * 8 * 8) + 4 * 4 * 9 + (36 * 16 + 16) + 4 * 10 * 4 + 2 * 64;
    assert_eq!(json["memory"]["inference_bytes"], values * 4);
    assert_eq!(json["memory"]["threads"], 1);
    // A second thread copies as much.
    let two = folder.ksn(&["summary", "small.ksn", "--json", "--batch", "2", "--threads", "2"]);
    assert_eq!(two.json()["memory"]["inference_bytes"], (values + 4 * 10 * 4) * 4);
    // A prepared model keeps the first kernel as well, in both forms.
    let kept = 112 + (27 * 16 + 16);
    assert_eq!(json["memory"]["prepared_bytes"], (values + kept) * 4);
    assert_eq!(json["layers"][0]["algorithm"], "direct");
    let paths: Vec<&str> = json["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| layer["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["body[0].conv", "body[1].conv", "body[2].conv", "body.relu"]);
}

#[test]
fn the_table_folds_repeated_layers() {
    let folder = Folder::with(&[("small.ksn", SMALL)]);
    let run = folder.ksn(&["summary", "small.ksn"]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!("table", run.stdout);
    insta::assert_snapshot!("table_all", folder.ksn(&["summary", "small.ksn", "--all"]).stdout);
    let unshared = folder.ksn(&["summary", "small.ksn", "--set", "shared=false"]).stdout;
    insta::assert_snapshot!("table_unshared", unshared);
    insta::assert_snapshot!(
        "table_wide",
        folder.ksn(&["summary", "small.ksn", "--width", "120"]).stdout
    );
    insta::assert_snapshot!(
        "table_markdown",
        folder.ksn(&["summary", "small.ksn", "--markdown"]).stdout
    );
}

/// 6 tokens: 6 * 8 * 16 multiply-adds; an embedding has none.
#[test]
fn counts_are_per_item_of_the_input() {
    let net = |input: &str| format!("net small {{ input {input}linear(16, bias = false) }}");
    let folder = Folder::with(&[
        ("ids.ksn", &net("6 of 7; embedding(8); ")),
        ("tokens.ksn", &net("6 x 8; ")),
        ("vector.ksn", &net("8; ")),
    ]);
    for (file, macs, item) in [
        ("ids.ksn", "768", "sequence"),
        ("tokens.ksn", "768", "sequence"),
        ("vector.ksn", "128", "input"),
    ] {
        let text = folder.ksn(&["summary", file]).stdout;
        assert!(text.contains(&format!("multiply-adds  {macs} per {item}\n")), "{text}");
        assert!(text.contains(&format!("peak per {item}: inference")), "{text}");
        let text = folder.ksn(&["summary", file, "--batch", "4"]).stdout;
        assert!(text.contains(&format!("peak for 4 {item}s: inference")), "{text}");
    }
}

/// Stages and blocks above their layers, labels, long names and many visits.
const LONG: &str = "\
net a_network_with_a_long_name(width = 64, depth = 4, a_switch = true, another_switch = false) {
    input 3 x 32 x 32
    block unit {
        residual {
            first: conv(width, kernel = 3, pad = 1); batch_norm; relu
            squeeze_excite(reduction = 4)
            a_rather_long_label_of_a_layer: conv(width, kernel = 3, pad = 1); batch_norm
        }
    }
    stem: conv(width, kernel = 3, pad = 1)
    stage stage_of_blocks { repeat depth { unit } }
    global_avg_pool; linear(10)
    share stage_of_blocks[*].first into cycle(2)
    share stage_of_blocks[*].a_rather_long_label_of_a_layer as a_rather_long_name_of_a_kernel
}
";

#[test]
fn the_table_fits_80_characters_and_follows_the_network() {
    let folder = Folder::with(&[("long.ksn", LONG)]);
    let run = folder.ksn(&["summary", "long.ksn"]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    // Of names that are wider than their column, those of stages and blocks go on into the next columns.
    assert!(
        run.stdout.contains("\nstage_of_blocks[0]\n  first: conv  "),
        "{}",
        run.stdout
    );
    for args in [&["--width", "80"][..], &["--all"], &["--width", "70"]] {
        let text = folder.ksn(&[&["summary", "long.ksn"], args].concat()).stdout;
        let limit = if args.contains(&"70") { 70 } else { 80 };
        assert!(
            text.lines().all(|line| line.chars().count() <= limit),
            "{args:?}\n{text}"
        );
    }
    // The labels of the language's text, in its order.
    let labels = [
        "stem:",
        "stage_of_blocks[0",
        "first:",
        "squeeze_excite",
        "reduce:",
        "expand:",
        "a_rather_long",
    ];
    let places: Vec<usize> = labels.iter().map(|label| run.stdout.find(label).unwrap()).collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn expand_prints_the_chosen_networks() {
    let folder = Folder::with(&[("several.ksn", SEVERAL)]);
    let all = folder.ksn(&["expand", "several.ksn"]);
    assert_eq!((all.status, all.stderr.as_str()), (Some(0), ""));
    // The modules by name, each with the number of its blocks.
    let modules = |text: &str| -> Vec<(String, String)> {
        let items = syn::parse_file(text).expect("Rust").items;
        let module = |item: &syn::Item| match item {
            syn::Item::Mod(module) => (
                module.ident.to_string(),
                quote::quote!(#module).to_string().replace(' ', ""),
            ),
            _ => panic!("not only modules"),
        };
        let blocks = |(name, text): (String, String)| {
            let (_, after) = text.split_once("Repeat<Block<E,D>,").expect("blocks in a row");
            (name, after.chars().take_while(char::is_ascii_digit).collect())
        };
        items.iter().map(module).map(blocks).collect()
    };
    let named = |name: &str, blocks: &str| (name.to_owned(), blocks.to_owned());
    assert_eq!(modules(&all.stdout), [named("two", "2"), named("three", "3")]);
    let one = folder.ksn(&["expand", "several.ksn", "--net", "two"]);
    assert_eq!(modules(&one.stdout), [named("two", "2")]);
}

#[test]
fn expand_of_a_broken_network_prints_no_code() {
    let run = Folder::with(&[("broken.ksn", BROKEN)]).ksn(&["expand", "broken.ksn"]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(1), ""));
}

/// Elsewhere: <https://github.com/Backblaze/B2_Command_Line_Tool/issues/1071>
#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let folder = Folder::with(&[("deep.ksn", "net deep { input 4; repeat 5000 { linear(4); relu } }")]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_ksn"))
        .args(["summary", "deep.ksn", "--all"])
        .current_dir(folder.0.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
