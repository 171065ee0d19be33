//! Models of ONNX with tensors in other files, in graphs inside of graphs, and in functions; `onnx/make.py` writes them.

use crate::found;
use ksdsl::audit::{Content, audit, read, read_in};
use std::fs::{self, File};
use std::io::Cursor;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audit/onnx")
}

fn model(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap()
}

fn names(content: &Content) -> Vec<&str> {
    content.tensors.iter().map(|tensor| tensor.name.as_str()).collect()
}

#[test]
fn graphs_and_functions_are_read() {
    let content = read(Cursor::new(model("inside.onnx"))).unwrap();
    let expected = [
        "Block/k",
        "table",
        "thin",
        "y/else_branch/steps/body/c",
        "y/else_branch/steps/body/w",
        "y/then_branch/w",
    ];
    assert_eq!(names(&content), expected);
    let copies = [
        "copies Block/k table",
        "copies y/else_branch/steps/body/c y/then_branch/w",
    ];
    assert_eq!(found(&audit(&content, None, None)), copies);
}

/// Bytes that two tensors name are stored once, a copy at another place is not.
#[test]
fn other_files_are_read() {
    let bytes = model("external.onnx");
    let content = read_in(&folder(), Cursor::new(&bytes)).unwrap();
    assert_eq!(names(&content), ["a", "a_again", "a_copy", "b"]);
    let findings = audit(&content, None, None);
    assert_eq!(found(&findings), ["copies a a_again a_copy"]);
    assert_eq!(findings[0].bytes, 4 * 8 * 4);
    // The same tensors as numbers of NumPy's generators, which `inside.onnx` has, too.
    let inside = read(Cursor::new(model("inside.onnx"))).unwrap();
    let digest = |of: &Content, name: &str| of.tensors.iter().find(|tensor| tensor.name == name).unwrap().digest;
    assert_eq!(digest(&content, "a"), digest(&inside, "y/then_branch/w"));
    assert_eq!(digest(&content, "b"), digest(&inside, "y/else_branch/steps/body/w"));
}

/// The model with another text in the place of one of as many bytes.
fn changed(old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let (mut bytes, old) = (model("external.onnx"), old.as_bytes());
    let places: Vec<usize> = (0..bytes.len() - old.len())
        .filter(|&at| bytes[at..].starts_with(old))
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + old.len()].copy_from_slice(new.as_bytes());
    }
    bytes
}

#[test]
fn what_is_not_there_or_not_allowed_is_an_error() {
    let beside = tempfile::tempdir().unwrap();
    let folder = beside.path().join("model");
    fs::create_dir(&folder).unwrap();
    fs::copy(self::folder().join("weights.bin"), beside.path().join("weights.bin")).unwrap();
    let error = |bytes: Vec<u8>| read_in(&folder, Cursor::new(bytes)).map(|_| ()).unwrap_err();
    let whole = || model("external.onnx");
    let missing = error(whole());
    assert!(
        missing.starts_with("`a`: cannot read its external data in `weights.bin`: "),
        "{missing}"
    );
    fs::copy(self::folder().join("weights.bin"), folder.join("weights.bin")).unwrap();
    assert!(read_in(&folder, Cursor::new(whole())).is_ok());

    for outside in ["../eights.b", "/eights.bin", "a/../../bin"] {
        let bytes = changed("weights.bin", outside);
        let expected = format!("`a`: external data in `{outside}` is not read: it is not in the folder of the model");
        assert_eq!(error(bytes), expected);
    }
    let short = File::options().write(true).open(folder.join("weights.bin")).unwrap();
    short.set_len(300).unwrap();
    assert!(
        error(whole()).starts_with("`a_copy`: it ends at byte 300"),
        "{}",
        error(whole())
    );
    assert_eq!(
        error(changed("256", "2x6")),
        "`a_copy`: `offset` of its external data is `2x6`: expected a number"
    );
    assert_eq!(
        error(changed("location", "lacation")),
        "`a`: its external data has the key `lacation`: expected one of location, offset, length, checksum, basepath"
    );
    assert_eq!(
        error(changed("location", "basepath")),
        "`a`: its external data has no `location`"
    );
    assert_eq!(
        error(changed("128", "-12")),
        "`b`: `length` of its external data is `-12`: expected a number"
    );
    let most = "9".repeat(3);
    assert!(error(changed("256", &most)).starts_with("`a_copy`: it ends at byte 300"));
    let alone = read(Cursor::new(whole())).map(|_| ()).unwrap_err();
    assert_eq!(alone, "`a`: its elements are in another file, `weights.bin`");
    #[cfg(unix)]
    {
        fs::remove_file(folder.join("weights.bin")).unwrap();
        std::os::unix::fs::symlink("../weights.bin", folder.join("weights.bin")).unwrap();
        assert!(error(whole()).ends_with("it is not in the folder of the model"));
    }
}

/// A field of a message: number and bytes.
fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    let varint = |mut value: u64| {
        let mut bytes = Vec::new();
        while value > 127 {
            bytes.push(value as u8 | 128);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    };
    [varint(number << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// A graph in a graph, as often as nobody writes it.
#[test]
fn nesting_has_an_end() {
    let nested = |depth: usize| {
        // A node's attribute 5 with the name `g` and the graph 6.
        let inside = |graph: Vec<u8>, _| {
            let attribute = [field(1, b"g"), field(6, &graph)].concat();
            field(1, &[field(3, b"n"), field(5, &attribute)].concat())
        };
        field(7, &(0..depth).fold(Vec::new(), inside))
    };
    assert!(read(Cursor::new(nested(32))).is_ok());
    let error = read(Cursor::new(nested(33))).map(|_| ()).unwrap_err();
    assert!(error.starts_with("graphs inside of more than 32 others"), "{error}");
    assert!(read(Cursor::new(nested(2000))).is_err());
}
