//! What `--net` and `--set` do to every command, and what exports say of them.

use crate::Folder;

const NET: &str = "net n(depth = 2, width = 4, wide = false, rate = 0.5) {
    input 4
    repeat depth { linear(width) }
    when wide { linear(64) }
    dropout(rate)
}
net m = n(depth = 3)
";

#[test]
fn the_last_of_several_values_counts() {
    let folder = Folder::with(&[("n.ksn", NET)]);
    let json = |args: &[&str]| folder.ksn(&[&["summary", "n.ksn", "--json"], args].concat()).json();
    for (args, depth, width) in [
        (&["--net", "n"][..], 2, 4),
        (&["--net", "n", "--set", "depth=5", "--set", "depth=7"], 7, 4),
        (
            &["--net", "n", "--set", "depth=7", "--set", "width=3", "--set", "depth=5"],
            5,
            3,
        ),
        // A value on the command line is later than one in the file.
        (&["--net", "m"], 3, 4),
        (&["--net", "m", "--set", "depth=4"], 4, 4),
        (&["--net", "m", "--set", "depth=4", "--set", "depth=6"], 6, 4),
    ] {
        let summary = json(args);
        assert_eq!(
            (&summary["settings"]["depth"], &summary["settings"]["width"]),
            (&depth.into(), &width.into()),
            "{args:?}"
        );
        assert_eq!(summary["layers"].as_array().unwrap().len(), depth + 1, "{args:?}");
    }
    let all = json(&["--net", "n", "--set", "wide=true", "--set", "rate=0.25"]);
    assert_eq!(
        (&all["settings"]["wide"], &all["settings"]["rate"]),
        (&true.into(), &0.25.into())
    );
    assert_eq!(all["output"], serde_json::json!([64]));
    let expanded = folder
        .ksn(&["expand", "n.ksn", "--net", "n", "--set", "width=9", "--set", "width=5"])
        .stdout;
    assert!(
        expanded.contains("rt::Rank2<5, 4>") && !expanded.contains("rt::Rank2<9"),
        "{expanded}"
    );
}

/// An export says by which command it can be made again, and of which text: the sum is `sha256sum n.ksn`'s.
#[test]
fn exports_say_how_they_were_made() {
    let folder = Folder::with(&[("n.ksn", NET), ("one.ksn", "net one { input 4; linear(2) }\n")]);
    let written = |args: &[&str]| {
        let run = folder.ksn(&[&["export", "pytorch"], args].concat());
        assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{args:?}");
        // A long line is wrapped.
        run.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for args in [
        &["one.ksn"][..],
        &["n.ksn", "--net", "n"],
        &["n.ksn", "--net", "m", "--set", "depth=5"],
        &[
            "n.ksn",
            "--net",
            "n",
            "--set",
            "depth=5",
            "--set",
            "wide=true",
            "--set",
            "rate=0.25",
            "--set",
            "depth=6",
        ],
    ] {
        let text = written(args);
        let command = format!("Written by `ksn export pytorch {}`", args.join(" "));
        assert!(text.contains(&command), "no {command} in\n{}", &text[..300]);
    }
    // printf 'net one { input 4; linear(2) }\n' | sha256sum
    let sum = "SHA-256 of the specification: 1f6f1a2aae314aa03c4e5716297d37a973a63e84a5a3c0d2c792a0f136d5e4a0";
    assert!(written(&["one.ksn"]).contains(sum));
}
