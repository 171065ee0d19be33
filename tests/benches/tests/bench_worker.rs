//! The program that benchmarks talk to.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

/// The answers to these requests.
fn answers(requests: &[Value]) -> Vec<Value> {
    let mut worker = Command::new(env!("CARGO_BIN_EXE_bench_worker"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/nets.ksn"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = worker.stdin.take().unwrap();
    for request in requests {
        writeln!(input, "{request}").unwrap();
    }
    drop(input);
    let lines = BufReader::new(worker.stdout.take().unwrap()).lines();
    let answers = lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    assert!(worker.wait().unwrap().success());
    answers
}

#[test]
fn trains_and_infers_a_batch() {
    let answers = answers(&[
        json!({"command": "load", "net": "se_resnet_2", "batch": 2, "rate": 0.01}),
        json!({"command": "train", "repeats": 4}),
        json!({"command": "infer", "repeats": 3}),
        json!({"command": "logits"}),
    ]);
    assert_eq!(answers[0], "done");
    assert_eq!(answers[1]["training"]["seconds"].as_array().unwrap().len(), 4);
    let losses = answers[1]["training"]["losses"].as_array().unwrap();
    assert!(losses[3].as_f64().unwrap() < losses[0].as_f64().unwrap(), "{losses:?}");
    assert_eq!(answers[2]["seconds"].as_array().unwrap().len(), 3);
    assert_eq!(answers[3]["logits"].as_array().unwrap().len(), 2 * 10);
}

#[test]
fn weights_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let load = json!({"command": "load", "net": "convmixer_64", "batch": 1, "rate": 0.01});
    let mut load_again = load.clone();
    load_again["weights"] = json!(path);
    let answers = answers(&[
        load,
        json!({"command": "train", "repeats": 1}),
        json!({"command": "logits"}),
        json!({"command": "save", "path": path}),
        load_again,
        json!({"command": "logits"}),
    ]);
    assert_eq!(answers[4], "done");
    assert_eq!(answers[2], answers[5]);
}

#[test]
fn mistakes_are_answered() {
    let answers = answers(&[
        json!({"command": "ready"}),
        json!({"command": "infer", "repeats": 1}),
        json!({"command": "load", "net": "lenet", "batch": 1, "rate": 0.01}),
        json!({"command": "dance"}),
    ]);
    assert_eq!(answers[0], "done");
    assert_eq!(answers[1]["error"], "no network is loaded");
    let unknown = answers[2]["error"].as_str().unwrap();
    assert!(
        unknown.contains("has no network `lenet`; it defines se_resnet_2,"),
        "{unknown}"
    );
    assert!(answers[3]["error"].as_str().unwrap().contains("dance"));
}
