//! The program `nets` where outputs fail, files were changed, and options make no sense.
#![cfg(unix)]

use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

const RUN: &str = "runs/digits-digits_shared-0";

fn nets(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nets"));
    command.args(arguments).current_dir(folder);
    command
}

/// A folder with a run of one epoch.
fn trained() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let train = ["train", "--net", "digits_shared", "--epochs", "1", "--images", "128"];
    let output = nets(folder.path(), &train).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    folder
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What it complained of; it printed nothing else.
#[track_caller]
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = nets(folder, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
    stderr(&output)
}

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// The commands that print something about the run in `folder`, and one that trains.
const COMMANDS: [&[&str]; 7] = [
    &["evaluate", RUN],
    &["predict", RUN, "0"],
    &["compare", "runs"],
    &["compare", "--markdown", "runs"],
    &["train", "--resume", RUN],
    &[
        "train",
        "--net",
        "digits_shared",
        "--epochs",
        "1",
        "--images",
        "64",
        "--out",
        "more",
    ],
    &["--help"],
];

/// `/dev/full` fails with ENOSPC, as a full disk.
#[test]
fn a_full_standard_output_is_an_error_and_a_closed_one_is_quiet() {
    let folder = trained();
    for command in COMMANDS {
        let output = nets(folder.path(), command).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{command:?}: {output:?}");
        let error = stderr(&output);
        let expected = "error: cannot write to standard output: No space left on device";
        assert!(error.contains(expected), "{command:?}: {error}");
        // A pipe whose reader is gone.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = nets(folder.path(), command).stdout(writer).output().unwrap();
        assert!(output.status.success(), "{command:?}: {output:?}");
        assert!(!stderr(&output).contains("error"), "{command:?}: {output:?}");
    }
    let output = nets(folder.path(), &["data", "made", "--training", "5", "--test", "1"]);
    let output = { output }.stdout(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

/// Where a run tells how it goes does not decide whether it goes on.
#[test]
fn training_outlives_a_standard_error_that_fails() {
    let train = ["train", "--net", "digits_shared", "--epochs", "2", "--images", "64"];
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    let failing: [&dyn Fn() -> Stdio; 2] = [&|| Stdio::from(full()), &closed];
    for stderr in failing {
        let folder = tempfile::tempdir().unwrap();
        let status = nets(folder.path(), &train)
            .stdout(Stdio::null())
            .stderr(stderr())
            .status()
            .unwrap();
        assert!(status.success());
        let epochs = fs::read_to_string(folder.path().join(RUN).join("epochs.csv")).unwrap();
        assert_eq!(epochs.lines().count(), 3);
        assert!(folder.path().join(RUN).join("model.safetensors").exists());
    }
    // An error is still one.
    let folder = tempfile::tempdir().unwrap();
    let status = nets(folder.path(), &["evaluate", "nowhere"])
        .stderr(full())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}

/// 0666 without the bits of the umask, of every file that a run leaves; folders 0777.
#[test]
fn all_files_of_a_run_follow_the_umask() {
    for (umask, file, inner) in [("022", 0o644, 0o755), ("077", 0o600, 0o700)] {
        let folder = tempfile::tempdir().unwrap();
        let script = format!("umask {umask}; exec \"$0\" train --net digits_shared --epochs 1 --images 64");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &script, env!("CARGO_BIN_EXE_nets")])
            .current_dir(folder.path());
        assert!(shell.output().unwrap().status.success());
        let mut folders = vec![folder.path().join("runs")];
        let mut files = 0;
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
                let is_folder = entry.file_type().unwrap().is_dir();
                let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
                assert_eq!(
                    mode,
                    if is_folder { inner } else { file },
                    "{:?}, umask {umask}",
                    entry.path()
                );
                files += u32::from(!is_folder);
                folders.extend(is_folder.then(|| entry.path()));
            }
        }
        // run.json, settings.json, run.lock, three models and checkpoints, two CSVs, four pictures, events.
        assert_eq!(files, 13);
    }
}

#[test]
fn outputs_are_written_through_links_pipes_and_devices() {
    let folder = trained();
    let at = |name: &str| folder.path().join(name);
    let run = |arguments: &[&str]| {
        let output = nets(folder.path(), arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    fs::write(at("target.svg"), "old").unwrap();
    symlink("target.svg", at("link.svg")).unwrap();
    run(&["evaluate", RUN, "--picture", "link.svg"]);
    assert!(fs::symlink_metadata(at("link.svg")).unwrap().is_symlink());
    assert!(fs::read_to_string(at("target.svg")).unwrap().starts_with("<svg"));
    run(&["evaluate", RUN, "--picture", "/dev/null"]);
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    let text = run(&["evaluate", RUN, "--picture", "/dev/stdout"]);
    assert!(String::from_utf8(text).unwrap().contains("<svg"));
    // A folder whose file of this name is a device, by a link.
    fs::create_dir(at("out")).unwrap();
    symlink("/dev/null", at("out/comparison.svg")).unwrap();
    symlink("../table.csv", at("out/comparison.csv")).unwrap();
    run(&["compare", "runs", "--out", "out"]);
    assert!(fs::symlink_metadata(at("out/comparison.svg")).unwrap().is_symlink());
    assert!(fs::read_to_string(at("table.csv")).unwrap().starts_with("run,network"));
    assert!(Command::new("mkfifo").arg(at("pipe.png")).status().unwrap().success());
    let mut reader = Command::new("cat")
        .arg(at("pipe.png"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    run(&["evaluate", RUN, "--picture", "pipe.png"]);
    let mut png = Vec::new();
    std::io::Read::read_to_end(reader.stdout.as_mut().unwrap(), &mut png).unwrap();
    assert!(reader.wait().unwrap().success() && png.starts_with(b"\x89PNG"));
    assert!(fs::symlink_metadata(at("pipe.png")).unwrap().file_type().is_fifo());
}

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
        ("classes", json!([]), "`classes` has 0 names for 10 classes"),
        ("classes", json!(names(1)), "`classes` has 1 names for 10 classes"),
        ("classes", json!(names(3)), "`classes` has 3 names for 10 classes"),
        ("classes", json!(names(20)), "`classes` has 20 names for 10 classes"),
        (
            "classes",
            json!(swapped),
            "the images have the class `0` where the run in `runs/digits-digits_shared-0` has `1`",
        ),
        ("classes", json!(twice), "`classes` has a name twice"),
        ("classes", json!(escape), "`classes` has the name \"\\u{1b}[31m\""),
        ("deviation", json!([0.0]), "`deviation` is 0: expected above 0"),
        ("deviation", json!([-1.0]), "`deviation` is -1: expected above 0"),
        ("deviation", json!([1e308]), "expected above 0, up to 255"),
        ("deviation", json!([]), "`deviation` has 0 values for 1 channels"),
        ("deviation", json!([6.0]), "not those of `data.scaling` in run.json"),
        ("mean", json!([1e308]), "expected 0 to 255"),
        ("mean", json!([-1.0]), "`mean` is -1: expected 0 to 255"),
        ("mean", json!([]), "`mean` has 0 values for 1 channels"),
        ("mean", json!([4.0, 4.0]), "`mean` has 2 values for 1 channels"),
        ("mean", json!([4.0]), "not those of `data.scaling` in run.json"),
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
        ("format", json!(2), "`format` is 2; this version reads 1"),
        ("netwrok", json!(1), "unknown key `netwrok`; did you mean `network`?"),
    ] {
        let mut changed = run.clone();
        changed[key] = value;
        fs::write(&path, changed.to_string()).unwrap();
        let error = refused(folder.path(), &["evaluate", RUN]);
        assert!(error.contains(expected), "{error}");
    }
}

/// Sets all parameters of a checkpoint to a value; its keys begin with that of the largest tensor.
fn fill(path: &Path, value: f32) {
    let file = fs::read(path).unwrap();
    let start = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let mut changed = file[..start].to_vec();
    (0..(file.len() - start) / 4).for_each(|_| changed.extend(value.to_le_bytes()));
    fs::write(path, changed).unwrap();
}

#[test]
fn a_model_without_numbers_says_so() {
    let folder = trained();
    let best = folder.path().join(RUN).join("best.safetensors");
    for value in [f32::NAN, f32::INFINITY] {
        fill(&best, value);
        for command in [&["evaluate", RUN][..], &["predict", RUN, "0"]] {
            let error = refused(folder.path(), command);
            assert!(
                error.contains("best.safetensors` is no model that can be used"),
                "{error}"
            );
            assert!(
                error.contains("of its tensors hold values that are not finite"),
                "{error}"
            );
        }
    }
    // All finite, and the sums are not.
    fill(&best, 1e38);
    let error = refused(folder.path(), &["evaluate", RUN]);
    assert!(error.contains("predicts nothing: all its logits are NaNs"), "{error}");
    let error = refused(folder.path(), &["predict", RUN, "0"]);
    assert!(error.contains("the model predicts nothing"), "{error}");
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
    assert!(try_with(&huge).contains("`augment.crop` should be at most 1024"));
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
            let is_told =
                error.contains("expected a whole number from 1 to 1024") || error.contains("unexpected argument");
            assert!(is_told, "{error}");
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
        ("loss", "1e-300", true),
        ("loss", "-5", true),
        ("epoch", "4294967295", true),
        ("top1", "-1", false),
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

/// A network's name cannot have them, but that of a folder can.
#[test]
fn terminals_are_not_controlled() {
    let folder = trained();
    let name = "runs/\u{1b}[31mred\u{7}";
    fs::rename(folder.path().join(RUN), folder.path().join(name)).unwrap();
    let output = nets(folder.path(), &["compare", "runs"]).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\u{fffd}[31mred") && !text.contains('\u{1b}'), "{text:?}");
    fs::remove_file(folder.path().join(name).join("best.safetensors")).unwrap();
    let error = refused(folder.path(), &["evaluate", name]);
    assert!(
        error.contains("\u{fffd}[31mred") && !error.contains('\u{1b}'),
        "{error:?}"
    );
}

/// Two that begin at once: each has a folder of its own or is told why not, and each run that is there can go on.
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
        let is_told = stderr(&output).contains("another program works on this run")
            || stderr(&output).contains("has a run already");
        assert!(output.status.success() || is_told, "{output:?}");
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

/// The other programs print in the same way.
#[test]
fn the_other_programs_take_a_full_or_closed_output_alike() {
    let folder = trained();
    let best = folder.path().join(RUN).join("best.safetensors");
    let load = env!("CARGO_BIN_EXE_load_digits");
    let sweep = env!("CARGO_BIN_EXE_sweep");
    for (program, argument) in [(load, best.to_str().unwrap()), (load, "--help"), (sweep, "--help")] {
        let command = || {
            let mut command = Command::new(program);
            command.arg(argument).current_dir(folder.path());
            command
        };
        let output = command().stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{argument}: {output:?}");
        assert!(
            stderr(&output).contains("error: cannot write to standard output: No space left"),
            "{output:?}"
        );
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command().stdout(writer).output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{argument}: {output:?}"
        );
    }
    fill(&best, f32::NAN);
    let output = Command::new(load).arg(&best).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        output.stdout.is_empty() && stderr(&output).contains("is no model that can be used"),
        "{output:?}"
    );
}

/// Two sweeps would replace each other's results, and a row that no training writes would be drawn.
#[test]
fn results_of_a_sweep_are_locked_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let refused = || {
        let mut sweep = Command::new(env!("CARGO_BIN_EXE_sweep"));
        let output = sweep.args(["--out", "."]).current_dir(folder.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        stderr(&output)
    };
    let held = ksdsl_files::lock(&folder.path().join("results.lock")).unwrap();
    assert!(refused().contains("another sweep works in `.`"));
    drop(held);
    let header = "data,net,seed,epochs,batch,rate,depth,shared_stages,mapping,parameters,unshared_parameters,multiply_adds,accuracy,seconds";
    for (row, expected) in [
        (
            "digits,a,0,1,64,0.1,2,0,one,100,100,100,1.5,1",
            "record 1: no training has such a `accuracy`",
        ),
        (
            "digits,a,0,1,64,0.1,2,0,one,100,100,100,NaN,1",
            "record 1: no training has such a `accuracy`",
        ),
        (
            "digits,a,0,1,64,0.1,2,0,one,0,100,100,0.5,1",
            "record 1: no training has such a `parameters`",
        ),
        (
            "digits,a,0,1,64,0.1,2,0,one,100,100,100,0.5,1e300",
            "record 1: no training has such a `seconds`",
        ),
    ] {
        fs::write(folder.path().join("results.csv"), format!("{header}\n{row}\n")).unwrap();
        let error = refused();
        assert!(
            error.contains("results.csv` is not the result of a sweep") && error.contains(expected),
            "{error}"
        );
    }
}
