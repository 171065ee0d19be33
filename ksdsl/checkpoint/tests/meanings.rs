//! What files mean, in cases that tell right from wrong: several copies of which one differs, visits too many
//! and too few, elements of every size, weights of every kind. Messages name the tensor and what is wrong.

use ksdsl_checkpoint::fuse::{Method, fuse, unroll};
use ksdsl_checkpoint::{Expected, File, Kind, Private, Problem, Shared, Tensor, resolve, to_bytes, write_file};
use std::borrow::Cow;

fn tensor(key: &str, kind: Kind, shape: &[u64], data: Vec<u8>) -> Tensor<'static> {
    Tensor {
        key: key.to_owned(),
        kind,
        shape: shape.to_vec(),
        data: Cow::Owned(data),
    }
}

fn singles(key: &str, shape: &[u64], values: &[f32]) -> Tensor<'static> {
    let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(key, Kind::F32, shape, data)
}

fn doubles(key: &str, shape: &[u64], values: &[f64]) -> Tensor<'static> {
    let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(key, Kind::F64, shape, data)
}

fn file(tensors: &[Tensor<'_>], sharing: &[Shared]) -> File {
    File::parse(to_bytes(tensors, sharing)).unwrap()
}

fn expected(key: &str, shape: &[u64], kind: Option<Kind>) -> Expected {
    Expected {
        key: key.to_owned(),
        shape: shape.to_vec(),
        kind,
    }
}

fn shared(key: &str, visits: &[&str]) -> Shared {
    Shared {
        key: key.to_owned(),
        visits: visits.iter().map(|visit| (*visit).to_owned()).collect(),
    }
}

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

/// Every order of three copies of which one differs, with and without the tensor itself.
#[test]
fn one_copy_that_differs_is_found() {
    let network = [expected("shared.k.weight", &[2], None)];
    let sharing = [shared("shared.k.weight", &["a.weight", "b.weight", "c.weight"])];
    let keys = ["shared.k.weight", "a.weight", "b.weight", "c.weight"];
    for present in [&keys[..], &keys[1..]] {
        let with = |odd: Option<usize>| {
            let tensors: Vec<_> = (0..present.len())
                .map(|at| singles(present[at], &[2], &[1.0, if Some(at) == odd { 3.0 } else { 2.0 }]))
                .collect();
            file(&tensors, &[])
        };
        let equal = with(None);
        assert_eq!(
            resolve(&equal, &network, &sharing).unwrap()[0].data,
            equal.get("a.weight").unwrap().data
        );
        for odd in 0..present.len() {
            let problems = resolve(&with(Some(odd)), &network, &sharing).unwrap_err().0;
            let second = if odd == 0 { 1 } else { odd };
            let untied = Problem::Untied {
                shared: "shared.k.weight".to_owned(),
                first: present[0].to_owned(),
                second: present[second].to_owned(),
            };
            assert_eq!(problems, [untied]);
        }
    }
}

/// Copies that are missing are listed; the tensor itself makes them needless, but those that are there count.
#[test]
fn missing_copies_are_listed() {
    let network = [expected("shared.k.weight", &[1], Some(Kind::F32))];
    let sharing = [shared("shared.k.weight", &["a.weight", "b.weight", "c.weight"])];
    let of = |keys: &[&str]| {
        let tensors: Vec<_> = keys.iter().map(|key| singles(key, &[1], &[1.0])).collect();
        resolve(&file(&tensors, &[]), &network, &sharing)
            .map(|views| views.len())
            .map_err(|problems| problems.to_string())
    };
    assert_eq!(of(&["shared.k.weight"]), Ok(1));
    assert_eq!(of(&["shared.k.weight", "b.weight"]), Ok(1));
    let alone = Problem::Missing {
        key: "p.bias".to_owned(),
        copies: Vec::new(),
    };
    assert!(!alone.to_string().contains("cop"), "{alone}");
    let head = "the checkpoint does not match the network:\n- `shared.k.weight` is missing, and so";
    assert_eq!(
        of(&["b.weight", "c.weight"]),
        Err(format!("{head} is a copy that could replace it: `a.weight`"))
    );
    let two = format!("{head} are copies that could replace it: `a.weight`, `c.weight`");
    assert_eq!(of(&["b.weight"]), Err(two));
    let surplus = of(&["shared.k.weight", "d.weight"]).unwrap_err();
    assert!(
        surplus.ends_with("\n- `d.weight` is not a tensor of the network"),
        "{surplus}"
    );
    let wide = file(&[doubles("shared.k.weight", &[1, 1], &[1.0])], &[]);
    let problems = resolve(&wide, &network, &sharing).unwrap_err().to_string();
    let lines =
        "\n- `shared.k.weight` has the shape [1, 1], expected [1]\n- `shared.k.weight` has the type F64, expected F32";
    assert!(problems.ends_with(lines), "{problems}");
}

/// The visits that a file names are those of the network: none too many, none too few, in any order.
#[test]
fn visits_of_the_file_are_those_of_the_network() {
    let network = [
        expected("shared.k.weight", &[1], None),
        expected("shared.l.weight", &[1], None),
    ];
    let visits = ["a.weight", "b.weight", "c.weight"];
    let sharing = [
        shared("shared.k.weight", &visits),
        shared("shared.l.weight", &["d.weight", "e.weight"]),
    ];
    let with = |key: &str, visits: &[&str]| {
        let tensors = [
            singles("shared.k.weight", &[1], &[1.0]),
            singles("shared.l.weight", &[1], &[2.0]),
        ];
        let file = file(&tensors, &[shared(key, visits)]);
        resolve(&file, &network, &sharing)
            .map(|views| views.len())
            .map_err(|problems| problems.0)
    };
    let problem = |key: &str, visit: &str, in_file| Problem::Visits {
        key: key.to_owned(),
        visit: visit.to_owned(),
        in_file,
    };
    let k = "shared.k.weight";
    assert_eq!(with(k, &visits), Ok(2));
    assert_eq!(with(k, &["c.weight", "a.weight", "b.weight"]), Ok(2));
    assert_eq!(
        with(k, &["a.weight", "b.weight", "c.weight", "z.weight"]),
        Err(vec![problem(k, "z.weight", true)])
    );
    assert_eq!(
        with(k, &["a.weight", "c.weight"]),
        Err(vec![problem(k, "b.weight", false)])
    );
    assert_eq!(with(k, &[]), Err(vec![problem(k, "a.weight", false)]));
    let l = "shared.l.weight";
    assert_eq!(
        with(l, &["d.weight", "c.weight", "e.weight"]),
        Err(vec![problem(l, "c.weight", true)])
    );
    assert_eq!(
        problem(l, "c.weight", true).to_string(),
        "`shared.l.weight` serves `c.weight` in the file, but not in the network"
    );
}

fn single_values(tensor: &Tensor<'_>) -> Vec<f32> {
    assert_eq!(tensor.kind, Kind::F32, "{}", tensor.key);
    tensor
        .data
        .as_chunks()
        .0
        .iter()
        .map(|value| f32::from_le_bytes(*value))
        .collect()
}

/// Three output channels of two values; weights of one value and of one for each channel, in both widths.
#[test]
fn means_weigh_by_layer_and_by_channel() {
    let network = [expected("shared.k.weight", &[3, 2], None)];
    let sharing = [shared("shared.k.weight", &["a.weight", "b.weight"])];
    let copies = [
        singles("a.weight", &[3, 2], &[0.0, 8.0, 0.0, 8.0, 0.0, 8.0]),
        singles("b.weight", &[3, 2], &[8.0, 0.0, 8.0, 0.0, 8.0, 0.0]),
    ];
    let copies = file(&copies, &[]);
    let fused = |method: Method<'_>| {
        fuse(&copies, &network, &sharing, &[], method)
            .map(|tensors| single_values(&tensors[0]))
            .map_err(|p| p.to_string())
    };
    assert_eq!(fused(Method::Mean).unwrap(), [4.0; 6]);
    let a_three = file(&[doubles("a", &[1], &[3.0])], &[]);
    // A layer without weights has weights of 1: (3 * 0 + 8) / 4 and 3 * 8 / 4.
    assert_eq!(fused(Method::Scalar(&a_three)).unwrap(), [2.0, 6.0, 2.0, 6.0, 2.0, 6.0]);
    let channels = file(&[singles("a", &[3], &[3.0, 1.0, 0.0])], &[]);
    assert_eq!(
        fused(Method::Channel(&channels)).unwrap(),
        [2.0, 6.0, 4.0, 4.0, 8.0, 0.0]
    );
    for (method, message) in [
        (
            Method::Scalar(&channels),
            "invalid weights for `a`: 3 weights, expected 1",
        ),
        (
            Method::Channel(&a_three),
            "invalid weights for `a`: 1 weights, expected 3",
        ),
    ] {
        let problem = fused(method).unwrap_err();
        assert_eq!(problem, format!("the weights do not match the network:\n- {message}"));
    }
    let refused = |weights: &[Tensor<'_>]| fused(Method::Channel(&file(weights, &[]))).unwrap_err();
    let zero = [
        singles("a", &[3], &[1.0, 0.0, 1.0]),
        singles("b", &[3], &[1.0, 0.0, 1.0]),
    ];
    let no_sum = "invalid weights for `shared.k.weight`: the sum of its layers' weights is not positive";
    assert!(refused(&zero).ends_with(no_sum));
    assert!(refused(&[singles("a", &[3], &[-2.0, 1.0, 1.0])]).ends_with(no_sum));
    assert!(refused(&[singles("a", &[3], &[1.0, f32::INFINITY, 1.0])]).contains("a weight is not finite"));
    let bytes = [tensor("a", Kind::I32, &[3], vec![0; 12])];
    assert!(refused(&bytes).contains("invalid weights for `a`: weights of type I32, expected F32 or F64"));
    assert!(
        refused(&[singles("c", &[3], &[1.0; 3])])
            .contains("invalid weights for `c`: no layer of this name shares a kernel")
    );
}

/// Means of doubles are doubles, and exact; copies of two types have none.
#[test]
fn means_keep_the_type() {
    let network = [expected("shared.k.weight", &[2], None)];
    let sharing = [shared("shared.k.weight", &["a.weight", "b.weight"])];
    let small = 2.0_f64.powi(-50);
    let copies = file(
        &[
            doubles("a.weight", &[2], &[1.0, 5.0]),
            doubles("b.weight", &[2], &[1.0 + 2.0 * small, 7.0]),
        ],
        &[],
    );
    let fused = fuse(&copies, &network, &sharing, &[], Method::Mean).unwrap();
    assert_eq!(fused, [doubles("shared.k.weight", &[2], &[1.0 + small, 6.0])]);
    let mixed = file(
        &[
            singles("a.weight", &[2], &[1.0, 5.0]),
            doubles("b.weight", &[2], &[1.0, 7.0]),
        ],
        &[],
    );
    let problem = fuse(&mixed, &network, &sharing, &[], Method::Mean)
        .unwrap_err()
        .to_string();
    assert!(
        problem.ends_with("- `b.weight` has the type F64, expected F32, the type of `a.weight`"),
        "{problem}"
    );
    let half = |value: u8| vec![value; 4];
    let halves = [
        tensor("a.weight", Kind::F16, &[2], half(0)),
        tensor("b.weight", Kind::F16, &[2], half(1)),
    ];
    let halves = file(&halves, &[]);
    let problem = fuse(&halves, &network, &sharing, &[], Method::Mean)
        .unwrap_err()
        .to_string();
    assert!(
        problem.ends_with("- `a.weight` has the type F16, expected F32 or F64, which can be averaged"),
        "{problem}"
    );
    // The first needs no mean, nor do equal ones.
    let first = fuse(&halves, &network, &sharing, &[], Method::First).unwrap();
    assert_eq!(first[0].data, half(0));
}

/// A scale alone, an addition alone, and both, for a kernel of 2 rows of 3 columns, by hand.
#[test]
fn own_parts_are_folded_row_by_row() {
    let network = [
        expected("shared.k.weight", &[2, 3, 1, 1], None),
        expected("a.scale", &[2], None),
        expected("b.low_rank_a", &[2, 3], None),
        expected("b.low_rank_b", &[2, 2], None),
        expected("c.scale", &[2], None),
        expected("c.low_rank_a", &[1, 3], None),
        expected("c.low_rank_b", &[2, 1], None),
    ];
    let sharing = [shared("shared.k.weight", &["a.weight", "b.weight", "c.weight"])];
    let private: Vec<Private> = network[1..]
        .iter()
        .map(|tensor| Private {
            key: tensor.key.clone(),
            kernel: format!("{}.weight", &tensor.key[..1]),
        })
        .collect();
    let tensors = [
        singles("shared.k.weight", &[2, 3, 1, 1], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        singles("a.scale", &[2], &[2.0, -1.0]),
        singles("b.low_rank_a", &[2, 3], &[1.0, 0.0, 2.0, 0.0, 1.0, 1.0]),
        singles("b.low_rank_b", &[2, 2], &[10.0, 1.0, 0.0, 100.0]),
        singles("c.scale", &[2], &[0.5, 3.0]),
        singles("c.low_rank_a", &[1, 3], &[1.0, 2.0, 3.0]),
        singles("c.low_rank_b", &[2, 1], &[1.0, -1.0]),
    ];
    let file = file(&tensors, &sharing);
    let unrolled = unroll(&file, &network, &sharing, &private).unwrap();
    let found: Vec<(&str, Vec<f32>)> = unrolled.iter().map(|t| (t.key.as_str(), single_values(t))).collect();
    let by_hand = [
        ("a.weight", vec![2.0, 4.0, 6.0, -4.0, -5.0, -6.0]),
        // B A is [10, 1, 21; 0, 100, 100].
        ("b.weight", vec![11.0, 3.0, 24.0, 4.0, 105.0, 106.0]),
        // 0.5 (K + [1, 2, 3]) and 3 (K - [1, 2, 3]).
        ("c.weight", vec![1.0, 2.0, 3.0, 9.0, 9.0, 9.0]),
    ];
    assert_eq!(found, by_hand);
    assert!(unrolled.iter().all(|tensor| tensor.shape == [2, 3, 1, 1]));
}

/// In Python, for the hash FNV-1a of the key and SplitMix64:
/// ```python
/// seed = 0xcbf29ce484222325
/// for byte in b"s.2.c.low_rank_a":
///     seed = (seed ^ byte) * 0x100000001b3 & 2**64 - 1
/// for _ in range(4):
///     seed = seed + 0x9e3779b97f4a7c15 & 2**64 - 1
///     z = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9 & 2**64 - 1
///     z = (z ^ z >> 27) * 0x94d049bb133111eb & 2**64 - 1
///     print(2**-0.5 * (2 * ((z ^ z >> 31) >> 11) / 2**53 - 1) )
/// ```
#[test]
fn additions_start_the_same_for_ever() {
    let network = [
        expected("shared.k.weight", &[2, 2], None),
        expected("s.2.c.scale", &[2], None),
        expected("s.2.c.low_rank_a", &[2, 2], None),
        expected("s.2.c.low_rank_b", &[2, 2], None),
    ];
    let sharing = [shared("shared.k.weight", &["s.1.c.weight", "s.2.c.weight"])];
    let private: Vec<Private> = network[1..]
        .iter()
        .map(|tensor| Private {
            key: tensor.key.clone(),
            kernel: "s.2.c.weight".to_owned(),
        })
        .collect();
    let kernels = ["s.1.c.weight", "s.2.c.weight"].map(|key| doubles(key, &[2, 2], &[1.0, 2.0, 3.0, 4.0]));
    let file = file(&kernels, &[]);
    let tensors = fuse(&file, &network, &sharing, &private, Method::Mean).unwrap();
    let values = [
        0.03954880236111944,
        -0.38674488452108435,
        -0.5783960006326556,
        -0.40899652804600517,
    ];
    let [kernel, scale, a, b] = tensors.as_slice() else {
        panic!("{} tensors", tensors.len())
    };
    assert_eq!(*kernel, doubles("shared.k.weight", &[2, 2], &[1.0, 2.0, 3.0, 4.0]));
    assert_eq!(*scale, doubles("s.2.c.scale", &[2], &[1.0, 1.0]));
    assert_eq!(
        (a.key.as_str(), a.kind, &a.shape[..]),
        ("s.2.c.low_rank_a", Kind::F64, &[2, 2][..])
    );
    let found = a.data.as_chunks().0.iter().map(|value| f64::from_le_bytes(*value));
    for (found, value) in found.zip(values) {
        assert!((found - value).abs() < 1e-15, "{found}, not {value}");
    }
    assert_eq!(*b, doubles("s.2.c.low_rank_b", &[2, 2], &[0.0; 4]));
}

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
