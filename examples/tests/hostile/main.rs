//! The program `nets` where outputs fail, files were changed, and options make no sense.
#![cfg(unix)]

mod files;
mod outputs;

use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::process::{Command, Output};

pub(crate) const RUN: &str = "runs/digits-digits_shared-0";

pub(crate) fn nets(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nets"));
    command.args(arguments).current_dir(folder);
    command
}

/// A folder with a run of one epoch.
pub(crate) fn trained() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let train = ["train", "--net", "digits_shared", "--epochs", "1", "--images", "128"];
    let output = nets(folder.path(), &train).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    folder
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What it complained of; it printed nothing else.
#[track_caller]
pub(crate) fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = nets(folder, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
    stderr(&output)
}

pub(crate) fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// Sets all values in a checkpoint, whose header stays as it is.
pub(crate) fn fill(path: &Path, value: f32) {
    let file = fs::read(path).unwrap();
    let start = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let mut changed = file[..start].to_vec();
    (0..(file.len() - start) / 4).for_each(|_| changed.extend(value.to_le_bytes()));
    fs::write(path, changed).unwrap();
}
