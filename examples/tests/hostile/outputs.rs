//! Outputs that fail, or are no plain files.

use crate::{RUN, fill, full, nets, refused, stderr, trained};
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::process::{Command, Stdio};

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
    let output = nets(folder.path(), &["data", "synthetic", "--training", "5", "--test", "1"]);
    let output = { output }.stdout(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

/// A failing standard error does not stop a run.
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

/// The other programs print in the same way.
#[test]
fn the_other_programs_take_a_full_or_closed_output_alike() {
    let folder = trained();
    let best = folder.path().join(RUN).join("best.safetensors");
    let load = env!("CARGO_BIN_EXE_load_digits");
    for (program, argument) in [(load, best.to_str().unwrap()), (load, "--help")] {
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
        output.stdout.is_empty() && stderr(&output).contains("is not a usable model"),
        "{output:?}"
    );
}
