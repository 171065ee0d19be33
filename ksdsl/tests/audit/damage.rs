//! Damaged and hostile files: tensors or an error, and no more memory than the file has.

use crate::files::{gguf, onnx, packed, random, safetensors};
use ksdsl::audit::read;
use proptest::prelude::*;
use std::io::Cursor;

fn files() -> [Vec<u8>; 3] {
    [
        safetensors(&[random("a", &[4, 4], 1), random("b", &[4, 4], 2)], &[("a", "x y")]),
        onnx(&[random("a", &[4, 4], 1)], &[random("b", &[4, 4], 2)]),
        gguf(&[packed("a", [64, 2], 8, 136, 1), packed("b", [8, 6], 1, 96, 2)]),
    ]
}

#[test]
fn files_cut_anywhere_are_errors() {
    for (at, file) in files().iter().enumerate() {
        assert!(read(Cursor::new(file.clone())).is_ok());
        for length in 0..file.len() {
            let cut = read(Cursor::new(file[..length].to_vec()));
            // An ONNX file without its last field may be whole.
            assert!(cut.is_err() || at == 1, "format {at}, {length} of {} bytes", file.len());
        }
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let [_, _, gguf] = files();
    let changed = |at: usize, bytes: &[u8]| {
        let mut file = gguf.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        read(Cursor::new(file)).expect_err("an error")
    };
    assert_eq!(
        changed(4, &1u32.to_le_bytes()),
        "GGUF of version 1; versions 2 and 3 are read"
    );
    assert_eq!(changed(8, &u64::MAX.to_le_bytes()), "more than 500000 tensors");
    let text = read(Cursor::new(b"hello, this is text".to_vec())).expect_err("an error");
    assert_eq!(
        text,
        "it is neither safetensors nor GGUF, and not the protobuf of an ONNX model"
    );
}

proptest! {
    #[test]
    fn no_mutation_ends_in_a_panic(
        file in 0..3usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = files()[file].clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = read(Cursor::new(bytes));
    }

    #[test]
    fn no_bytes_end_in_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), magic in any::<bool>()) {
        let bytes = if magic { [b"GGUF\x03\0\0\0".to_vec(), bytes].concat() } else { bytes };
        let _ = read(Cursor::new(bytes));
    }
}
