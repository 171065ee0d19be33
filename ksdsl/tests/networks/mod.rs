//! The networks of the repository.

use ksdsl::compile::{Options, compile};
use ksdsl::ir::Network;
use std::path::{Path, PathBuf};

/// The folders of specifications, which `tests/parity/onnx.py` has, too.
const FOLDERS: &[&str] = &["examples/nets", "tests/nets", "tests/nets/known", "ksdsl/tests/data"];

/// The specifications, in the order of their paths.
pub(crate) fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let list = |folder: &&str| std::fs::read_dir(root.join(folder)).expect("a folder");
    let paths = FOLDERS
        .iter()
        .flat_map(list)
        .map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|it| it == "ksn"))
        .collect();
    paths.sort();
    paths
}

/// All networks.
pub(crate) fn networks() -> Vec<Network> {
    let read = |path: PathBuf| ksdsl::spec::read_source(&path).expect("a source");
    let compiled = files()
        .into_iter()
        .flat_map(|path| compile(&read(path), &Options::default()).networks);
    compiled.collect()
}
