//! `ksn train`, `evaluate`, `predict`, `compare` and `sweep`.

use super::{Folder, Run};
use std::fs;
use std::path::Path;

/// A classifier of the digits, small enough to train in a second.
pub(super) const TINY: &str = "\
/// A tiny network.
net tiny(depth = 2, shared = true) {
    input 1 x 8 x 8
    stage stem { conv(4, kernel = 3, stride = 2, pad = 1); batch_norm; relu }
    stage body { repeat depth { conv(4, kernel = 3, pad = 1); batch_norm; relu } }
    stage head { global_avg_pool; linear(10) }
    share isomorphic conv in body as body when shared
}
";

const QUICK: [&str; 4] = ["--epochs", "1", "--images", "128"];

impl Folder {
    /// What a command that succeeds prints.
    #[track_caller]
    pub(super) fn printed(&self, args: &[&str]) -> String {
        let Run { status, stdout, stderr } = self.ksn(args);
        assert_eq!(status, Some(0), "{args:?}: {stderr}");
        stdout
    }

    /// The status and the message of a command that fails.
    #[track_caller]
    pub(super) fn refused(&self, args: &[&str]) -> (i32, String) {
        let Run { status, stdout, stderr } = self.ksn(args);
        let status = status.unwrap();
        assert!(status != 0 && stdout.is_empty(), "{args:?}: {stdout}");
        (status, stderr)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// The text with `(` at a place.
fn json_with(json: &serde_json::Value, pointer: &str) -> String {
    let mut json = json.clone();
    *json.pointer_mut(pointer).unwrap() = "(".into();
    json.to_string()
}

fn with<'a>(args: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [args, more].concat()
}

#[test]
fn a_specification_trains_and_its_run_folder_is_enough_to_use_it() {
    let folder = Folder::with(&[("tiny.ksn", TINY)]);
    let text = folder.printed(&with(&["train", "tiny.ksn", "--set", "depth=3"], &QUICK));
    // 4 x 1 x 9 + 8, then one shared kernel of 4 x 4 x 9 and three norms, then 4 x 10 + 10.
    assert!(text.contains("tiny(depth = 3)") && text.contains(" 262 "), "{text}");
    let run = "runs/digits-tiny-depth_3-0";
    for file in [
        "run.json",
        "settings.json",
        "best.safetensors",
        "model.safetensors",
        "curves.svg",
    ] {
        assert!(folder.path().join(run).join(file).exists(), "{file}");
    }
    fs::remove_file(folder.path().join("tiny.ksn")).unwrap();
    let text = folder.printed(&["evaluate", run, "--picture", "confusion.svg"]);
    // A fifth of 1,797.
    assert!(text.contains("359") && text.contains("top-1"), "{text}");
    assert!(folder.path().join("confusion.svg").exists());
    let text = folder.printed(&["predict", &format!("{run}/model.safetensors"), "0", "358", "--top", "2"]);
    assert_eq!(text.matches("true class").count(), 2, "{text}");
    let (status, error) = folder.refused(&["predict", run, "359"]);
    assert!(
        status == 2 && error.contains("validation image 359 does not exist"),
        "{error}"
    );
    let text = folder.printed(&["compare", "runs", "--out", "comparison"]);
    assert!(text.contains("digits-tiny-depth_3-0"), "{text}");
    assert!(folder.path().join("comparison/comparison.csv").exists());
}

/// Killed after a step and resumed, a run gives the weights of one that was not.
#[test]
fn a_run_resumes_with_its_own_settings() {
    let folder = Folder::with(&[("tiny.ksn", TINY)]);
    let two = [
        "train",
        "tiny.ksn",
        "--set",
        "shared=false",
        "--epochs",
        "2",
        "--images",
        "128",
    ];
    folder.printed(&with(&two, &["--out", "whole"]));
    let run = "whole/digits-tiny-shared_false-0";
    let model = |run: &str| fs::read(folder.path().join(run).join("model.safetensors")).unwrap();
    let expected = model(run);
    // A finished run is not repeated; its model is written again if it is missing.
    fs::remove_file(folder.path().join(run).join("model.safetensors")).unwrap();
    folder.printed(&["train", "--resume", run]);
    assert!(model(run) == expected);
    folder.printed(&with(&two, &["--out", "whole", "--resume"]));
    let (status, error) = folder.refused(&["train", "tiny.ksn", "--resume", run]);
    assert!(
        status == 2 && error.contains("resumes with its own settings"),
        "{error}"
    );
    // Another value of a parameter is another run.
    let path = folder.path().join(run).join("run.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"shared\": \"false\""), "{text}");
    fs::write(&path, text.replace("\"shared\": \"false\"", "\"shared\": \"true\"")).unwrap();
    let (_, error) = folder.refused(&with(&two, &["--out", "whole", "--resume"]));
    assert!(
        error.contains("`settings.shared` was \"true\" and is now \"false\""),
        "{error}"
    );
}

/// Shared for an epoch, then with a kernel for each layer: the run is one of the network that it ends as.
#[test]
fn a_run_begins_as_a_network_with_other_sharing() {
    let folder = Folder::with(&[("tiny.ksn", TINY)]);
    let command = |epochs: &'static str, out: &'static str| {
        let begin = ["--begin-as", "shared=true", "--begin-epochs", epochs];
        let run = ["--epochs", "2", "--images", "128", "--out", out];
        [&["train", "tiny.ksn", "--set", "shared=false"][..], &begin, &run].concat()
    };
    let text = folder.printed(&command("1", "runs"));
    let label = "tiny(shared = false) after 1 epoch as tiny(shared = true)";
    assert!(text.contains(label) && text.contains(" 398 "), "{text}");
    let run = "runs/digits-tiny-shared_false-after_1_tiny-shared_true-0";
    let read = |name: &str| fs::read(folder.path().join(run).join(name)).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&read("run.json")).unwrap();
    assert_eq!(json["settings"]["shared"], "false");
    assert_eq!(json["beginning"]["epochs"], 1);
    assert_eq!(json["beginning"]["settings"]["shared"], "true");
    // The models have a kernel for each layer, which differ.
    let model = ksdsl_checkpoint::File::parse(read("model.safetensors")).unwrap();
    let kernel = |layer: u32| model.get(&format!("body.{layer}.conv.weight")).unwrap().data.to_vec();
    assert!(kernel(0) != kernel(1));
    let text = folder.printed(&["evaluate", run]);
    assert!(text.contains("top-1"), "{text}");
    let text = folder.printed(&["compare", "runs", "--out", "comparison"]);
    assert!(text.contains("(epoch 2)") && text.contains(label), "{text}");
    // The run folder is enough to resume it.
    let (whole, model) = (
        read("model.safetensors"),
        folder.path().join(run).join("model.safetensors"),
    );
    fs::remove_file(&model).unwrap();
    folder.printed(&["train", "--resume", run]);
    assert!(fs::read(model).unwrap() == whole);
    // A value that is none is named with its place.
    for (key, broken) in [
        ("settings", json_with(&json, "/settings/shared")),
        ("beginning.settings", json_with(&json, "/beginning/settings/shared")),
    ] {
        fs::write(folder.path().join(run).join("run.json"), broken).unwrap();
        let (_, error) = folder.refused(&["train", "--resume", run]);
        assert!(
            error.contains(&format!("run.json: `{key}.shared` is `(`: no value")),
            "{error}"
        );
    }
    // Another beginning is another run.
    let (status, error) = folder.refused(&command("2", "other"));
    assert!(
        status == 2 && error.contains("the run has 2 epochs: it cannot begin with 2 of another network"),
        "{error}"
    );
    assert!(!folder.path().join("other").exists());
}

#[test]
fn beginnings_that_do_not_fit_are_explained() {
    let folder = Folder::with(&[("tiny.ksn", TINY)]);
    let refused = |begin: &[&str]| {
        let (status, error) = folder.refused(&with(&["train", "tiny.ksn"], begin));
        assert_eq!(status, 2, "{error}");
        error
    };
    let one = ["--begin-epochs", "1"];
    assert!(refused(&["--begin-as", "shared=false"]).contains("--begin-epochs"));
    assert!(refused(&one).contains("--begin-as"));
    assert!(refused(&with(&["--begin-as", "shared="], &one)).contains("--begin-as: `` is not a value"));
    assert!(refused(&with(&["--begin-as", "a", "--begin-as", "b"], &one)).contains("two networks, `a` and `b`"));
    assert!(refused(&with(&["--begin-as", "tied"], &one)).contains("tied"));
    assert!(refused(&with(&["--begin-as", "share=false"], &one)).contains("share"));
    let deeper = refused(&with(&["--begin-as", "depth=3"], &one));
    assert!(
        deeper.contains("`tiny` cannot begin as `tiny(depth = 3)`, because more than sharing differs: "),
        "{deeper}"
    );
    assert!(
        refused(&with(&["--resume", "runs/any", "--begin-as", "shared=false"], &one))
            .contains("resumes with its own settings")
    );
}

/// A budget changes no result, and is no part of a run: one is resumed without it.
#[test]
fn budgets_change_memory_alone() {
    let folder = Folder::with(&[("tiny.ksn", TINY)]);
    let command = ["train", "tiny.ksn", "--set", "depth=6", "--out"];
    let model = |out: &str| fs::read(folder.path().join(out).join("digits-tiny-depth_6-0/model.safetensors")).unwrap();
    folder.printed(&with(&with(&command, &["all"]), &QUICK));
    let run = folder.ksn(&with(&with(&command, &["less", "--budget", "0.8"]), &QUICK));
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert!(
        run.stderr.contains(" a step takes ") && run.stderr.contains(" % more multiply-adds"),
        "{}",
        run.stderr
    );
    assert!(model("all") == model("less"));
    fs::remove_file(folder.path().join("less/digits-tiny-depth_6-0/model.safetensors")).unwrap();
    folder.printed(&["train", "--resume", "less/digits-tiny-depth_6-0", "--budget", "0.8"]);
    assert!(model("all") == model("less"));
    for (budget, reason) in [
        ("1kB", "--budget 1000B: a step of training does not fit into 1.0 KiB: "),
        ("2", "expected a fraction above 0 and at most 1"),
    ] {
        let (_, error) = folder.refused(&with(
            &["train", "tiny.ksn", "--out", "none", "--budget", budget],
            &QUICK,
        ));
        assert!(error.contains(reason), "{error}");
        assert!(!folder.path().join("none").exists(), "nothing is begun");
    }
    let (_, error) = folder.refused(&["summary", "tiny.ksn", "--budget", "1kB"]);
    assert!(error.contains(" KiB at least, a fraction of "), "{error}");
    let summary = folder
        .ksn(&["summary", "tiny.ksn", "--json", "--batch", "64", "--budget", "0.95"])
        .json();
    let bytes = |name: &str| summary["budget"][name].as_u64().unwrap();
    assert!(bytes("training_bytes") <= bytes("budget_bytes"), "{summary}");
    assert!(
        bytes("budget_bytes") < summary["memory"]["training_bytes"].as_u64().unwrap(),
        "{summary}"
    );
    assert!(
        (1..=summary["macs"].as_u64().unwrap()).contains(&bytes("recomputed_macs")),
        "{summary}"
    );
}

#[test]
fn sweeps_train_all_combinations_once() {
    let folder = Folder::with(&[("tiny.ksn", TINY)]);
    let command = with(
        &[
            "sweep",
            "tiny.ksn",
            "--set",
            "depth=2,3",
            "--set",
            "shared=true,false",
            "--seeds",
            "2",
            "--out",
            "sweep",
        ],
        &QUICK,
    );
    let text = folder.printed(&command);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let row = |first: &str| rows.iter().find(|row| row.first() == Some(&first)).unwrap().clone();
    // One kernel of 144 values for each convolution of the body, or one for all.
    assert_eq!(row("1")[..4], ["1", "2", "true", "254"], "{text}");
    assert_eq!(row("2")[..4], ["2", "2", "false", "398"], "{text}");
    assert_eq!(row("3")[..4], ["3", "3", "true", "262"], "{text}");
    assert_eq!(row("4")[..4], ["4", "3", "false", "550"], "{text}");
    let file = |name: &str| fs::read_to_string(folder.path().join("sweep").join(name)).unwrap();
    let table = file("sweep.csv");
    assert!(table.starts_with("depth,shared,run,seed,parameters,"), "{table}");
    assert_eq!(table.lines().count(), 1 + 8);
    let picture = file("sweep.svg");
    assert!(picture.contains("depth = 2") && picture.contains("depth = 3"));
    // Everything is there: nothing trains, not even in other seconds.
    assert_eq!(folder.printed(&command), text);
    assert_eq!(file("sweep.csv"), table);
}

#[test]
fn networks_that_are_no_classifiers_are_refused_with_the_place() {
    let nets = "\
net towers { input left: 4; input right: 4; from left; a: linear(2); output one; from right; linear(2); output two }
net vectors { input 64; linear(10) }
net maps {
    input 1 x 8 x 8
    conv(10, kernel = 3)
}
net colours { input 3 x 8 x 8; flatten; linear(10) }
net pairs(classes = 2) { input 1 x 8 x 8; flatten; linear(classes) }
";
    let folder = Folder::with(&[("nets.ksn", nets)]);
    let refused = |net: &str| folder.refused(&["train", "nets.ksn", "--net", net]);
    let (status, error) = refused("towers");
    assert_eq!(status, 1, "{error}");
    assert!(
        error.contains("nets.ksn: network `towers` has 2 inputs (left, right) and 2 outputs"),
        "{error}"
    );
    assert!(error.contains("Trainer::train_task"), "{error}");
    let (_, error) = refused("vectors");
    assert!(
        error.contains("`vectors` takes a vector of 64") && error.contains("input 1 x 8 x 8"),
        "{error}"
    );
    let (_, error) = refused("maps");
    assert!(error.contains("nets.ksn:5:5: network `maps` gives 10x6x6"), "{error}");
    let (status, error) = refused("colours");
    assert!(
        status == 2 && error.contains("change its input to `input 1 x 8 x 8`"),
        "{error}"
    );
    let (_, error) = refused("pairs");
    assert!(error.contains("--set classes=10"), "{error}");
}

#[test]
fn slips_on_the_command_line_are_explained() {
    let folder = Folder::with(&[("tiny.ksn", TINY)]);
    let error = |args: &[&str]| {
        let (status, error) = folder.refused(args);
        assert_eq!(status, 2, "{error}");
        error
    };
    assert!(error(&["train"]).contains("expected `ksn train FILE.ksn`"));
    assert!(error(&["train", "nowhere.ksn"]).contains("nowhere.ksn"));
    assert!(error(&["train", "tiny.ksn", "--set", "dept=2"]).contains("depth"));
    assert!(error(&["train", "tiny.ksn", "--net", "huge"]).contains("huge"));
    assert!(error(&["train", "--resume", "tiny.ksn"]).contains("ksn train tiny.ksn --resume"));
    assert!(error(&["train", "tiny.ksn", "--device", "cuda"]).contains("without the feature `cuda`"));
    assert!(error(&["train", "tiny.ksn", "--recipe", "none.json"]).contains("no such file"));
    assert!(error(&["train", "tiny.ksn", "--data", "cifar10:none"]).contains("none"));
    assert!(error(&["evaluate", "nowhere"]).contains("no run or checkpoint at `nowhere`"));
    assert!(error(&["evaluate", "."]).contains("is not a run folder"));
    assert!(error(&["compare", "."]).contains("is not a run folder and contains none"));
    assert!(error(&["sweep", "tiny.ksn", "--set", "depth=2", "--set", "depth=3"]).contains("--set depth=2,4"));
    assert!(error(&["sweep", "tiny.ksn", "--set", "depth=2,2"]).contains("given twice"));
}
