//! The crate that `ksn new` writes: it compiles, its test passes, and it trains to the weights of `ksn train`.

use ksdsl::graph::train::Classifier;
use ksdsl::project::{self, Origin};
use ksdsl::spec::Spec;
use ksdsl_train::Recipe;
use ksdsl_train::data::{Digits, Loader, Scaling};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A project in a folder.
fn project(folder: &Path) {
    for (path, text) in project::files("my-net", &Origin::Registry).unwrap() {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn a_new_project_trains_to_the_weights_of_ksn_train() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    project(folder);
    compile(folder);
    let trained = Command::new(folder.join("my-net"))
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&trained.stdout).into_owned();
    assert!(
        trained.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&trained.stderr)
    );
    // By hand: 9 * 16 + 9 * 16 * 16 in the kernels, of which there would be 4 in the body, 2 * 16 in each of 5 norms,
    // and 16 * 10 + 10 in the classifier.
    let (rest, kernel) = (9 * 16 + 5 * 32 + 170, 9 * 16 * 16);
    let counts = format!("{} parameters, {} without sharing\n", rest + kernel, rest + 4 * kernel);
    assert!(said.starts_with(&counts), "{said}");

    train(folder);
    for file in ["run.json", "model.safetensors", "best.safetensors"] {
        let [ours, theirs] = ["runs/my_net", "ksn"].map(|run| fs::read(folder.join(run).join(file)).unwrap());
        assert!(ours == theirs, "{file}");
    }
}

/// Trains as `ksn train` does.
fn train(folder: &Path) {
    let (network, _) = Spec::read(folder.join("networks/my_net.ksn"))
        .unwrap()
        .compile_one()
        .unwrap();
    let recipe = Recipe::default();
    let (training, validation) = Digits::embedded().split(0.2, recipe.seed);
    let scaling = Scaling::of(&training);
    let mut source = Loader::of(&recipe, training, &scaling);
    let trainer = ksdsl_train::core::trainer::Trainer::new(recipe.clone())
        .validation(&validation, &scaling)
        .classes(validation.names())
        .folder(folder.join("ksn"));
    Classifier::of(network, &[])
        .unwrap()
        .train(trainer, &mut source)
        .unwrap();
}

/// The manifest names crates of this repository, with features that they have, and the snapshot is the architecture's.
#[test]
fn manifest_and_snapshot_are_right() {
    let folder = tempfile::tempdir().unwrap();
    project(folder.path());
    let clone = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Some(origin) = project::clone_in(&clone) else {
        panic!("this is a clone");
    };
    let files = project::files("my-net", &origin).unwrap();
    let manifest = &files.iter().find(|(path, _)| path == "Cargo.toml").unwrap().1;
    for line in manifest.lines().filter_map(|line| line.split_once("path = \"")) {
        let path = line.1.split('"').next().unwrap();
        assert!(Path::new(path).join("Cargo.toml").is_file(), "{path}");
    }
    let summary = Spec::read(folder.path().join("networks/my_net.ksn")).unwrap().summary();
    let snapshot = fs::read_to_string(folder.path().join("tests/snapshots/architecture__my_net.snap")).unwrap();
    let (_, content) = snapshot.split_once("\n---\n").unwrap();
    assert_eq!(content.trim_end(), summary.unwrap().to_string().trim_end());
    assert!(
        content.contains("\nparameters 2778 of 9690 unshared, buffers 160\n"),
        "{content}"
    );
}

/// Compiles the program of a project with the libraries that this test is built with: the newest, or where those are not
/// of one build, others.
fn compile(folder: &Path) {
    let test = std::env::current_exe().unwrap();
    let libraries = test.parent().unwrap();
    let mut said = String::new();
    for train in newest(libraries, "libksdsl_train-") {
        for runtime in newest(libraries, "libksdsl_runtime-") {
            let outcome = Command::new("rustc")
                .args(["--edition", "2024", "-C", "opt-level=1", "-D", "warnings", "-o"])
                .arg(folder.join("my-net"))
                .arg("-L")
                .arg(format!("dependency={}", libraries.display()))
                .arg("--extern")
                .arg(format!("ksdsl_runtime={}", runtime.display()))
                .arg("--extern")
                .arg(format!("ksdsl_train={}", train.display()))
                .arg(folder.join("src/main.rs"))
                .env("CARGO_MANIFEST_DIR", folder)
                .output()
                .unwrap();
            if outcome.status.success() {
                return;
            }
            if said.is_empty() {
                said = String::from_utf8_lossy(&outcome.stderr).into_owned();
            }
        }
    }
    panic!("{said}");
}

/// The libraries of this name, the newest first; few of them.
fn newest(folder: &Path, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_one = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        file.starts_with(name) && file.ends_with(".rlib")
    };
    let mut libraries: Vec<PathBuf> = entries.filter(is_one).collect();
    libraries.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).and_then(|data| data.modified()).unwrap()));
    libraries.truncate(4);
    libraries
}
