//! Headers that the format does not allow, or that cost more than they should; files that are none. What the format
//! allows: <https://github.com/huggingface/safetensors#format>.

use ksdsl_checkpoint::{Damage, Expected, File, FileError, Kind, Problem, Shared, resolve};
use std::path::Path;

/// A file with this header and this many bytes of data.
fn with_header(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// An entry of no elements.
fn empty(key: &str) -> String {
    format!(r#""{key}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#)
}

fn malformed(header: &str, data: usize) -> String {
    match File::parse(with_header(header, data)) {
        Err(Damage::Malformed(what)) => what,
        other => panic!("{header}: {other:?}"),
    }
}

/// Elsewhere: <https://github.com/safetensors/safetensors/issues/401>
#[test]
fn what_is_there_twice_is_refused() {
    let (a, b) = (empty("a"), empty("b"));
    assert!(File::parse(with_header(&format!("{{{a},{b}}}"), 0)).is_ok());
    assert!(malformed(&format!("{{{a},{b},{a}}}"), 0).contains("duplicate key `a`"));
    // The same key, written in another way.
    assert!(malformed(&format!("{{{a},{}}}", empty("\\u0061")), 0).contains("duplicate key `a`"));
    let metadata = r#""__metadata__":{"k":"v"}"#;
    assert!(malformed(&format!("{{{metadata},{metadata}}}"), 0).contains("duplicate key `__metadata__`"));
    assert!(malformed(r#"{"__metadata__":{"k":"v","k":"v"}}"#, 0).contains("duplicate key `k`"));
    let twice = r#"{"a":{"dtype":"F32","dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#;
    assert!(malformed(twice, 0).contains("`a`: duplicate field `dtype`"));
}

/// "The header data MUST begin with a { character (0x7B)", and "MAY be trailing padded with whitespace (0x20)".
///
/// Elsewhere: <https://github.com/safetensors/safetensors/pull/775>
#[test]
fn the_header_begins_with_a_brace() {
    let header = format!("{{{}}}", empty("a"));
    assert!(File::parse(with_header(&format!("{header}   "), 0)).is_ok());
    for before in [" ", "\n", "\t", "\u{feff}"] {
        assert!(
            malformed(&format!("{before}{header}"), 0).contains("does not start with `{`"),
            "{before:?}"
        );
    }
    assert!(malformed("", 0).contains("does not start with `{`"));
    assert!(malformed(&format!("{header}{{}}"), 0).contains("trailing characters"));
}

/// Messages can be read, and tell a terminal nothing.
#[test]
fn messages_stay_short_and_plain() {
    let long = "x".repeat(1_000_000);
    let cases = [
        format!("{{{}}}", empty(&long)),
        format!(r#"{{"a":{{"dtype":"{long}","shape":[0],"data_offsets":[0,0]}}}}"#),
        format!(r#"{{"a":{{"dtype":"F32","shape":"{long}","data_offsets":[0,0]}}}}"#),
        format!(
            r#"{{"a":{{"dtype":"F32","shape":[{}1],"data_offsets":[0,4]}}}}"#,
            "1,".repeat(100_000)
        ),
        format!(r#"{{"a":"{long}"}}"#),
        r#"{"a\u001b[31m":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#.to_owned(),
        r#"{"a":{"dtype":"\u001b[31m","shape":[0],"data_offsets":[0,0]}}"#.to_owned(),
        r#"{"__metadata__":{"\u0007":"v"}}"#.to_owned(),
        format!(r#"{{"__metadata__":"{long}"}}"#),
        "[".repeat(1_000_000),
        format!(r#"{{"a":{}"#, "[".repeat(1_000_000)),
    ];
    for header in cases {
        let what = malformed(&header, 4);
        assert!(what.len() < 1000, "{} bytes: {}", what.len(), &what[..200]);
        assert!(!what.chars().any(char::is_control), "{what:?}");
    }
}

/// The longest key and the most sizes that are read, and one more; what should be there instead is said.
#[test]
fn keys_and_shapes_have_limits() {
    let key = |bytes: usize| format!("{{{}}}", empty(&"k".repeat(bytes)));
    assert!(File::parse(with_header(&key(4096), 0)).is_ok());
    assert!(malformed(&key(4097), 0).contains("4096 bytes"));
    let shaped = |shape: &str| format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,4]}}}}"#);
    let ones = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    let most = (1..100)
        .take_while(|count| File::parse(with_header(&shaped(&ones(*count)), 4)).is_ok())
        .count();
    assert!(most >= 4, "kernels have four sizes");
    let beyond = malformed(&shaped(&ones(most + 1)), 4);
    assert!(
        beyond.contains(&format!("length {}", most + 1)) && beyond.contains(&format!("most {most} ")),
        "{beyond}"
    );
    assert!(malformed(&shaped("\"1\""), 4).contains(&format!("most {most} ")));
    assert!(malformed(r#"{"__metadata__":7}"#, 0).contains("`__metadata__`"));
}

#[test]
fn a_million_tensors_are_refused() {
    let entries: Vec<String> = (0..1_000_000).map(|key| empty(&key.to_string())).collect();
    let what = malformed(&format!("{{{}}}", entries.join(",")), 0);
    assert!(what.contains("more than 500000 tensors"), "{what}");
}

/// As many tensors as are read, none of them the network's.
#[test]
fn of_many_problems_some_are_shown() {
    let entries: Vec<String> = (0..100_000).map(|key| empty(&key.to_string())).collect();
    let file = File::parse(with_header(&format!("{{{}}}", entries.join(",")), 0)).unwrap();
    let visits = (0..100_000).map(|visit| format!("{visit}.weight")).collect();
    let shared = Shared {
        key: "shared.k.weight".to_owned(),
        visits,
        copies: true,
    };
    let expected = Expected {
        key: shared.key.clone(),
        shape: vec![0],
        kind: None,
    };
    let problems = resolve(&file, &[expected], &[shared]).unwrap_err();
    assert_eq!(problems.0.len(), 100_001);
    let text = problems.to_string();
    assert!(text.len() < 2000, "{text}");
    assert!(text.contains("`19.weight` and 99980 more"), "{text}");
    assert!(text.ends_with("\n- and 99981 more"), "{text}");

    let entries: Vec<String> = (0..100)
        .map(|at| {
            format!(
                r#""{at}":{{"dtype":"U8","shape":[1],"data_offsets":[{at},{}]}}"#,
                at + 1
            )
        })
        .collect();
    let damage = File::parse(with_header(&format!("{{{}}}", entries.join(",")), 10)).unwrap_err();
    let expected = "truncated: its last 90 bytes are missing, which makes these tensors incomplete: \
                    `10`, `11`, `12`, `13`, `14` and 85 more";
    assert_eq!(damage.to_string(), expected);
}

/// What is none of the format, or truncated, or no file: the message begins with its name.
#[test]
fn every_error_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let error = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        File::read(&path).unwrap_err().to_string()
    };
    let whole = with_header(r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#, 4);
    let name = format!("`{}` is ", path.display());
    for length in 0..whole.len() {
        let message = error(&whole[..length]);
        assert!(message.starts_with(&name), "{message}");
    }
    assert!(error(&[&whole[..], &[0]].concat()).ends_with("1 unexpected bytes after the last tensor"));
    let message = File::read(folder.path()).unwrap_err().to_string();
    assert!(message.contains("it is a directory"), "{message}");
}

/// Every byte of a file changed, and the first eight, which give the header's length: tensors or an error.
#[test]
fn damage_anywhere_ends_in_tensors_or_an_error() {
    let header = r#"{"__metadata__":{"k":"a b"},"a":{"dtype":"U8","shape":[2,2],"data_offsets":[0,4]}}"#;
    let whole = with_header(header, 4);
    for at in 0..whole.len() {
        for value in 0..=255 {
            let mut damaged = whole.clone();
            damaged[at] = value;
            if let Ok(file) = File::parse(&damaged) {
                assert!(
                    file.keys()
                        .all(|key| file.get(key).is_some_and(|view| view.data.len() <= 4))
                );
            }
        }
    }
    for power in 0..64 {
        let mut damaged = whole.clone();
        damaged[..8].copy_from_slice(&(1_u64 << power).to_le_bytes());
        assert!(File::parse(&damaged).is_err(), "2^{power}");
    }
}

/// Nothing is read of a file whose length is not that of its header: it may be a hole of any size.
#[test]
fn data_are_read_only_where_they_fit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::write(
        &path,
        with_header(r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#, 4),
    )
    .unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    if file.set_len(1 << 43).is_ok() {
        let message = File::read(&path).unwrap_err().to_string();
        assert!(message.ends_with("unexpected bytes after the last tensor"), "{message}");
    }
}

#[cfg(unix)]
#[test]
fn devices_and_pipes_are_refused() {
    assert!(matches!(File::read(Path::new("/dev/zero")), Err(FileError::Io { .. })));
}

/// The types of networks' tensors are floating-point numbers, where the caller names no single one.
#[test]
fn whole_numbers_are_no_parameters() {
    let types = [
        ("F64", 8, true),
        ("F32", 4, true),
        ("F16", 2, true),
        ("BF16", 2, true),
        ("I64", 8, false),
        ("I32", 4, false),
        ("U8", 1, false),
        ("BOOL", 1, false),
    ];
    for (name, bytes, fits) in types {
        let header = format!(r#"{{"a":{{"dtype":"{name}","shape":[1],"data_offsets":[0,{bytes}]}}}}"#);
        let file = File::parse(with_header(&header, bytes)).unwrap();
        let expected = |kind| Expected {
            key: "a".to_owned(),
            shape: vec![1],
            kind,
        };
        let found = resolve(&file, &[expected(None)], &[]).map(|views| views.len());
        match fits {
            true => assert_eq!(found.unwrap(), 1),
            false => assert_eq!(
                found.unwrap_err().to_string(),
                format!(
                    "the checkpoint does not match the network:\n\
                     - `a` has the type {name}, expected floating-point numbers"
                )
            ),
        }
        assert!(resolve(&file, &[expected(Kind::parse(name))], &[]).is_ok());
    }
}

#[test]
fn ties_that_the_network_does_not_have_are_refused() {
    let shared = [Shared {
        key: "shared.s1_conv.weight".to_owned(),
        visits: vec!["s1.0.weight".to_owned(), "s1.1.weight".to_owned()],
        copies: true,
    }];
    let expected = [Expected {
        key: "shared.s1_conv.weight".to_owned(),
        shape: vec![0],
        kind: None,
    }];
    let problems = |key: &str, value: &str| {
        let header = format!(
            r#"{{"__metadata__":{{"{key}":"{value}"}},{}}}"#,
            empty("shared.s1_conv.weight")
        );
        let file = File::parse(with_header(&header, 0)).unwrap();
        resolve(&file, &expected, &shared).map_or_else(|problems| problems.0, |_| Vec::new())
    };
    let tie = |key: &str, nearest: Option<&str>| Problem::Tie {
        key: key.to_owned(),
        nearest: nearest.map(str::to_owned),
    };
    let visits = "s1.0.weight s1.1.weight";
    let right = "shared.s1_conv.weight";
    assert_eq!(problems(right, visits), []);
    for wrong in [
        "shared.S1_conv.weight",
        "shared.s1_conv.weigth",
        "share.s1_conv.weight",
        "s1_conv.weight",
    ] {
        assert_eq!(problems(wrong, visits), [tie(wrong, Some(right))], "{wrong}");
    }
    assert_eq!(problems("shared.other", "anything"), [tie("shared.other", None)]);
    let text = |value: &str| {
        let header = format!(r#"{{"__metadata__":{{"{right}":"{value}"}},{}}}"#, empty(right));
        let file = File::parse(with_header(&header, 0)).unwrap();
        resolve(&file, &expected, &shared).unwrap_err().to_string()
    };
    assert!(text("\\u001b[31m").contains("serves `\\u{1b}[31m` in the file"));
    assert!(text(&"-".repeat(1_000_000)).len() < 1000);
    // What other programs write.
    for (key, value) in [
        ("format", "pt"),
        ("epoch", "7"),
        ("note", ""),
        ("note", "s1.0.weight is tied"),
    ] {
        assert_eq!(problems(key, value), [], "{key}");
    }
}
