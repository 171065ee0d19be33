//! `ksn export onnx` and `ksn audit`.

use crate::Folder;
use ksdsl_checkpoint::{Kind, Tensor, to_bytes};
use serde_json::Value;
use std::borrow::Cow;

const NET: &str = "\
net tied {
    input 4
    steps: repeat up to 3 { linear(4, bias = false); relu }
    stage s { repeat 2 { linear(4, bias = false) } }
    share isomorphic in s as body
}
";

fn checkpoint(keys: &[(&str, f32)]) -> Vec<u8> {
    let bytes = |start: f32| (0..16).flat_map(|at| (start + at as f32).to_le_bytes()).collect();
    let tensors: Vec<Tensor<'_>> = keys
        .iter()
        .map(|(key, start)| Tensor {
            key: (*key).to_owned(),
            kind: Kind::F32,
            shape: vec![4, 4],
            data: Cow::Owned(bytes(*start)),
        })
        .collect();
    to_bytes(&tensors, &[])
}

fn folder() -> Folder {
    let folder = Folder::with(&[("net.ksn", NET)]);
    let files = [
        (
            "copies",
            vec![
                ("steps.linear.weight", 1.0),
                ("s.0.linear.weight", 2.0),
                ("s.1.linear.weight", 2.0),
            ],
        ),
        (
            "untied",
            vec![
                ("steps.linear.weight", 1.0),
                ("s.0.linear.weight", 2.0),
                ("s.1.linear.weight", 3.0),
            ],
        ),
        ("part", vec![("s.0.linear.weight", 2.0), ("s.1.linear.weight", 2.0)]),
    ];
    for (name, keys) in files {
        std::fs::write(folder.0.path().join(format!("{name}.safetensors")), checkpoint(&keys)).unwrap();
    }
    folder
}

#[test]
fn a_model_stores_copies_once() {
    let folder = folder();
    let run = folder.ksn(&["export", "onnx", "net.ksn", "--weights", "copies.safetensors"]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    let model = std::fs::read(folder.0.path().join("tied.onnx")).unwrap();
    let kernel: Vec<u8> = (0..16).flat_map(|at| (2.0 + at as f32).to_le_bytes()).collect();
    assert_eq!(
        model.windows(kernel.len()).filter(|window| *window == kernel).count(),
        1
    );
    let run = folder.ksn(&["audit", "tied.onnx", "--spec", "net.ksn"]);
    assert_eq!(run.status, Some(0), "{}", run.stdout);
    let start = "tied.onnx: ONNX, ";
    assert!(
        run.stdout.starts_with(start) && run.stdout.contains("nothing is stored twice"),
        "{}",
        run.stdout
    );
}

#[test]
fn what_cannot_be_exported_is_an_error() {
    let folder = folder();
    let export = |more: &[&str]| {
        let run = folder.ksn(&[&["export", "onnx", "net.ksn"], more].concat());
        (run.status, run.stderr)
    };
    let (status, _) = export(&[]);
    assert_eq!(status, Some(2), "no weights");
    let (status, message) = export(&["--weights", "part.safetensors"]);
    assert!(
        status == Some(1) && message.contains("steps.linear.weight"),
        "{message}"
    );
    let (status, message) = export(&["--weights", "copies.safetensors", "--steps", "steps=4"]);
    assert_eq!(
        (status, message.as_str()),
        (Some(2), "error: the loop `steps` runs 1 to 3 times, not 4\n")
    );
    let (status, message) = export(&["--weights", "copies.safetensors", "--steps", "steps"]);
    assert!(
        status == Some(2) && message.contains("expected name=count"),
        "{message}"
    );
    assert!(!folder.0.path().join("tied.onnx").exists());
}

#[test]
fn audit_exits_with_1_on_a_finding() {
    let folder = folder();
    let run = folder.ksn(&["audit", "copies.safetensors"]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(1), ""));
    assert_eq!(
        run.stdout,
        "copies.safetensors: safetensors, 3 tensors, 192 bytes: 1 finding, 64 bytes could be saved
  copies: `s.0.linear.weight`, `s.1.linear.weight` are equal: stored once they would take 64 bytes less
"
    );
    let run = folder.ksn(&["audit", "untied.safetensors"]);
    assert_eq!(run.status, Some(0), "{}", run.stdout);
    let run = folder.ksn(&["audit", "untied.safetensors", "--spec", "net.ksn", "--json"]);
    assert_eq!(run.status, Some(1));
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report[0]["findings"][0]["kind"], "untied");
    assert_eq!(report[0]["findings"][0]["tensors"][1], "s.1.linear.weight");
    let run = folder.ksn(&["audit", "untied.safetensors", "--reference", "copies.safetensors"]);
    assert!(
        run.status == Some(1) && run.stdout.contains("half_updated"),
        "{}",
        run.stdout
    );
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let folder = folder();
    let run = folder.ksn(&["audit", "none.safetensors"]);
    assert_eq!(run.status, Some(2));
    let run = folder.ksn(&["audit", "net.ksn", "untied.safetensors"]);
    assert_eq!(run.status, Some(1));
    assert!(run.stderr.contains("`net.ksn` cannot be read"), "{}", run.stderr);
    assert!(run.stdout.starts_with("untied.safetensors: "), "{}", run.stdout);
    let run = folder.ksn(&["audit", "untied.safetensors", "--net", "tied"]);
    assert_eq!(run.status, Some(2));
}
