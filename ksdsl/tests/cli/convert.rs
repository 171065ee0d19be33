//! `ksn fuse`, `ksn unroll` and `ksn export`.

use crate::Folder;
use ksdsl_checkpoint::{File, Kind, Tensor, to_bytes};
use std::borrow::Cow;

/// Three layers, of which the first and the last share by a list.
const NET: &str = "\
net listed(scaled = false) {
    input 2
    stage s { repeat 3 { linear(2, bias = false); relu } }
    share s[*].linear into [0, _, 0] as ends when not scaled
    share s[*].linear with private scale, low_rank(1) as scaled when scaled
}
";

/// Values that `f32` holds exactly, as all of their means.
const LAYERS: [[f32; 4]; 3] = [[1.0, 2.0, 3.0, 4.0], [9.0, 9.0, 9.0, 9.0], [3.0, 4.0, 5.0, 8.0]];

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A folder with the network and a checkpoint in which each layer has a kernel of its own.
fn folder(layers: usize) -> Folder {
    let folder = Folder::with(&[("net.ksn", NET)]);
    let tensors: Vec<Tensor<'_>> = LAYERS[..layers]
        .iter()
        .enumerate()
        .map(|(layer, values)| Tensor {
            key: format!("s.{layer}.linear.weight"),
            kind: Kind::F32,
            shape: vec![2, 2],
            data: Cow::Owned(bytes(values)),
        })
        .collect();
    std::fs::write(folder.0.path().join("own.safetensors"), to_bytes(&tensors, &[])).unwrap();
    folder
}

fn values(folder: &Folder, file: &str, key: &str) -> Option<Vec<u8>> {
    let file = File::read(&folder.0.path().join(file)).unwrap();
    file.get(key).map(|view| view.data.to_vec())
}

fn convert(folder: &Folder, command: &str, from: &str, to: &str, more: &[&str]) {
    let args = [&[command, "net.ksn", from, "-o", to], more].concat();
    let run = folder.ksn(&args);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{args:?}");
}

#[test]
fn fuse_and_unroll_are_opposites() {
    let folder = folder(3);
    convert(&folder, "fuse", "own.safetensors", "shared.safetensors", &[]);
    // The mean of the first and the last layer; the second is private.
    let mean = bytes(&[2.0, 3.0, 4.0, 6.0]);
    assert_eq!(
        values(&folder, "shared.safetensors", "shared.ends.weight"),
        Some(mean.clone())
    );
    assert_eq!(
        values(&folder, "shared.safetensors", "s.1.linear.weight"),
        Some(bytes(&LAYERS[1]))
    );
    assert_eq!(values(&folder, "shared.safetensors", "s.0.linear.weight"), None);

    convert(&folder, "unroll", "shared.safetensors", "unrolled.safetensors", &[]);
    for (layer, expected) in [mean.clone(), bytes(&LAYERS[1]), mean].into_iter().enumerate() {
        let key = format!("s.{layer}.linear.weight");
        assert_eq!(values(&folder, "unrolled.safetensors", &key), Some(expected), "{key}");
    }

    convert(&folder, "fuse", "unrolled.safetensors", "again.safetensors", &[]);
    let read = |name: &str| std::fs::read(folder.0.path().join(name)).unwrap();
    assert_eq!(read("again.safetensors"), read("shared.safetensors"));

    convert(
        &folder,
        "fuse",
        "own.safetensors",
        "first.safetensors",
        &["--method", "first"],
    );
    assert_eq!(
        values(&folder, "first.safetensors", "shared.ends.weight"),
        Some(bytes(&LAYERS[0]))
    );
}

/// The mean of the three layers, and updates of rank 2, which all differences of kernels of two rows have.
#[test]
fn what_the_mean_lacks_goes_into_low_rank_updates() {
    let text = NET.replace("with private scale, low_rank(1)", "with private low_rank(2)");
    let folder = folder(3);
    std::fs::write(folder.0.path().join("net.ksn"), text).unwrap();
    let svd = ["--set", "scaled=true", "--method", "svd"];
    convert(&folder, "fuse", "own.safetensors", "shared.safetensors", &svd);
    let numbers = |file, key: &str| -> Vec<f32> {
        let bytes = values(&folder, file, key).unwrap();
        bytes
            .as_chunks()
            .0
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect()
    };
    let near = |found: &[f32], expected: &[f32]| {
        let pairs = found.iter().zip(expected);
        assert!(
            pairs.clone().all(|(a, b)| (a - b).abs() < 1e-5),
            "{found:?}, not {expected:?}"
        );
    };
    near(
        &numbers("shared.safetensors", "shared.scaled.weight"),
        &[13.0 / 3.0, 15.0 / 3.0, 17.0 / 3.0, 21.0 / 3.0],
    );
    convert(
        &folder,
        "unroll",
        "shared.safetensors",
        "unrolled.safetensors",
        &svd[..2],
    );
    for (layer, expected) in LAYERS.iter().enumerate() {
        near(
            &numbers("unrolled.safetensors", &format!("s.{layer}.linear.weight")),
            expected,
        );
    }
    let refused = folder.ksn(&[
        "fuse",
        "net.ksn",
        "own.safetensors",
        "-o",
        "new.safetensors",
        "--method",
        "svd",
    ]);
    assert_eq!(refused.status, Some(1));
    assert!(
        refused.stderr.contains("`shared.ends.weight`") && refused.stderr.contains("`with private low_rank(4)`"),
        "{}",
        refused.stderr
    );
}

#[test]
fn what_does_not_fit_is_named_and_nothing_is_written() {
    let folder = folder(2);
    let run = folder.ksn(&["fuse", "net.ksn", "own.safetensors", "-o", "shared.safetensors"]);
    assert_eq!(run.status, Some(1));
    assert!(run.stderr.contains("s.2.linear.weight"), "{}", run.stderr);
    assert!(!folder.0.path().join("shared.safetensors").exists());

    let run = folder.ksn(&["fuse", "net.ksn", "net.ksn", "-o", "shared.safetensors"]);
    assert_eq!(run.status, Some(1), "{}", run.stderr);
}

/// Checkpoints of the other kind, weights that are none, and a folder that is not there.
#[test]
fn messages_say_what_to_do() {
    let folder = folder(3);
    let path = |name: &str| folder.0.path().join(name);
    let fails = |args: &[&str], status: i32, message: &str| {
        let run = folder.ksn(args);
        assert_eq!((run.status, run.stdout.as_str()), (Some(status), ""), "{args:?}");
        assert!(run.stderr.contains(message), "{args:?}\n{}", run.stderr);
    };
    convert(&folder, "fuse", "own.safetensors", "shared.safetensors", &[]);
    let fuse = |from, more: &[&'static str]| [&["fuse", "net.ksn", from, "-o", "new.safetensors"], more].concat();
    fails(&fuse("shared.safetensors", &[]), 1, "use `ksn unroll` to unroll it");
    fails(
        &["unroll", "net.ksn", "own.safetensors", "-o", "new.safetensors"],
        1,
        "use `ksn fuse` to fuse it",
    );
    let weight = Tensor {
        key: "s.1.linear".to_owned(),
        kind: Kind::F32,
        shape: vec![1],
        data: Cow::Owned(bytes(&[1.0])),
    };
    std::fs::write(path("weights"), to_bytes(&[weight], &[])).unwrap();
    fails(
        &fuse("own.safetensors", &["--method", "scalar", "--weights", "weights"]),
        1,
        "error: the weights do not match the network:\n       - invalid weights for `s.1.linear`: no layer of this name shares a kernel",
    );
    assert!(!path("new.safetensors").exists());
    let run = folder.ksn(&["fuse", "net.ksn", "own.safetensors", "-o", "none/new.safetensors"]);
    assert_eq!(run.status, Some(2));
    // Not the name of the file beside it that was to be written first.
    let stderr = run.stderr.trim_end();
    assert!(
        stderr.starts_with("error: cannot write none/new.safetensors: ") && !stderr.contains("tmp"),
        "{stderr}"
    );
}

/// A file that is none, one that is truncated, and one whose numbers are no parameters.
#[test]
fn checkpoints_that_are_damaged_are_named() {
    let folder = folder(3);
    let path = |name: &str| folder.0.path().join(name);
    let whole = std::fs::read(path("own.safetensors")).unwrap();
    let fails = |bytes: &[u8], message: &str| {
        std::fs::write(path("bad.safetensors"), bytes).unwrap();
        for command in ["fuse", "unroll"] {
            let run = folder.ksn(&[command, "net.ksn", "bad.safetensors", "-o", "new.safetensors"]);
            assert_eq!(run.status, Some(1), "{}", run.stderr);
            assert!(run.stderr.contains("bad.safetensors"), "{}", run.stderr);
            assert!(run.stderr.contains(message), "{}", run.stderr);
        }
    };
    fails(b"", "not a safetensors file");
    fails(&whole[..whole.len() - 1], "truncated: its last 1 bytes are missing");
    let header = whole.windows(5).position(|text| text == b"\"F32\"").unwrap();
    let mut whole_numbers = whole.clone();
    whole_numbers[header + 1] = b'I';
    fails(
        &whole_numbers,
        "`s.0.linear.weight` has the type I32, expected floating-point numbers",
    );
    assert!(!path("new.safetensors").exists());
}

/// What visits have of their own starts without effect, and becomes part of the kernels.
#[test]
fn own_parts_are_made_and_folded() {
    let folder = folder(3);
    let scaled = ["--set", "scaled=true", "--method", "first"];
    convert(&folder, "fuse", "own.safetensors", "shared.safetensors", &scaled);
    let path = folder.0.path().join("shared.safetensors");
    let file = File::read(&path).unwrap();
    let mut tensors: Vec<Tensor<'_>> = Vec::new();
    for key in file.keys() {
        let view = file.get(key).unwrap();
        let data = match key {
            "s.0.linear.scale" | "s.1.linear.scale" | "s.2.linear.scale" => {
                assert_eq!(view.data, bytes(&[1.0, 1.0]));
                bytes(&[2.0, 0.5])
            }
            "s.1.linear.low_rank_b" => {
                assert_eq!(view.data, bytes(&[0.0, 0.0]));
                bytes(&[1.0, -1.0])
            }
            "s.1.linear.low_rank_a" => bytes(&[3.0, 0.5]),
            _ => view.data.to_vec(),
        };
        tensors.push(Tensor {
            key: key.to_owned(),
            kind: view.kind,
            shape: view.shape.to_vec(),
            data: Cow::Owned(data),
        });
    }
    assert_eq!(tensors.len(), 1 + 3 * 3);
    let scaled = ksdsl_checkpoint::Shared {
        key: "shared.scaled.weight".to_owned(),
        visits: (0..3).map(|layer| format!("s.{layer}.linear.weight")).collect(),
        copies: true,
    };
    std::fs::write(
        folder.0.path().join("trained.safetensors"),
        to_bytes(&tensors, &[scaled]),
    )
    .unwrap();
    let scaled = ["--set", "scaled=true"];
    convert(
        &folder,
        "unroll",
        "trained.safetensors",
        "unrolled.safetensors",
        &scaled,
    );
    // The rows of [1, 2; 3, 4] by 2 and 0.5; of the second layer those of [4, 2.5; 0, 3.5].
    let by_hand = [[2.0, 4.0, 1.5, 2.0], [8.0, 5.0, 0.0, 1.75], [2.0, 4.0, 1.5, 2.0]];
    for (layer, expected) in by_hand.iter().enumerate() {
        let key = format!("s.{layer}.linear.weight");
        assert_eq!(
            values(&folder, "unrolled.safetensors", &key),
            Some(bytes(expected)),
            "{key}"
        );
    }
    assert_eq!(values(&folder, "unrolled.safetensors", "s.0.linear.scale"), None);
}

/// A name that begins with an underscore or a digit after it made `expand` panic once. The code has one kernel
/// for both layers, under the key of the checkpoints.
#[test]
fn odd_names_are_expanded_and_exported() {
    let text = "net odd { input 4; stage _1 { repeat 2 { linear(4); relu } } share isomorphic in _1 }";
    let folder = Folder::with(&[("odd.ksn", text)]);
    let written = |command: &[&str]| {
        let run = folder.ksn(command);
        assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{command:?}");
        run.stdout
    };
    let rust = written(&["expand", "odd.ksn"]);
    assert!(syn::parse_file(&rust).is_ok(), "{rust}");
    let keys: Vec<&str> = rust
        .split("#[tensor(")
        .skip(1)
        .filter_map(|attribute| attribute.split('"').nth(1))
        .collect();
    assert_eq!(keys, ["_1_linear.weight", "_1_linear.bias"]);
    let python = written(&["export", "pytorch", "odd.ksn"]);
    // A name with an underscore before it is reached by index.
    assert_eq!(
        python.matches("Layer(\n").count() + python.matches("= Layer(weight=").count(),
        1,
        "{python}"
    );
    assert!(python.contains("self[\"_1_linear\"]"), "{python}");
    let visit = "F.linear(x, shared[\"_1_linear.weight\"], shared[\"_1_linear.bias\"])";
    assert_eq!(python.matches(visit).count(), 1, "{python}");
}

#[test]
fn export_writes_a_file_or_prints() {
    let folder = Folder::with(&[("net.ksn", NET)]);
    let printed = folder.ksn(&["export", "pytorch", "net.ksn"]);
    assert_eq!(printed.status, Some(0), "{}", printed.stderr);
    let run = folder.ksn(&["export", "pytorch", "net.ksn", "-o", "net.py"]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(0), ""), "{}", run.stderr);
    let written = std::fs::read_to_string(folder.0.path().join("net.py")).unwrap();
    assert!(
        written.contains("class ") && written.contains("import torch"),
        "{written}"
    );
    // One parameter for both visits.
    assert_eq!(written.matches("self.ends = Layer(").count(), 1, "{written}");
}

/// Two networks with the same keys and shapes and other ties: kernels 0 1 0 1 and 0 0 1 1.
const MAPPED: &str = "\
net turns { input 2; stage s { repeat 4 { linear(2, bias = false) } } share s[*].linear into cycle(2) as k }
net halves { input 2; stage s { repeat 4 { linear(2, bias = false) } } share s[*].linear into 2 groups as k }
";

/// The ties that an exported module has: of each kernel what stands between the brackets.
fn ties(python: &str) -> Vec<(String, String)> {
    let (_, rest) = python.split_once("\n    ties = tied({").expect("the ties");
    let inside = rest.split_once("})").expect("an end").0;
    let entries = inside.split("),\n").map(str::trim).filter(|entry| !entry.is_empty());
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    entries
        .map(|entry| {
            let (key, visits) = entry.split_once(": (").expect("a key");
            (one_line(key), one_line(visits))
        })
        .collect()
}

/// As `save_file(model.state_dict(), path, metadata=model.ties)` writes it.
fn saved(ties: &[(String, String)]) -> Vec<u8> {
    let tensors: Vec<Tensor<'_>> = (0..2)
        .map(|kernel| Tensor {
            key: format!("shared.k.{kernel}.weight"),
            kind: Kind::F32,
            shape: vec![2, 2],
            data: Cow::Owned(bytes(&LAYERS[kernel])),
        })
        .collect();
    let shared: Vec<ksdsl_checkpoint::Shared> = ties
        .iter()
        .map(|(key, visits)| ksdsl_checkpoint::Shared {
            key: key.clone(),
            visits: visits.split(' ').map(str::to_owned).collect(),
            copies: true,
        })
        .collect();
    to_bytes(&tensors, &shared)
}

/// A checkpoint that went through PyTorch is refused for a network with other ties.
#[test]
fn ties_travel_with_the_export() {
    let folder = Folder::with(&[("net.ksn", MAPPED)]);
    let export = folder.ksn(&["export", "pytorch", "net.ksn", "--net", "turns"]);
    let found = ties(&export.stdout);
    let expected = [("\"shared.k.0\"", [0, 2]), ("\"shared.k.1\"", [1, 3])].map(|(key, layers)| {
        let layers = layers.map(|layer: u32| format!("\"s[{layer}].linear\""));
        (key.to_owned(), format!("\"weight\", {}", layers.join(", ")))
    });
    assert_eq!(found, expected);
    // What `tied` makes of it in Python.
    let visits = |layers: [u32; 2]| layers.map(|layer| format!("s.{layer}.linear.weight")).join(" ");
    let found =
        [(0, [0, 2]), (1, [1, 3])].map(|(kernel, layers)| (format!("shared.k.{kernel}.weight"), visits(layers)));

    let path = folder.0.path().join("saved.safetensors");
    std::fs::write(&path, saved(&found)).unwrap();
    let unroll = |net| {
        folder.ksn(&[
            "unroll",
            "net.ksn",
            "saved.safetensors",
            "-o",
            "out.safetensors",
            "--net",
            net,
        ])
    };
    let run = unroll("halves");
    assert_eq!(run.status, Some(1));
    assert!(
        run.stderr
            .contains("`shared.k.0.weight` serves `s.1.linear.weight` in the network, but not in the file")
    );
    assert!(!folder.0.path().join("out.safetensors").exists());
    let run = unroll("turns");
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    for (layer, kernel) in [(0, 0), (1, 1), (2, 0), (3, 1)] {
        let found = values(&folder, "out.safetensors", &format!("s.{layer}.linear.weight"));
        assert_eq!(found, Some(bytes(&LAYERS[kernel])), "{layer}");
    }

    std::fs::write(&path, saved(&[])).unwrap();
    let run = unroll("halves");
    assert_eq!(run.status, Some(0));
    assert!(
        run.stderr
            .starts_with("warning: saved.safetensors: the metadata does not list the layers"),
        "{}",
        run.stderr
    );
}

/// A visit that keeps its own kernel is not a tie, long lists are cut at spaces, and a part may be called `ties`.
#[test]
fn ties_are_those_of_shared_tensors_alone() {
    let text = "net n { input 4
        stage ties { repeat 12 { batch_norm; linear(4) } }
        share ties[*].linear into [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, _] as k
        share ties[1..3].batch_norm as norm }";
    let folder = Folder::with(&[("net.ksn", text)]);
    let python = folder.ksn(&["export", "pytorch", "net.ksn"]).stdout;
    let expected = [
        ("\"shared.k\"", "\"weight bias\", \"ties[0..11].linear\""),
        (
            "\"shared.norm\"",
            "\"weight bias running_mean running_var\", \"ties[1..3].batch_norm\"",
        ),
    ];
    assert_eq!(
        ties(&python),
        expected.map(|(key, visits)| (key.to_owned(), visits.to_owned()))
    );
    assert!(python.contains("self[\"ties\"] = TiesStage()"));
    let free = "net n { input 4; linear(4) }";
    let folder = Folder::with(&[("net.ksn", free)]);
    assert!(
        folder
            .ksn(&["export", "pytorch", "net.ksn"])
            .stdout
            .contains("\n    ties = {}\n")
    );
}
