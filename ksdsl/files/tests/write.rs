//! Files of every kind that a path can lead to, written.
#![cfg(unix)]

use ksdsl_files::{lock, remove_partial, write};
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// No test, but what the process of others does: writes to the path that its environment names.
#[test]
#[ignore = "what other tests run in a process of its own"]
fn process() {
    let Some(path) = std::env::var_os("KSDSL_TEST_PATH") else {
        return;
    };
    write(Path::new(&path), b"new").unwrap();
}

/// A process that writes to `path`, from a shell that first does `before` and redirects as `behind` says.
fn shell(before: &str, path: &str, behind: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            &format!("{before}; exec \"$0\" process --exact --ignored --nocapture {behind}"),
        ])
        .arg(std::env::current_exe().unwrap())
        .env("KSDSL_TEST_PATH", path)
        .stdout(Stdio::null());
    command
}

/// A new file's mode is 0666 without the bits of the umask, as POSIX says of `open`.
///
/// Elsewhere: <https://github.com/huggingface/huggingface_hub/issues/1215>,
/// <https://github.com/pytorch/pytorch/issues/81297>
#[test]
fn new_files_follow_the_umask_and_old_ones_keep_their_mode() {
    let folder = tempfile::tempdir().unwrap();
    for (umask, expected) in [("022", 0o644), ("027", 0o640), ("077", 0o600), ("002", 0o664)] {
        let path = folder.path().join(umask);
        let mut process = shell(&format!("umask {umask}"), path.to_str().unwrap(), "");
        assert!(process.status().unwrap().success());
        assert_eq!(mode(&path), expected, "umask {umask}");
    }
    let path = folder.path().join("old");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
    write(&path, b"new").unwrap();
    assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"new".to_vec(), 0o604));
}

#[test]
fn links_stay_and_what_they_lead_to_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("inner")).unwrap();
    fs::write(at("inner/file"), "old").unwrap();
    symlink("inner/file", at("first")).unwrap();
    symlink("first", at("second")).unwrap();
    // To what is not there yet, relative to the link's folder.
    symlink("../fresh", at("inner/third")).unwrap();
    for (link, target) in [("second", "inner/file"), ("inner/third", "fresh")] {
        write(&at(link), b"new").unwrap();
        assert_eq!(fs::read(at(target)).unwrap(), b"new", "{link}");
        assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink(), "{link}");
    }
    symlink("ring", at("ring")).unwrap();
    let error = write(&at("ring"), b"new").unwrap_err().to_string();
    assert!(error.contains("links"), "{error}");
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        5,
        "no partial file is left"
    );
}

#[test]
fn pipes_and_devices_are_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    write(&pipe, b"through").unwrap();
    assert_eq!(reader.join().unwrap(), b"through");
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    let link = folder.path().join("link");
    symlink("/dev/null", &link).unwrap();
    write(&link, b"away").unwrap();
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    assert!(write(folder.path(), b"").is_err());
    symlink("/dev/full", folder.path().join("full")).unwrap();
    let error = write(&folder.path().join("full"), b"x").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}

/// A shell's `> file` and `| cat`: what is there before stays.
#[test]
fn standard_output_is_written_to_whatever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("output");
    fs::write(&path, "before ").unwrap();
    let behind = format!(">> {}", path.display());
    assert!(shell(":", "/dev/stdout", &behind).status().unwrap().success());
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("before ") && text.contains("new"), "{text}");
    let mut process = shell(":", "/dev/stdout", "").stdout(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    process.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(process.wait().unwrap().success() && text.contains("new"), "{text}");
}

/// Files of others that begin with a point stay.
#[test]
fn what_a_killed_program_left_goes_away() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in [".tmpAb3dE9", ".tmp-long-name", ".tmpfile", "file"] {
        fs::write(at(name), "half").unwrap();
    }
    remove_partial(folder.path());
    assert!(!at(".tmpAb3dE9").exists());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn a_lock_leaves_what_the_file_contains_and_is_freed_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), "precious").unwrap();
    symlink("file", at("lock")).unwrap();
    let held = lock(&at("lock")).unwrap();
    assert!(held.is_some() && lock(&at("lock")).unwrap().is_none());
    drop(held);
    assert!(lock(&at("lock")).unwrap().is_some());
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "precious");
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    assert!(
        lock(&at("pipe"))
            .unwrap_err()
            .to_string()
            .contains("not a regular file")
    );
}
