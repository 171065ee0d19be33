//! Files of every kind of damage: an error for each, and never a panic.

use ksdsl_checkpoint::{Damage, Expected, File, Kind, Problem, Shared, Tensor, Unstated, resolve, to_bytes};
use proptest::prelude::*;
use std::borrow::Cow;

fn tensor(key: &str, shape: &[u64], values: &[f32]) -> Tensor<'static> {
    Tensor {
        key: key.to_owned(),
        kind: Kind::F32,
        shape: shape.to_vec(),
        data: Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
    }
}

fn expected(key: &str, shape: &[u64]) -> Expected {
    Expected {
        key: key.to_owned(),
        shape: shape.to_vec(),
        kind: Some(Kind::F32),
    }
}

fn sharing() -> Vec<Shared> {
    vec![Shared {
        key: "shared.k.weight".to_owned(),
        visits: vec!["a.weight".to_owned(), "b.weight".to_owned()],
        copies: true,
    }]
}

fn network() -> Vec<Expected> {
    vec![expected("shared.k.weight", &[2]), expected("c.bias", &[])]
}

/// A file of the network.
fn good() -> Vec<u8> {
    let tensors = [
        tensor("shared.k.weight", &[2], &[1.0, -2.0]),
        tensor("c.bias", &[], &[3.0]),
    ];
    to_bytes(&tensors, &sharing())
}

fn file(tensors: &[Tensor<'_>]) -> File {
    File::parse(to_bytes(tensors, &[])).unwrap()
}

fn problems(tensors: &[Tensor<'_>]) -> Vec<Problem> {
    resolve(&file(tensors), &network(), &sharing()).unwrap_err().0
}

/// A file with this header and this many bytes of data.
fn with_header(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// `net n { input 2; a: linear(2, bias = false); b: linear(2, bias = false); share a, b }`: the group is named after its
/// first layer, and every key begins with `shared.`, which is not a wrapper's prefix.
#[test]
fn a_network_of_shared_tensors_alone_is_read() {
    let sharing = [Shared {
        key: "shared.a.weight".to_owned(),
        visits: vec!["a.weight".to_owned(), "b.weight".to_owned()],
        copies: true,
    }];
    let network = [expected("shared.a.weight", &[1])];
    let file = File::parse(to_bytes(&[tensor("shared.a.weight", &[1], &[1.5])], &sharing)).unwrap();
    let views = resolve(&file, &network, &sharing).unwrap();
    assert_eq!(views[0].data, 1.5f32.to_le_bytes());
}

/// By the description of the format: the length in 8 bytes, JSON, data.
#[test]
fn the_format_is_that_of_safetensors() {
    let bytes = good();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    assert_eq!(length % 8, 0);
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    assert_eq!(
        header,
        serde_json::json!({
            "__metadata__": { "shared.k.weight": "a.weight b.weight" },
            "c.bias": { "dtype": "F32", "shape": [], "data_offsets": [0, 4] },
            "shared.k.weight": { "dtype": "F32", "shape": [2], "data_offsets": [4, 12] },
        })
    );
    let values: Vec<u8> = [3.0f32, 1.0, -2.0]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    assert_eq!(bytes[8 + length..], values);
}

#[test]
fn what_is_written_can_be_read() {
    let file = File::parse(good()).unwrap();
    let views = resolve(&file, &network(), &sharing()).unwrap();
    assert_eq!(views[0].data, [1.0f32.to_le_bytes(), (-2.0f32).to_le_bytes()].concat());
    assert_eq!(views[1].data, 3.0f32.to_le_bytes());
}

/// However short a file is cut, it is refused; within the data with the tensors that are not whole.
///
/// Elsewhere: <https://github.com/run-ai/runai-model-streamer/pull/121>
#[test]
fn truncated_files_are_refused() {
    let bytes = good();
    for length in 0..bytes.len() {
        let error = File::parse(&bytes[..length]).unwrap_err();
        if length + 12 >= bytes.len() {
            let Damage::Truncated { missing, tensors } = error else {
                panic!("{error}")
            };
            assert_eq!(missing as usize, bytes.len() - length);
            assert_eq!(tensors.contains(&"c.bias".to_owned()), length + 8 < bytes.len());
            assert!(tensors.contains(&"shared.k.weight".to_owned()));
        }
    }
}

#[test]
fn impossible_headers_are_refused() {
    let max = u64::MAX;
    let entry = |dtype: &str, shape: &str, offsets: &str| {
        format!("{{\"a\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":{offsets}}}}}")
    };
    let cases = [
        (String::new(), 0),
        ("[]".to_owned(), 0),
        ("{".to_owned(), 0),
        ("[".repeat(100_000), 0),
        ("{\"a\":1}".to_owned(), 0),
        ("{\"__metadata__\":{\"a\":1}}".to_owned(), 0),
        (entry("F32", "[1]", "[0,4]"), 5),
        (entry("F32", "[1]", "[0,5]"), 5),
        (entry("F32", "[1]", "[4,8]"), 8),
        (entry("F32", "[1]", "[4,0]"), 4),
        (entry("F32", "[1]", "[0,4,8]"), 4),
        (entry("F32", "[-1]", "[0,4]"), 4),
        (entry("F32", "[1.5]", "[0,6]"), 6),
        (entry("F32", "1", "[0,4]"), 4),
        (entry("F99", "[1]", "[0,4]"), 4),
        (entry("U8", &format!("[{max}]"), &format!("[0,{max}]")), 4),
        (entry("F64", &format!("[{max},{max}]"), "[0,8]"), 8),
        (entry("F32", "[4611686018427387904,4]", "[0,0]"), 0),
    ];
    for (header, data) in cases {
        assert!(File::parse(with_header(&header, data)).is_err(), "{header}");
    }
    let two = |second: &str| {
        with_header(
            &format!(
                "{{\"a\":{{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}},\
                 \"b\":{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":{second}}}}}"
            ),
            12,
        )
    };
    assert!(File::parse(two("[8,12]")).is_ok());
    for overlapping in ["[4,8]", "[0,4]", "[9,13]"] {
        assert!(File::parse(two(overlapping)).is_err(), "{overlapping}");
    }
    for length in [max, max - 7, 1 << 62, 100_000_001, 40] {
        let mut bytes = good();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        assert!(File::parse(bytes).is_err(), "{length}");
    }
}

proptest! {
    /// Any byte may be another.
    #[test]
    fn damaged_files_do_not_panic(at in 0usize..1000, value: u8) {
        let mut bytes = good();
        let at = at % bytes.len();
        bytes[at] = value;
        if let Ok(file) = File::parse(bytes) {
            let _ = resolve(&file, &network(), &sharing());
        }
    }

    #[test]
    fn any_bytes_do_not_panic(bytes: Vec<u8>) {
        let _ = File::parse(bytes);
    }
}

#[test]
fn equal_copies_are_accepted() {
    let copies = [
        tensor("a.weight", &[2], &[1.0, f32::NAN]),
        tensor("b.weight", &[2], &[1.0, f32::NAN]),
        tensor("c.bias", &[], &[3.0]),
    ];
    let file = file(&copies);
    assert_eq!(
        resolve(&file, &network(), &sharing()).unwrap()[0].data,
        &*copies[0].data
    );
}

/// Bit for bit: 0 and -0 are not the same.
///
/// Elsewhere: <https://github.com/huggingface/transformers/issues/16283>
#[test]
fn copies_that_differ_are_refused_by_name() {
    let copies = [
        tensor("a.weight", &[2], &[1.0, 0.0]),
        tensor("b.weight", &[2], &[1.0, -0.0]),
        tensor("c.bias", &[], &[3.0]),
    ];
    let untied = |first: &str, second: &str| Problem::Untied {
        shared: "shared.k.weight".to_owned(),
        first: first.to_owned(),
        second: second.to_owned(),
    };
    assert_eq!(problems(&copies), [untied("a.weight", "b.weight")]);
    let mut both = copies.to_vec();
    both[1] = tensor("shared.k.weight", &[2], &[2.0, 0.0]);
    assert_eq!(problems(&both), [untied("shared.k.weight", "a.weight")]);
}

#[test]
fn all_that_is_wrong_is_named() {
    let missing = |key: &str, copies: &[&str]| Problem::Missing {
        key: key.to_owned(),
        copies: copies.iter().map(|copy| (*copy).to_owned()).collect(),
    };
    let found = problems(&[tensor("b.weight", &[2], &[1.0, 0.0]), tensor("d", &[1], &[0.0])]);
    let surplus = Problem::Surplus { key: "d".to_owned() };
    assert_eq!(
        found,
        [
            missing("c.bias", &[]),
            missing("shared.k.weight", &["a.weight"]),
            surplus
        ]
    );

    let mut wide = tensor("c.bias", &[], &[3.0, 4.0]);
    wide.kind = Kind::F64;
    let found = problems(&[tensor("shared.k.weight", &[1, 2], &[1.0, 0.0]), wide]);
    let shape = Problem::Shape {
        key: "shared.k.weight".to_owned(),
        found: vec![1, 2],
        expected: vec![2],
    };
    let kind = Problem::Kind {
        key: "c.bias".to_owned(),
        found: Kind::F64,
        expected: "F32".to_owned(),
    };
    assert_eq!(found, [shape, kind]);
}

/// A file of a network that ties other layers has the same keys and shapes.
///
/// Elsewhere: <https://github.com/huggingface/transformers/issues/48154>
#[test]
fn other_visits_are_refused() {
    let tensors = [
        tensor("shared.k.weight", &[2], &[1.0, -2.0]),
        tensor("c.bias", &[], &[3.0]),
    ];
    let mut others = sharing();
    others[0].visits[1] = "z.weight".to_owned();
    let file = File::parse(to_bytes(&tensors, &others)).unwrap();
    let found = resolve(&file, &network(), &sharing()).unwrap_err();
    assert_eq!(
        found.to_string(),
        "the checkpoint does not match the network:\n- `shared.k.weight` serves `b.weight` in the network, but not in the file"
    );
}

/// A file says of each shared tensor which layers it serves, or there is a warning; copies for all of them say it
/// by themselves.
///
/// Elsewhere: <https://github.com/QwenLM/Qwen3-VL-Embedding/issues/89>
#[test]
fn what_a_file_does_not_say_of_its_ties_is_known() {
    let [shared, own] = ["shared.k.weight", "a.weight"].map(|key| tensor(key, &[2], &[1.0, -2.0]));
    let other = tensor("b.weight", &[2], &[1.0, -2.0]);
    let stated = File::parse(good()).unwrap();
    assert_eq!(Unstated::of(&stated, &sharing()), None);
    assert_eq!(Unstated::of(&file(&[own, other]), &sharing()), None);
    let text = Unstated::of(&file(&[shared]), &sharing()).map(|unstated| unstated.to_string());
    let text = text.expect("a warning");
    assert!(
        text.contains("the layers that use `shared.k.weight`: ") && text.contains("other ties"),
        "{text}"
    );
}

#[test]
fn ties_of_tensors_that_do_not_exist_are_refused() {
    let tensors = [
        tensor("shared.k.weight", &[2], &[1.0, -2.0]),
        tensor("c.bias", &[], &[3.0]),
    ];
    let misspelt = Shared {
        key: "shared.K.weight".to_owned(),
        ..sharing().remove(0)
    };
    let file = File::parse(to_bytes(&tensors, &[misspelt])).unwrap();
    let problems = resolve(&file, &network(), &sharing()).unwrap_err().0;
    let tie = Problem::Tie {
        key: "shared.K.weight".to_owned(),
        nearest: Some("shared.k.weight".to_owned()),
    };
    assert_eq!(problems, [tie]);
}
