//! `ksn fmt`: which files it touches, and how it exits. That formatting changes nothing else, `tests/format.rs` shows.

use super::{BROKEN, Folder, SMALL};
use std::io::Write as _;
use std::process::{Command, Stdio};

const UGLY: &str = "net a{input 3;linear( 4 );relu;}\n";
const PRETTY: &str = "net a { input 3; linear(4); relu }\n";

fn read(folder: &Folder, name: &str) -> String {
    std::fs::read_to_string(folder.0.path().join(name)).unwrap()
}

#[test]
fn files_are_rewritten_and_named() {
    let folder = Folder::with(&[("ugly.ksn", UGLY), ("small.ksn", SMALL)]);
    let run = folder.ksn(&["fmt", "ugly.ksn", "small.ksn"]);
    assert_eq!(
        (run.status, run.stdout.as_str(), run.stderr.as_str()),
        (Some(0), "formatted: ugly.ksn\n", "")
    );
    assert_eq!(
        (read(&folder, "ugly.ksn").as_str(), read(&folder, "small.ksn").as_str()),
        (PRETTY, SMALL)
    );
    let again = folder.ksn(&["fmt", "ugly.ksn", "small.ksn"]);
    assert_eq!((again.status, again.stdout.as_str()), (Some(0), ""));
    // No temporary file is left.
    assert_eq!(std::fs::read_dir(folder.0.path()).unwrap().count(), 2);
}

#[test]
fn check_prints_a_diff_and_writes_nothing() {
    let folder = Folder::with(&[("ugly.ksn", UGLY), ("pretty.ksn", PRETTY)]);
    let run = folder.ksn(&["fmt", "--check", "ugly.ksn", "pretty.ksn"]);
    assert_eq!(run.status, Some(1));
    let diff = format!("--- ugly.ksn\n+++ ugly.ksn (formatted)\n@@ -1 +1 @@\n-{UGLY}+{PRETTY}");
    assert_eq!(run.stdout, diff);
    assert!(run.stderr.contains("1 file differs"), "{}", run.stderr);
    assert_eq!(read(&folder, "ugly.ksn"), UGLY);
    let pretty = folder.ksn(&["fmt", "--check", "pretty.ksn"]);
    assert_eq!(
        (pretty.status, pretty.stdout.as_str(), pretty.stderr.as_str()),
        (Some(0), "", "")
    );
    assert!(
        folder
            .ksn(&["fmt", "--check", "--color", "always", "ugly.ksn"])
            .stdout
            .contains("\x1b[31m-net a{")
    );
}

#[test]
fn files_with_syntax_errors_are_left_alone() {
    let broken = "net a{input 3;  staeg s{relu}}\n";
    let folder = Folder::with(&[("broken.ksn", broken), ("ugly.ksn", UGLY)]);
    let run = folder.ksn(&["fmt", "broken.ksn", "ugly.ksn"]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(1), "formatted: ugly.ksn\n"));
    assert!(run.stderr.starts_with("error[KS0001]: "), "{}", run.stderr);
    assert_eq!(read(&folder, "broken.ksn"), broken);
    // What does not resolve, and imports that do not exist, can be formatted all the same.
    let folder = Folder::with(&[("broken.ksn", BROKEN), ("import.ksn", "use \"missing.ksn\"\n")]);
    let run = folder.ksn(&["fmt", "--check", "broken.ksn", "import.ksn"]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
}

#[test]
fn folders_stand_for_their_specifications() {
    let folder = Folder::with(&[("b.ksn", UGLY), ("note.txt", UGLY)]);
    for inner in ["inner", ".hidden"] {
        std::fs::create_dir(folder.0.path().join(inner)).unwrap();
        std::fs::write(folder.0.path().join(inner).join("a.ksn"), UGLY).unwrap();
    }
    let run = folder.ksn(&["fmt", "."]);
    let inner = std::path::Path::new(".").join("inner").join("a.ksn");
    let expected = format!("formatted: ./b.ksn\nformatted: {}\n", inner.display());
    assert_eq!((run.status, run.stdout), (Some(0), expected));
    assert_eq!(
        (read(&folder, "note.txt"), read(&folder, ".hidden/a.ksn")),
        (UGLY.to_owned(), UGLY.to_owned())
    );
}

#[test]
fn unreadable_files_are_usage_errors() {
    let folder = Folder::with(&[("ugly.ksn", UGLY)]);
    let run = folder.ksn(&["fmt", "missing.ksn", "ugly.ksn"]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(2), "formatted: ugly.ksn\n"));
    assert!(run.stderr.contains("missing.ksn"), "{}", run.stderr);
}

/// The output of `ksn fmt -` and its exit status.
fn pipe(text: &str, args: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ksn"))
        .args(["fmt", "-"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn standard_input_goes_to_standard_output() {
    assert_eq!(pipe(UGLY, &[]), (Some(0), PRETTY.to_owned()));
    assert_eq!(pipe(PRETTY, &[]), (Some(0), PRETTY.to_owned()));
    assert_eq!(pipe(PRETTY, &["--check"]), (Some(0), String::new()));
    assert_eq!(pipe(UGLY, &["--check"]).0, Some(1));
    assert_eq!(pipe("net a {", &[]), (Some(1), String::new()));
}
