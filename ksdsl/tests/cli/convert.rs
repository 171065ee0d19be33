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
    fails(&fuse("shared.safetensors", &[]), 1, "`ksn unroll` makes one");
    fails(
        &["unroll", "net.ksn", "own.safetensors", "-o", "new.safetensors"],
        1,
        "`ksn fuse` makes one",
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
        "error: the weights do not fit the network:\n       - `s.1.linear` cannot be weighted: no layer of this name shares",
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
    std::fs::write(folder.0.path().join("trained.safetensors"), to_bytes(&tensors, &[])).unwrap();
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
        .split("Self::")
        .skip(1)
        .filter_map(|call| call.starts_with("tensor").then(|| call.split('"').nth(1))?)
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
    assert_eq!(
        python
            .matches("F.linear(x, shared[\"_1_linear\"].weight, shared[\"_1_linear\"].bias)")
            .count(),
        1
    );
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
