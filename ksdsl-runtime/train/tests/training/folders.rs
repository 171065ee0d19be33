//! Folders of runs: what is refused, and why.

use crate::support::{adam, data, model, saved, sgd, train, train_in};
use ksdsl_runtime::prelude::*;
use ksdsl_train::data::{Digits, Scaling};
use ksdsl_train::optim::Sgd;
use ksdsl_train::run::{Description, RunError};
use ksdsl_train::source::Plain;
use ksdsl_train::trainer::TrainError;
use ksdsl_train::{Recipe, Trainer};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// One epoch.
fn short() -> Recipe {
    Recipe { epochs: 1, ..sgd() }
}

fn refused(folder: &Path, recipe: &Recipe) -> String {
    train_in(folder, recipe).unwrap_err().to_string()
}

#[test]
fn other_recipes_are_refused_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    train_in(folder.path(), &short()).unwrap();
    let before = saved(folder.path());
    let recipe = Recipe {
        rate: 0.07,
        patience: Some(3),
        method: Sgd {
            nesterov: false,
            ..Sgd::default()
        }
        .into(),
        ..short()
    };
    let error = refused(folder.path(), &recipe);
    let expected = [
        "- `recipe.method.nesterov` was true and is now false",
        "- `recipe.patience` was null and is now 3",
        "- `recipe.rate` was 0.05 and is now 0.07",
    ];
    assert_eq!(error.lines().skip(1).collect::<Vec<_>>(), expected);
    let error = refused(folder.path(), &adam());
    assert!(
        error.contains("- `recipe.method.kind` was \"sgd\" and is now \"adam_w\""),
        "{error}"
    );
    assert!(
        error.contains("- `recipe.method.momentum` was 0.9 and is now unset"),
        "{error}"
    );
    assert!(before == saved(folder.path()));
}

#[test]
fn other_data_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    train_in(folder.path(), &short()).unwrap();
    let (training, validation) = (Digits::embedded().part(|i| i < 87), data().1);
    let scaling = Scaling::of(&training);
    let mut source = Plain::new(&training, 16.try_into().unwrap(), &scaling, 5);
    let outcome = Trainer::new(short())
        .validation(&validation, &scaling)
        .resume(folder.path())
        .train(&mut model(5), &mut source, &Cpu::default());
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("`data.images` was \"88, "), "{error}");
    assert!(error.contains("`data.scaling` was "), "{error}");
}

/// Comments and blanks may change, layers may not.
///
/// Elsewhere: <https://github.com/jfzhang95/pytorch-deeplab-xception/issues/134>
#[test]
fn another_specification_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    train_in(folder.path(), &short()).unwrap();
    let path = folder.path().join("run.json");
    let json = fs::read_to_string(&path).unwrap();
    assert!(json.contains("net tiny {"), "{json}");
    let stored = Description::of(folder.path()).unwrap();
    assert!(
        stored.specification.starts_with("net tiny {\n"),
        "{}",
        stored.specification
    );
    assert!(stored.specification.ends_with('}'));

    fs::write(&path, json.replace("net tiny {", "net  tiny // as in the paper\\n{")).unwrap();
    train_in(folder.path(), &short()).unwrap();
    fs::write(&path, json.replace("dropout(0.1)", "dropout(0.3)")).unwrap();
    let error = refused(folder.path(), &short());
    let difference = "- `specification` was `... head { global_avg_pool; dropout(0.3); linear(10) } share isomorphic ...` \
                      and is now `... head { global_avg_pool; dropout(0.1); linear(10) } share isomorphic ...`";
    assert!(error.ends_with(difference), "{error}");
}

#[test]
fn the_description_names_the_versions() {
    let folder = tempfile::tempdir().unwrap();
    train_in(folder.path(), &short()).unwrap();
    let path = folder.path().join("run.json");
    let json = fs::read_to_string(&path).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(Description::of(folder.path()).unwrap().versions, [version]);
    fs::write(&path, json.replace(&format!("\"{version}\""), "\"0.0.9\"")).unwrap();
    train_in(folder.path(), &short()).unwrap();
    assert_eq!(Description::of(folder.path()).unwrap().versions, ["0.0.9", version]);
}

#[test]
fn folders_without_or_with_a_run_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (_, none) = train(&short(), |trainer| trainer.resume(folder.path()));
    assert!(matches!(none, Err(TrainError::Run(RunError::None(_)))), "{none:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let new = folder.path().join("runs/first");
    train(&short(), |trainer| trainer.folder(&new)).1.unwrap();
    let (_, exists) = train(&short(), |trainer| trainer.folder(&new));
    assert!(
        matches!(exists, Err(TrainError::Run(RunError::Exists(_)))),
        "{exists:?}"
    );
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    for path in [file.clone(), file.join("run")] {
        let error = refused(&path, &short());
        assert!(
            error.starts_with(&format!("cannot write `{}", path.display())),
            "{error}"
        );
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "x");
}

/// A device that is always full, instead of a file.
#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    for name in ["best.safetensors", "model.safetensors", "averaged.safetensors"] {
        let folder = tempfile::tempdir().unwrap();
        symlink("/dev/full", folder.path().join(name)).unwrap();
        let error = refused(folder.path(), &short());
        assert!(error.contains(name) && error.contains("No space left"), "{error}");
        // The epoch's checkpoint is not written; that of the beginning is still there.
        fs::remove_file(folder.path().join(name)).unwrap();
        let outcome = train_in(folder.path(), &short()).unwrap();
        assert_eq!(outcome.steps, 6);
    }
}

#[test]
fn damaged_checkpoints_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    train_in(folder.path(), &short()).unwrap();
    let last = folder.path().join("last.safetensors");
    let good = fs::read(&last).unwrap();
    fs::write(&last, &good[..good.len() - 1]).unwrap();
    let error = refused(folder.path(), &short());
    assert!(error.contains("last.safetensors` is truncated"), "{error}");
    fs::copy(folder.path().join("model.safetensors"), &last).unwrap();
    let error = refused(folder.path(), &short());
    assert!(error.contains("cannot resume from the checkpoint"), "{error}");
    fs::write(folder.path().join("run.json"), "{").unwrap();
    let error = refused(folder.path(), &short());
    assert!(error.contains("run.json` is not a valid run description"), "{error}");
}

/// What a kill leaves of a file that was being written goes away.
#[test]
fn left_over_files_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    train_in(folder.path(), &short()).unwrap();
    fs::write(folder.path().join(".tmpAbC123"), "half").unwrap();
    train_in(folder.path(), &short()).unwrap();
    let mut names: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = [
        "averaged.safetensors",
        "best.safetensors",
        "last.safetensors",
        "model.safetensors",
        "run.json",
        "run.lock",
    ];
    assert_eq!(names, expected);
}
