//! Run folders that lost something, or hold what no run writes.

use crate::child::Run;
use crate::support::{differences, saved, sgd, train, train_in, uninterrupted};
use ksdsl_train::Recipe;
use ksdsl_train::run::RunError;
use ksdsl_train::trainer::TrainError;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// A run of two epochs, of six steps each.
fn short() -> Recipe {
    Recipe { epochs: 2, ..sgd() }
}

fn refused(folder: &Path) -> String {
    train_in(folder, &short()).unwrap_err().to_string()
}

/// The files of a folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// Whatever is gone that cannot be recomputed, the run is refused and nothing is overwritten.
///
/// Elsewhere: <https://github.com/Lightning-AI/pytorch-lightning/issues/7072>,
/// <https://github.com/facebookresearch/metaseq/issues/602>,
/// <https://github.com/google/flax/issues/1631>
#[test]
fn what_is_gone_is_named_and_nothing_is_overwritten() {
    for (name, expected) in [
        ("last.safetensors", "last.safetensors` is missing; restore it"),
        ("best.safetensors", "best.safetensors` is missing; restore it"),
        (
            "run.json",
            "best.safetensors` belongs to a run, but its folder has no `run.json`",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        train_in(folder.path(), &short()).unwrap();
        fs::remove_file(folder.path().join(name)).unwrap();
        let before = files(folder.path());
        let error = refused(folder.path());
        assert!(error.contains(expected), "{error}");
        assert!(files(folder.path()) == before, "{name}");
    }
    // A checkpoint alone is work as well, unless nothing was trained yet.
    let folder = tempfile::tempdir().unwrap();
    train_in(folder.path(), &short()).unwrap();
    for name in [
        "run.json",
        "best.safetensors",
        "model.safetensors",
        "averaged.safetensors",
    ] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    assert!(refused(folder.path()).contains("last.safetensors` belongs to a run"));
}

/// The models at the end follow from the last checkpoint.
#[test]
fn models_at_the_end_are_written_again() {
    let folder = tempfile::tempdir().unwrap();
    train_in(folder.path(), &short()).unwrap();
    let before = saved(folder.path());
    for name in ["model.safetensors", "averaged.safetensors"] {
        fs::remove_file(folder.path().join(name)).unwrap();
        train_in(folder.path(), &short()).unwrap();
        assert_eq!(differences(&before, &saved(folder.path())), [""; 0]);
    }
}

/// A program that is killed before the first step, at whichever moment, leaves a folder in which a run can begin.
#[test]
fn a_run_that_was_killed_at_its_beginning_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(folder.path(), "sgd", 60_000, "");
    run.wait_for("start 0").unwrap();
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    // As if killed after the first checkpoint, and before the description.
    fs::remove_file(folder.path().join("run.json")).unwrap();
    train_in(folder.path(), &sgd()).unwrap();
    assert_eq!(differences(&uninterrupted(&sgd()), &saved(folder.path())), [""; 0]);
}

/// Changes the progress in a checkpoint, whose tensors stay as they are.
fn with_progress(path: &Path, change: impl FnOnce(&mut Value)) {
    let file = ksdsl_checkpoint::File::read(path).unwrap();
    let tensors: Vec<ksdsl_checkpoint::Tensor<'_>> = file
        .keys()
        .map(|key| {
            let view = file.get(key).unwrap();
            ksdsl_checkpoint::Tensor {
                key: key.to_owned(),
                kind: view.kind,
                shape: view.shape.to_vec(),
                data: view.data.to_vec().into(),
            }
        })
        .collect();
    let mut progress: Value = serde_json::from_slice(file.get("progress").unwrap().data).unwrap();
    change(&mut progress);
    let json = serde_json::to_vec(&progress).unwrap();
    let changed = tensors.into_iter().map(|tensor| match tensor.key.as_str() {
        "progress" => ksdsl_checkpoint::Tensor {
            shape: vec![json.len() as u64],
            data: json.clone().into(),
            ..tensor
        },
        _ => tensor,
    });
    let bytes = ksdsl_checkpoint::to_bytes(&changed.collect::<Vec<_>>(), &[]);
    drop(file);
    fs::write(path, bytes).unwrap();
}

/// Of a run that ended after its two epochs of six steps each.
#[test]
fn progress_that_contradicts_itself_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    train_in(folder.path(), &short()).unwrap();
    let last = folder.path().join("last.safetensors");
    let good = fs::read(&last).unwrap();
    let changes = [
        ("epoch", json!(100), "`epoch` is 100, expected 1 to 2"),
        ("epoch", json!(0), "`epoch` is 0, expected 1 to 2"),
        ("epoch", json!(1), "`steps` is 12, expected 6 (step 6 of epoch 1)"),
        ("step", json!(7), "`step` is 7, expected at most 6"),
        ("step", json!(5), "`steps` is 12, expected 11 (step 5 of epoch 2)"),
        ("steps", json!(0), "`steps` is 0, expected 12 (step 6 of epoch 2)"),
        ("optimiser_steps", json!(3), "`optimiser_steps` is 3, expected 0 or 12"),
        ("images", json!(0), "`images` is 0 after 6 steps"),
        ("seconds", json!(-1.0), "`seconds` has an invalid value"),
        ("waited", json!(-0.5), "`waited` has an invalid value"),
        ("processor", json!(-0.5), "`processor` has an invalid value"),
        ("gradient_norm", json!(-1.0), "`gradient_norm` has an invalid value"),
        ("rate", json!(0.05), "`rate` is 0.05, expected the recipe's "),
        (
            "evaluations_without_improvement",
            json!(2),
            "`evaluations_without_improvement` is 2; 2 epochs are done",
        ),
        ("best", Value::Null, ""),
        (
            "best",
            json!({"epoch": 3, "top1": 0.5, "loss": 1.0}),
            "`best.epoch` is 3; 2 epochs are done",
        ),
        (
            "best",
            json!({"epoch": 1, "top1": 1.5, "loss": 1.0}),
            "`best` has an invalid accuracy (1.5)",
        ),
        ("ended", json!("interrupted"), "`ended` is Some(Interrupted)"),
        ("ended", json!("early"), "`ended` is Some(Early)"),
        (
            "ended",
            json!("nearly"),
            "`ended`: unknown value `nearly`; did you mean `early`?",
        ),
        ("epohc", json!(1), "unknown key `epohc`; did you mean `epoch`?"),
        ("loss", json!("low"), "`loss`: invalid type"),
    ];
    for (key, value, expected) in changes {
        fs::write(&last, &good).unwrap();
        // Without a best the run is one that was never evaluated, which contradicts `evaluations_without_improvement`
        // only.
        let stale = key == "best" && value.is_null();
        with_progress(&last, |progress| {
            progress[key] = value;
            if stale {
                progress["evaluations_without_improvement"] = json!(1);
            }
        });
        let error = refused(folder.path());
        let expected = if stale {
            "`evaluations_without_improvement` is 1 without a `best`"
        } else {
            expected
        };
        assert!(
            error.contains("last.safetensors`") && error.contains(expected),
            "{error}, not {expected}"
        );
    }
    fs::write(&last, &good).unwrap();
    train_in(folder.path(), &short()).unwrap();
}

/// A NaN in a parameter, and a mean of squares below zero.
#[test]
fn values_that_no_run_has_are_refused() {
    let recipe = Recipe {
        epochs: 1,
        ..crate::support::adam()
    };
    for (prefix, value) in [
        ("model.", f32::NAN),
        ("model.", f32::INFINITY),
        ("average.", f32::NAN),
        ("optimiser.first_moment.", f32::NAN),
        ("optimiser.second_moment.", -1.0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        train_in(folder.path(), &recipe).unwrap();
        let last = folder.path().join("last.safetensors");
        let file = ksdsl_checkpoint::File::read(&last).unwrap();
        let key = file.keys().find(|key| key.starts_with(prefix)).unwrap().to_owned();
        let data = file.get(&key).unwrap().data.to_vec();
        drop(file);
        let mut bytes = fs::read(&last).unwrap();
        let at = bytes.windows(data.len()).position(|window| window == data).unwrap();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        fs::write(&last, bytes).unwrap();
        let error = train_in(folder.path(), &recipe).unwrap_err().to_string();
        assert!(error.contains(&format!("`{key}` contains invalid values")), "{error}");
    }
}

/// Files that are links: what they lead to is not cut.
#[test]
fn a_lock_that_is_a_link_leaves_its_target_alone() {
    let folder = tempfile::tempdir().unwrap();
    let precious = folder.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    let run = folder.path().join("run");
    fs::create_dir(&run).unwrap();
    symlink(&precious, run.join("run.lock")).unwrap();
    train_in(&run, &short()).unwrap();
    assert_eq!(fs::read_to_string(precious).unwrap(), "precious");
}

#[test]
fn companions_are_those_of_the_run_that_began() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("settings.json");
    // Left by a run that was refused.
    fs::write(&settings, "stale").unwrap();
    let with = |content: &'static str| {
        train(&short(), |trainer| {
            trainer
                .companion("settings.json", content)
                .start_or_resume(folder.path())
        })
    };
    with("first").1.unwrap();
    assert_eq!(fs::read_to_string(&settings).unwrap(), "first");
    with("second").1.unwrap();
    assert_eq!(fs::read_to_string(&settings).unwrap(), "first");
    fs::remove_file(&settings).unwrap();
    with("third").1.unwrap();
    assert_eq!(fs::read_to_string(&settings).unwrap(), "third");
}

/// Many programs at once on one folder: one runs, the others say that it does, and its companion is there.
///
/// Elsewhere: <https://github.com/Physical-Intelligence/openpi/pull/969>
#[test]
fn of_runs_that_start_at_once_one_wins_wholly() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let mut runs: Vec<Run> = (0..4).map(|_| Run::new(folder.path(), "sgd", 20, "")).collect();
        let mut finished = 0;
        for run in &mut runs {
            let mut text = String::new();
            std::io::Read::read_to_string(run.lines(), &mut text).unwrap();
            run.child.wait().unwrap();
            let won = text.contains("end Finished");
            let busy = text.contains("error another process is training this run");
            assert!(won || busy, "{text}");
            finished += u32::from(won);
        }
        assert!(finished >= 1);
        assert_eq!(differences(&uninterrupted(&sgd()), &saved(folder.path())), [""; 0]);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(folder.path(), "sgd", 60_000, "");
    run.wait_for("step 1").unwrap();
    let (_, error) = train(&sgd(), |trainer| trainer.companion("a", "b").folder(folder.path()));
    let is_refused = matches!(error, Err(TrainError::Run(RunError::Busy(_) | RunError::Exists(_))));
    assert!(is_refused, "{error:?}");
    assert!(!folder.path().join("a").exists());
    run.child.kill().unwrap();
    run.child.wait().unwrap();
}
