//! Files on the disk, and the prefixes of wrappers.

use super::*;

/// A file is replaced whole, through a link; the reader's errors name the file.
#[test]
fn files_are_written_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    write_file(&path, b"long ago").unwrap();
    let bytes = to_bytes(&[singles("a", &[1], &[1.5])], &[shared("a", &["b", "c"])]);
    write_file(&path, &bytes).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    let read = File::read(&path).unwrap();
    assert_eq!(read.get("a").unwrap().data, 1.5_f32.to_le_bytes());
    assert_eq!(read.metadata()["a"], "b c");
    // Nothing is left beside it.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    let missing = folder.path().join("missing");
    let error = File::read(&missing).unwrap_err();
    assert!(error.to_string().contains(&missing.display().to_string()), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    assert!(write_file(&folder.path().join("none").join("file"), b"").is_err());
}

#[cfg(unix)]
#[test]
fn links_and_permissions_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let [target, link] = ["target", "link"].map(|name| folder.path().join(name));
    std::fs::write(&target, "old").unwrap();
    std::fs::set_permissions(&target, PermissionsExt::from_mode(0o640)).unwrap();
    symlink(&target, &link).unwrap();
    write_file(&link, b"new").unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), b"new");
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
}

/// PyTorch's wrappers put a prefix before every key (`DataParallel`: `module.`, `torch.compile`: `_orig_mod.`).
#[test]
fn prefixes_of_wrappers_are_named() {
    let network = [
        expected("shared.k.weight", &[1], None),
        expected("module.p", &[1], None),
    ];
    let sharing = [shared("shared.k.weight", &["a.weight", "b.weight"])];
    let problems = |keys: &[String]| {
        let tensors: Vec<Tensor<'_>> = keys.iter().map(|key| singles(key, &[1], &[1.0])).collect();
        resolve(&file(&tensors, &[]), &network, &sharing).map_or_else(|problems| problems.0, |_| Vec::new())
    };
    let with = |prefix: &str, keys: &[&str]| keys.iter().map(|key| format!("{prefix}{key}")).collect::<Vec<_>>();
    let (tied, copies) = (["shared.k.weight", "module.p"], ["a.weight", "b.weight", "module.p"]);
    assert_eq!(problems(&with("", &tied)), []);
    for prefix in ["module.", "_orig_mod.", "module._orig_mod.", &"p.".repeat(8)] {
        let wrapped = [Problem::Wrapped {
            prefix: prefix.to_owned(),
        }];
        for keys in [&tied[..], &copies] {
            assert_eq!(problems(&with(prefix, keys)), wrapped, "{keys:?}");
        }
        assert!(wrapped[0].to_string().contains(&format!("`{prefix}`")));
    }
    // No wrapper's: not before every key, before keys of another network, longer than is looked for.
    for keys in [
        [with("module.", &tied[..1]), with("", &tied[1..])].concat(),
        with("module.", &["shared.k.weight", "module.q"]),
        with(&"p.".repeat(9), &tied),
    ] {
        let found = problems(&keys);
        assert!(
            found
                .iter()
                .all(|problem| matches!(problem, Problem::Missing { .. } | Problem::Surplus { .. })),
            "{found:?}"
        );
        assert!(!found.is_empty(), "{keys:?}");
    }
}
