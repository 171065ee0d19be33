//! Files that were changed, and programs that work on one folder at once.

use crate::{RUN, fill, nets, refused, stderr, trained};
use serde_json::{Value, json};
use std::fs;
use std::process::Stdio;

/// Each change to a run's settings, and what every command that reads them says.
#[test]
fn settings_that_fit_nothing_are_refused() {
    let folder = trained();
    let path = folder.path().join(RUN).join("settings.json");
    let good: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let names = |count: usize| (0..count).map(|class| class.to_string()).collect::<Vec<_>>();
    let mut swapped = names(10);
    swapped.swap(0, 1);
    let mut twice = names(10);
    twice[3] = "4".to_owned();
    let mut escape = names(10);
    escape[3] = "\u{1b}[31m".to_owned();
    for (key, value, expected) in [
        ("classes", json!([]), "`classes` has 0 names, expected 10"),
        ("classes", json!(names(1)), "`classes` has 1 names, expected 10"),
        ("classes", json!(names(3)), "`classes` has 3 names, expected 10"),
        ("classes", json!(names(20)), "`classes` has 20 names, expected 10"),
        (
            "classes",
            json!(swapped),
            "the data set has the class `0` where the run in `runs/digits-digits_shared-0` has `1`",
        ),
        ("classes", json!(twice), "`classes` has a duplicate name"),
        ("classes", json!(escape), "`classes` has the name \"\\u{1b}[31m\""),
        ("deviation", json!([0.0]), "`deviation` is 0: expected above 0"),
        ("deviation", json!([-1.0]), "`deviation` is -1: expected above 0"),
        ("deviation", json!([1e308]), "expected above 0, at most 255"),
        ("deviation", json!([]), "`deviation` has 0 values, expected 1"),
        ("deviation", json!([6.0]), "differ from `data.scaling` in run.json"),
        ("mean", json!([1e308]), "expected a pixel value, 0 to 255"),
        ("mean", json!([-1.0]), "`mean` is -1: expected a pixel value"),
        ("mean", json!([]), "`mean` has 0 values, expected 1"),
        ("mean", json!([4.0, 4.0]), "`mean` has 2 values, expected 1"),
        ("mean", json!([4.0]), "differ from `data.scaling` in run.json"),
        ("mean", json!([null]), "`mean[0]`: "),
        (
            "net",
            json!("digits_unshared"),
            "`net` is `digits_unshared`; run.json describes `digits_shared`",
        ),
        ("data", json!("digit"), "`data` is `digit`: expected digits, procedural"),
        ("images", json!(0), "`images` is 0"),
        ("images", json!(-1), "`images`: invalid value: integer `-1`"),
        ("clases", json!([]), "unknown key `clases`; did you mean `classes`?"),
    ] {
        let mut settings = good.clone();
        settings[key] = value;
        fs::write(&path, settings.to_string()).unwrap();
        for command in [
            &["evaluate", RUN][..],
            &["predict", RUN, "0"],
            &["train", "--resume", RUN],
        ] {
            let error = refused(folder.path(), command);
            assert!(error.contains(expected), "{command:?}: {error}, not {expected}");
        }
    }
    fs::write(&path, good.to_string()).unwrap();
    assert!(
        nets(folder.path(), &["evaluate", RUN])
            .output()
            .unwrap()
            .status
            .success()
    );
    // The net of this program against the one that was trained.
    let path = folder.path().join(RUN).join("run.json");
    let run: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for (key, value, expected) in [
        ("parameters", json!(1), "`parameters` was 1 and is now 84410"),
        ("format", json!(2), "`format` is 2, but this version reads 1"),
        ("netwrok", json!(1), "unknown key `netwrok`; did you mean `network`?"),
    ] {
        let mut changed = run.clone();
        changed[key] = value;
        fs::write(&path, changed.to_string()).unwrap();
        let error = refused(folder.path(), &["evaluate", RUN]);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn non_finite_models_are_rejected() {
    let folder = trained();
    let best = folder.path().join(RUN).join("best.safetensors");
    for value in [f32::NAN, f32::INFINITY] {
        fill(&best, value);
        for command in [&["evaluate", RUN][..], &["predict", RUN, "0"]] {
            let error = refused(folder.path(), command);
            assert!(error.contains("best.safetensors` is not a usable model"), "{error}");
            assert!(error.contains("of its tensors contain non-finite values"), "{error}");
        }
    }
    // All finite, and the sums are not.
    fill(&best, 1e38);
    let error = refused(folder.path(), &["evaluate", RUN]);
    assert!(
        error.contains("makes no predictions: all its logits are NaN"),
        "{error}"
    );
    let error = refused(folder.path(), &["predict", RUN, "0"]);
    assert!(error.contains("the model makes no prediction"), "{error}");
}

#[test]
fn misspelt_keys_of_a_recipe_are_named() {
    let folder = trained();
    let run: Value = serde_json::from_slice(&fs::read(folder.path().join(RUN).join("run.json")).unwrap()).unwrap();
    let recipe = &run["recipe"];
    let try_with = |recipe: &Value| {
        fs::write(folder.path().join("recipe.json"), recipe.to_string()).unwrap();
        refused(folder.path(), &["train", "--recipe", "recipe.json", "--images", "64"])
    };
    for (slip, key) in [
        ("cilp", "clip"),
        ("patients", "patience"),
        ("averages", "average"),
        ("epohcs", "epochs"),
    ] {
        let mut renamed = recipe.clone();
        let value = renamed.as_object_mut().unwrap().remove(key).unwrap();
        renamed[slip] = value;
        let expected = format!("--recipe recipe.json: unknown key `{slip}`; did you mean `{key}`?");
        assert!(try_with(&renamed).contains(&expected));
    }
    let mut inner = recipe.clone();
    inner["method"]["momentumm"] = json!(0.5);
    assert!(try_with(&inner).contains("`method`: unknown key `momentumm`; did you mean `momentum`?"));
    let mut huge = recipe.clone();
    huge["augment"]["crop"] = json!(u64::MAX);
    assert!(try_with(&huge).contains("`augment.crop` must be at most 1024"));
}

#[test]
fn absurd_numbers_of_threads_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for command in [&["train"][..], &["evaluate", "x"], &["predict", "x", "0"]] {
        for threads in ["4294967295", "1000000", "0", "-1"] {
            let output = nets(folder.path(), command)
                .args(["--threads", threads])
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(2), "{output:?}");
            let error = stderr(&output);
            let is_reported =
                error.contains("expected an integer from 1 to 1024") || error.contains("unexpected argument");
            assert!(is_reported, "{error}");
        }
    }
}

/// A loss of 1e300 in the records is drawn like any other.
#[test]
fn hostile_records_are_drawn_or_refused() {
    let folder = trained();
    let path = folder.path().join(RUN).join("epochs.csv");
    let good = fs::read_to_string(&path).unwrap();
    let (header, row) = good.trim_end().split_once('\n').unwrap();
    let fields: Vec<&str> = row.split(',').collect();
    let compare = || {
        nets(folder.path(), &["compare", "runs", "--out", "out"])
            .output()
            .unwrap()
    };
    let resume = || nets(folder.path(), &["train", "--resume", RUN]).output().unwrap();
    for (column, value, is_fine) in [
        ("training_loss", "1e300", true),
        ("training_loss", "NaN", true),
        ("training_loss", "inf", true),
        ("validation_loss", "1e-300", true),
        ("validation_loss", "-5", true),
        ("epoch", "4294967295", true),
        ("validation_top1", "-1", false),
        ("seconds", "NaN", false),
        ("epoch", "4294967296", false),
    ] {
        let at = header.split(',').position(|name| name == column).unwrap();
        let mut fields = fields.clone();
        fields[at] = value;
        fs::write(&path, format!("{header}\n{}\n", fields.join(","))).unwrap();
        for output in [compare(), resume()] {
            assert_eq!(output.status.success(), is_fine, "{column} {value}: {output:?}");
            let is_named = stderr(&output).contains("epochs.csv`");
            assert!(is_fine || is_named && output.status.code() == Some(1), "{output:?}");
        }
    }
    let curves = fs::metadata(folder.path().join(RUN).join("curves.svg")).unwrap();
    assert!(curves.len() < 200_000);
}

/// Two that begin at once: each has its own folder or reports why not, and every existing run can be resumed.
#[test]
fn of_two_that_begin_at_once_none_harms_the_other() {
    let train = ["train", "--net", "digits_shared", "--epochs", "1", "--images", "64"];
    let folder = tempfile::tempdir().unwrap();
    let start = |_| {
        nets(folder.path(), &train)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let all: Vec<_> = (0..3).map(start).collect();
    let mut finished = 0;
    for child in all {
        let output = child.wait_with_output().unwrap();
        let is_reported = stderr(&output).contains("another process is training this run")
            || stderr(&output).contains("already contains a run");
        assert!(output.status.success() || is_reported, "{output:?}");
        finished += usize::from(output.status.success());
    }
    let runs: Vec<_> = fs::read_dir(folder.path().join("runs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let runs: Vec<_> = runs.iter().filter(|path| path.join("run.json").exists()).collect();
    assert!(finished >= 1 && runs.len() == finished);
    for run in runs {
        let output = nets(folder.path(), &["train", "--resume", run.to_str().unwrap()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}
