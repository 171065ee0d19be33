//! The bytes of a file: what the format says, and refusals.

use super::*;

/// The description of the format, <https://github.com/huggingface/safetensors#format>, and the sizes that the
/// names say, in bytes.
const KINDS: [(&str, usize); 15] = [
    ("F64", 8),
    ("I64", 8),
    ("U64", 8),
    ("F32", 4),
    ("I32", 4),
    ("U32", 4),
    ("F16", 2),
    ("BF16", 2),
    ("I16", 2),
    ("U16", 2),
    ("F8_E5M2", 1),
    ("F8_E4M3", 1),
    ("I8", 1),
    ("U8", 1),
    ("BOOL", 1),
];

/// A file with this header and this many bytes of data.
fn with_header(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn entry(key: &str, kind: &str, shape: &str, offsets: &str) -> String {
    format!("\"{key}\":{{\"dtype\":\"{kind}\",\"shape\":{shape},\"data_offsets\":{offsets}}}")
}

#[test]
fn elements_have_the_size_of_their_type() {
    for (name, bytes) in KINDS {
        let of = |bytes: usize| {
            let header = format!("{{{}}}", entry("a", name, "[3,2]", &format!("[0,{bytes}]")));
            File::parse(with_header(&header, bytes))
        };
        let file = of(6 * bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let view = file.get("a").unwrap();
        assert_eq!((view.kind.name(), view.kind.to_string().as_str()), (name, name));
        assert_eq!(
            (view.kind.bytes(), view.data.len(), view.shape),
            (bytes as u64, 6 * bytes, &[3, 2][..])
        );
        for wrong in [6 * bytes - 1, 6 * bytes + 1, 0] {
            let error = of(wrong).unwrap_err().to_string();
            assert!(
                error.contains(&format!("does not match its data, bytes 0 to {wrong}")),
                "{name}: {error}"
            );
        }
    }
    for name in ["f32", "F", "F128", ""] {
        let error = File::parse(with_header(&format!("{{{}}}", entry("a", name, "[0]", "[0,0]")), 0)).unwrap_err();
        assert!(
            error.to_string().contains(&format!("unknown element type `{name}`")),
            "{error}"
        );
    }
}

/// What is wrong is named, with the tensor where it is one's.
#[test]
fn refusals_say_what_is_wrong() {
    let one = |kind, shape, offsets| format!("{{{}}}", entry("a", kind, shape, offsets));
    let two = |second: &str| {
        format!(
            "{{{},{}}}",
            entry("a", "F32", "[2]", "[0,8]"),
            entry("b", "F32", "[1]", second)
        )
    };
    for (header, data, parts) in [
        ("[]".to_owned(), 0, &["not a safetensors file: the header"][..]),
        ("{".to_owned(), 0, &["not a safetensors file: invalid header"]),
        ("{\"a\":1}".to_owned(), 0, &["`a`"]),
        (
            "{\"__metadata__\":{\"a\":1}}".to_owned(),
            0,
            &["not a safetensors file"],
        ),
        (
            one("F32", "[1]", "[0,4]"),
            5,
            &["1 unexpected bytes after the last tensor"],
        ),
        (
            one("F32", "[1]", "[0,4]"),
            7,
            &["3 unexpected bytes after the last tensor"],
        ),
        (
            one("F32", "[1]", "[4,8]"),
            8,
            &["`a` starts at byte 4", "previous tensor ends at 0"],
        ),
        (one("F32", "[1]", "[4,0]"), 4, &["`a`", "bytes 4 to 0"]),
        (one("F32", "[1]", "[0,4,8]"), 4, &["`a`"]),
        (one("F32", "[1]", "[0]"), 4, &["`a`"]),
        (one("F32", "[-1]", "[0,4]"), 4, &["`a`"]),
        (one("F32", "[1.5]", "[0,6]"), 6, &["`a`"]),
        (one("F32", "1", "[0,4]"), 4, &["`a`"]),
        (
            one("F64", "[18446744073709551615,3]", "[0,8]"),
            8,
            &["`a`", "does not match its data"],
        ),
        // 2^62 times 4 elements of 4 bytes are 0 bytes in 64 bits.
        (
            one("F32", "[4611686018427387904,4]", "[0,0]"),
            0,
            &["`a`", "does not match its data"],
        ),
        (two("[4,8]"), 12, &["`b` starts at byte 4", "previous tensor ends at 8"]),
        (
            two("[9,13]"),
            13,
            &["`b` starts at byte 9", "previous tensor ends at 8"],
        ),
        (two("[8,12]"), 10, &["truncated", "last 2 bytes", "b"]),
        (two("[8,12]"), 6, &["truncated", "last 6 bytes", "a", "b"]),
    ] {
        let error = File::parse(with_header(&header, data)).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{header}: {error}");
        }
    }
    assert!(File::parse(with_header(&two("[8,12]"), 12)).is_ok());
    // No tensor at all is one that fits.
    assert!(File::parse(with_header("{}", 0)).is_ok());
}

/// The length of the header: at most what the format allows, and at most what follows.
#[test]
fn lengths_of_headers_are_checked() {
    let with_length = |length: u64| {
        let mut bytes = with_header("{}", 0);
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        File::parse(bytes).unwrap_err().to_string()
    };
    assert!(with_length(3).contains("the header has 3 bytes, but only 2 bytes follow"));
    assert!(with_length(100_000_000).contains("the header has 100000000 bytes, but only 2 bytes follow"));
    assert!(with_length(100_000_001).contains("a header of 100000001 bytes exceeds the format's limit"));
    for length in 0..8 {
        let error = File::parse(vec![0; length]).unwrap_err().to_string();
        assert!(error.contains("shorter than a header's length field"), "{error}");
    }
}

/// Wide elements come first, so that each tensor begins at a multiple of its elements; keys in order where they
/// are of one width. The header ends at a multiple of 8.
#[test]
fn tensors_are_aligned() {
    let tensors = [
        tensor("a", Kind::U8, &[3], vec![1, 2, 3]),
        singles("d", &[1], &[0.5]),
        doubles("c", &[1], &[0.25]),
        tensor("b", Kind::F16, &[1], vec![4, 5]),
        singles("a.b", &[1], &[2.0]),
    ];
    let bytes = to_bytes(&tensors, &[]);
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    assert_eq!(length % 8, 0);
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let offsets = |key: &str| header[key]["data_offsets"].clone();
    for (key, expected) in [
        ("c", [0, 8]),
        ("a.b", [8, 12]),
        ("d", [12, 16]),
        ("b", [16, 18]),
        ("a", [18, 21]),
    ] {
        assert_eq!(offsets(key), serde_json::json!(expected), "{key}");
    }
    let read = File::parse(bytes).unwrap();
    assert!(read.keys().eq(["a", "a.b", "b", "c", "d"]));
    for tensor in &tensors {
        let view = read.get(&tensor.key).unwrap();
        assert_eq!(
            (view.kind, view.shape, view.data),
            (tensor.kind, &tensor.shape[..], &*tensor.data)
        );
    }
    assert!(read.get("e").is_none() && read.metadata().is_empty());
}
