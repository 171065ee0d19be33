//! `ksn new`: `ksdsl-runtime/train/tests/project.rs` compiles and trains what it writes.

use super::{Folder, run};
use std::path::Path;

#[test]
fn a_project_passes_what_ksn_checks() {
    let folder = Folder::with(&[]);
    let made = folder.ksn(&["new", "my-net"]);
    assert_eq!((made.status, made.stderr.as_str()), (Some(0), ""));
    assert!(made.stdout.starts_with("created: my-net\n"), "{}", made.stdout);
    let project = folder.0.path().join("my-net");
    assert_eq!(
        run(&project, &["check", "networks/my_net.ksn"]).stdout,
        "ok: networks/my_net.ksn: 1 network, 17 layers\n"
    );
    assert_eq!(run(&project, &["fmt", "--check", "."]).status, Some(0));
    // The clone that the command was built in.
    let manifest = std::fs::read_to_string(project.join("Cargo.toml")).unwrap();
    let clone = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    assert!(
        manifest.contains(&format!("path = \"{}/ksdsl-runtime\"", clone.display())),
        "{manifest}"
    );
}

#[test]
fn nothing_is_overwritten_and_errors_say_what_to_do() {
    let folder = Folder::with(&[("taken", "mine")]);
    std::fs::create_dir(folder.0.path().join("folder")).unwrap();
    for name in ["taken", "folder"] {
        let refused = folder.ksn(&["new", name]);
        assert_eq!((refused.status, refused.stdout.as_str()), (Some(2), ""), "{name}");
        assert!(
            refused.stderr.starts_with(&format!("error: cannot write {name}: ")),
            "{}",
            refused.stderr
        );
    }
    assert_eq!(std::fs::read_to_string(folder.0.path().join("taken")).unwrap(), "mine");
    let refused = folder.ksn(&["new", "2nd"]);
    assert_eq!(refused.status, Some(2));
    assert!(
        refused.stderr.contains("a crate cannot be called `2nd`"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("use a letter first"), "{}", refused.stderr);
    let refused = folder.ksn(&["new", "net2", "--path", "."]);
    assert_eq!(refused.status, Some(2));
    assert!(
        refused.stderr.contains("is no clone of KSDSL's repository"),
        "{}",
        refused.stderr
    );
    assert!(!folder.0.path().join("net2").exists());
}
