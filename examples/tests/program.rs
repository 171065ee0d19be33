//! The program `nets`, as a user meets it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Runs it in a folder.
fn nets(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nets"));
    command.args(arguments).current_dir(folder).output().unwrap()
}

/// What it printed where it succeeded.
#[track_caller]
fn printed(folder: &Path, arguments: &[&str]) -> String {
    let output = nets(folder, arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it complained of.
#[track_caller]
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = nets(folder, arguments);
    assert!(!output.status.success(), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The words of the first line that has all of `parts`.
fn line(text: &str, parts: &[&str]) -> String {
    let found = text.lines().find(|line| parts.iter().all(|part| line.contains(part)));
    let words: Vec<&str> = found
        .unwrap_or_else(|| panic!("{parts:?} in {text}"))
        .split_whitespace()
        .collect();
    words.join(" ")
}

#[test]
fn trains_evaluates_predicts_compares() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text = printed(folder, &["train", "--epochs", "2"]);
    assert!(
        line(&text, &["digits_unshared"]).starts_with("digits_unshared 280,250 100.0 %"),
        "{text}"
    );
    assert!(
        line(&text, &["digits_shared"]).starts_with("digits_shared 84,410 30.1 %"),
        "{text}"
    );
    let run = "runs/digits-digits_shared-0";
    let files = [
        "run.json",
        "settings.json",
        "steps.csv",
        "epochs.csv",
        "curves.svg",
        "curves.png",
        "confusion.svg",
        "best.safetensors",
        "model.safetensors",
        "tensorboard/events.out.tfevents.00000",
    ];
    for file in files {
        assert!(folder.join(run).join(file).exists(), "{file}");
    }
    assert!(folder.join("runs/comparison.png").exists());

    // The evaluation of the model at the end is that of the last line of the records.
    let epochs = fs::read_to_string(folder.join(run).join("epochs.csv")).unwrap();
    let last: Vec<&str> = epochs.lines().last().unwrap().split(',').collect();
    let (loss, top1): (f64, f64) = (last[7].parse().unwrap(), last[8].parse().unwrap());
    let text = printed(folder, &["evaluate", run, "--last", "--picture", "confusion.png"]);
    let expected = format!("359 {loss:.4} {:.2} %", 100.0 * top1);
    assert!(line(&text, &["359 "]).starts_with(&expected), "{expected} in {text}");
    assert!(folder.join("confusion.png").exists());

    let text = printed(
        folder,
        &["predict", &format!("{run}/best.safetensors"), "0", "7", "--top", "2"],
    );
    assert_eq!(text.matches(" %").count(), 4, "{text}");
    assert!(text.contains("0 (true class "), "{text}");

    let text = printed(folder, &["compare", "runs"]);
    assert!(
        line(&text, &["digits-digits_shared-0"]).contains("digits_shared 84,410 2"),
        "{text}"
    );
    let text = printed(folder, &["compare", "--markdown", "runs"]);
    assert!(text.starts_with("| network"), "{text}");
}

#[test]
fn an_interrupted_run_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let train = ["train", "--net", "digits_shared", "--epochs", "2", "--images", "256"];
    printed(folder, &train);
    let run = "runs/digits-digits_shared-0";
    let file = |name: &str| fs::read(folder.join(run).join(name)).unwrap();
    let (model, settings) = (file("model.safetensors"), file("settings.json"));
    // A finished run is only evaluated.
    let text = printed(folder, &["train", "--resume", run]);
    assert!(line(&text, &["359 "]).starts_with("359 "), "{text}");
    assert!(file("model.safetensors") == model && file("settings.json") == settings);
    // The same command starts a new run, unless --resume is given.
    printed(folder, &train);
    assert!(folder.join(format!("{run}-run2")).exists());
    let again: Vec<&str> = train.into_iter().chain(["--resume"]).collect();
    printed(folder, &again);
    assert!(!folder.join(format!("{run}-run3")).exists());
    assert!(refused(folder, &["train", "--resume", run, "--epochs", "3"]).contains("resumes with its own settings"));
    // Another recipe is another run.
    let other: Vec<&str> = again.iter().copied().chain(["--lr", "0.01"]).collect();
    assert!(refused(folder, &other).contains("`recipe.rate` was 0.1 and is now 0.01"));
}

#[test]
fn mistakes_on_the_command_line_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = |arguments: &[&str]| refused(folder.path(), arguments);
    let text = error(&["train", "--net", "resnet"]);
    assert!(
        text.contains("no network `resnet` for this data set (1 x 8 x 8, 10 classes); available: digits_unshared, "),
        "{text}"
    );
    assert!(error(&["train", "--epochs", "0"]).contains("expected an integer from 1"));
    assert!(error(&["train", "--device", "cuda:0"]).contains("built without the feature `cuda`"));
    assert!(error(&["train", "--budget", "0.5"]).contains("--budget: a memory budget is for specifications, "));
    assert!(error(&["train", "--data", "imagenet"]).contains("expected digits, procedural"));
    assert!(error(&["train", "--data", "cifar10:nowhere"]).contains("nowhere"));
    assert!(error(&["train", "--recipe", "none.json"]).contains("--recipe none.json: expected se_resnet, convmixer"));
    assert!(error(&["train", "--resume", "nowhere"]).contains("`nowhere` is not a run folder of this program"));
    assert!(error(&["evaluate", "nowhere"]).contains("no run or checkpoint at `nowhere`"));
    assert!(error(&["compare", "."]).contains("`.` is not a run folder and contains none"));
    assert!(error(&["predict"]).contains("Usage: nets predict"));
}

#[test]
fn the_synthetic_set_is_written_and_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    printed(folder, &["data", "synthetic", "--training", "40", "--test", "20"]);
    assert!(folder.join("synthetic/test_batch.bin").exists());
    let error = refused(folder, &["data", "synthetic"]);
    assert!(error.contains("synthetic"), "{error}");
    let text = printed(
        folder,
        &[
            "train",
            "--data",
            "procedural:synthetic",
            "--net",
            "se_resnet_small_shared",
            "--epochs",
            "1",
        ],
    );
    assert!(
        line(&text, &["se_resnet_small_shared"]).contains("se_resnet_small_shared "),
        "{text}"
    );
    let run = "runs/procedural-se_resnet_small_shared-0";
    let text = printed(folder, &["evaluate", run]);
    assert!(text.contains("striped disc"), "{text}");
}
