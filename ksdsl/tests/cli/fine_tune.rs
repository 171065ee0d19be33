//! `ksn train --weights` and `--train-only`.

use super::Folder;
use super::train::TINY;
use ksdsl_checkpoint::File;
use std::fs;
use std::path::Path;

const QUICK: [&str; 4] = ["--epochs", "1", "--images", "128"];

/// A folder with a trained `runs/digits-tiny-0`.
fn trained() -> Folder {
    let folder = Folder::with(&[("tiny.ksn", TINY)]);
    folder.printed(&[&["train", "tiny.ksn"][..], &QUICK].concat());
    folder
}

fn file(folder: &Folder, name: &str) -> File {
    File::parse(fs::read(folder.path().join(name)).unwrap()).unwrap()
}

#[test]
fn a_head_trains_on_a_checkpoint_and_the_run_needs_it_no_more() {
    let folder = trained();
    let options = [
        "--weights",
        "runs/digits-tiny-0",
        "--train-only",
        "head",
        "--out",
        "tuned",
    ];
    let run = folder.ksn(&[&["train", "tiny.ksn"][..], &options, &QUICK].concat());
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    // 4 x 10 + 10; the sum is that of the table in the tests of `train`.
    assert!(run.stderr.contains("trains 50 of 254 parameters"), "{}", run.stderr);
    let label = "tiny, from runs/digits-tiny-0/best.safetensors";
    assert!(run.stdout.contains(label), "{}", run.stdout);
    let tuned = "tuned/digits-tiny-from_best-0";
    let json = fs::read_to_string(folder.path().join(tuned).join("run.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["weights"]["file"], "runs/digits-tiny-0/best.safetensors");
    assert_eq!(json["recipe"]["train_only"][0], "head");
    let (start, end) = (
        file(&folder, "runs/digits-tiny-0/best.safetensors"),
        file(&folder, &format!("{tuned}/model.safetensors")),
    );
    for key in ["shared.body.weight", "stem.conv.weight", "body.1.batch_norm.bias"] {
        assert!(start.get(key).is_some() && start.get(key) == end.get(key), "{key}");
    }
    for key in ["head.linear.weight", "body.1.batch_norm.running_mean"] {
        assert!(start.get(key) != end.get(key), "{key}");
    }
    fs::remove_dir_all(folder.path().join("runs")).unwrap();
    let model = folder.path().join(tuned).join("model.safetensors");
    let expected = fs::read(&model).unwrap();
    fs::remove_file(&model).unwrap();
    folder.printed(&["train", "--resume", tuned]);
    assert!(fs::read(&model).unwrap() == expected);
    assert!(folder.printed(&["evaluate", tuned]).contains("top-1"));
    assert!(folder.printed(&["compare", "tuned"]).contains(label));
    let (_, error) = folder.refused(&["train", "--resume", tuned, "--train-only", "body"]);
    assert!(error.contains("resumes with its own settings"), "{error}");
}

#[test]
fn checkpoints_and_patterns_that_do_not_fit_are_explained() {
    let folder = trained();
    let best = "runs/digits-tiny-0/best.safetensors";
    let refused = |status: i32, more: &[&str]| {
        let (found, error) = folder.refused(&[&["train", "tiny.ksn", "--out", "none"][..], &QUICK, more].concat());
        assert_eq!(found, status, "{error}");
        assert!(!folder.path().join("none").exists(), "nothing is begun");
        error
    };
    let deeper = refused(1, &["--weights", best, "--set", "depth=3"]);
    assert!(
        deeper.contains("`body.2.batch_norm.weight` is missing")
            && deeper.contains("--weights-except 'body[2].batch_norm'"),
        "{deeper}"
    );
    let unshared = refused(1, &["--weights", best, "--set", "shared=false"]);
    assert!(
        unshared.contains("`ksn unroll` gives each layer its copy"),
        "{unshared}"
    );
    let typo = refused(1, &["--weights", best, "--weights-except", "haed"]);
    assert!(
        typo.contains("weights-except: `haed`: it matches no tensor; did you mean `head`?"),
        "{typo}"
    );
    let last = refused(2, &["--weights", "runs/digits-tiny-0/last.safetensors"]);
    assert!(last.contains("is the checkpoint for resuming the run"), "{last}");
    assert!(refused(1, &["--weights", "nowhere"]).contains("weights: cannot read `nowhere`"));
    assert!(refused(1, &["--weights", "tiny.ksn"]).contains("not a safetensors file"));
    assert!(refused(2, &["--weights-except", "head"]).contains("--weights"));
    let typo = refused(1, &["--train-only", "head.linaer"]);
    assert!(
        typo.contains("train-only: `head.linaer`: it matches no tensor; did you mean `linear`?"),
        "{typo}"
    );
    let part = refused(1, &["--train-only", "body[1]"]);
    assert!(
        part.contains("also select `body[0].conv.weight`, or leave it out"),
        "{part}"
    );
    let relu = refused(1, &["--train-only", "body[1].relu"]);
    assert!(relu.contains("`body[1].relu`: it matches no tensor"), "{relu}");
}

#[test]
fn sweeps_and_studies_start_from_checkpoints() {
    let folder = trained();
    let options = ["--weights", "runs/digits-tiny-0", "--out", "sweep", "--set", "depth=2"];
    folder.printed(&[&["sweep", "tiny.ksn"][..], &options, &QUICK].concat());
    assert!(folder.path().join("sweep/digits-tiny-depth_2-from_best-0").exists());
    let study = "\
        [training]
images = 128
weights = \"runs/digits-tiny-0/best.safetensors\"
recipe = { epochs = 1, train_only = [\"head\"] }
[[network]]
label = \"head\"
file = \"tiny.ksn\"
[[network]]
label = \"deeper\"
file = \"tiny.ksn\"
set = { depth = 3 }
training = { weights_except = [\"body[2]\", \"shared\"], recipe = { epochs = 1 } }
";
    fs::write(folder.path().join("study.toml"), study).unwrap();
    let text = folder.printed(&["sweep", "study.toml"]);
    assert!(text.contains("head") && text.contains("deeper"), "{text}");
    let start = file(&folder, "runs/digits-tiny-0/best.safetensors");
    let end = file(&folder, "runs/study/head-0/model.safetensors");
    assert!(start.get("stem.conv.weight") == end.get("stem.conv.weight"));
    let broken = study.replace(", \"shared\"", "");
    fs::write(folder.path().join("broken.toml"), broken).unwrap();
    let (_, error) = folder.refused(&["sweep", "broken.toml"]);
    assert!(
        error.contains("`body[2].conv.weight`") || error.contains("only some are selected"),
        "{error}"
    );
    let broken = study.replace("weights = \"", "# \"");
    fs::write(folder.path().join("broken.toml"), broken).unwrap();
    let (_, error) = folder.refused(&["sweep", "broken.toml"]);
    assert!(
        error.contains("`deeper`: `weights_except` without `weights`"),
        "{error}"
    );
    let (_, error) = folder.refused(&["sweep", "study.toml", "--weights", "runs/digits-tiny-0"]);
    assert!(error.contains("only --out"), "{error}");
}

/// Both stages of Ouro: the second changes the gate alone.
#[test]
fn the_gate_of_a_looped_model_trains_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let [net, recipe] = ["nets/ouro.ksn", "ouro_gate.json"].map(|name| root.join(name).display().to_string());
    let folder = Folder::with(&[("words.txt", &"to be or not to be ".repeat(40))]);
    let set = [
        "context=16",
        "width=8",
        "heads=2",
        "hidden=8",
        "depth=1",
        "steps=2",
        "supervised=true",
    ];
    let set: Vec<&str> = set.iter().flat_map(|value| ["--set", *value]).collect();
    let train = |more: &[&str]| {
        let all = [
            &["train", &net, "--data", "text:words.txt", "--batch", "4"],
            &set[..],
            more,
        ]
        .concat();
        let run = folder.ksn(&all);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        run.stderr
    };
    train(&["--steps", "3", "--out", "first"]);
    let only = |out: &str| {
        let mut runs = fs::read_dir(folder.path().join(out)).unwrap();
        let run = runs.next().unwrap().unwrap().path();
        assert!(runs.next().is_none());
        run
    };
    let first = only("first");
    let weights = first.to_str().unwrap();
    let told = train(&[
        "--weights",
        weights,
        "--recipe",
        &recipe,
        "--steps",
        "3",
        "--out",
        "second",
    ]);
    // 8 + 1.
    assert!(told.contains("trains 9 of "), "{told}");
    let [before, after] = [first.join("best.safetensors"), only("second").join("model.safetensors")]
        .map(|path| File::parse(fs::read(path).unwrap()).unwrap());
    for key in before.keys() {
        assert_eq!(
            before.get(key) == after.get(key),
            !key.starts_with("visits.gate."),
            "{key}"
        );
    }
    assert!(before.get("visits.gate.weight").is_some());
}
