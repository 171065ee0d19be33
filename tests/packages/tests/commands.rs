//! The cargo commands that documents, scripts and comments name: their packages and targets exist.

use ksdsl_package_tests::{packages, root, text};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Kinds and names of a package's targets.
type Targets = BTreeSet<(String, String)>;

fn members() -> BTreeMap<String, Targets> {
    let members = packages().into_iter().filter(|package| package["source"].is_null());
    members
        .map(|package| (text(&package, "name").to_owned(), targets(&package)))
        .collect()
}

fn targets(package: &Value) -> Targets {
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let targets = list(&package["targets"]).into_iter();
    targets
        .flat_map(|target| {
            list(&target["kind"])
                .into_iter()
                .map(move |kind| (kind, target.clone()))
        })
        .map(|(kind, target)| {
            (
                kind.as_str().expect("a word").to_owned(),
                text(&target, "name").to_owned(),
            )
        })
        .collect()
}

/// The arguments of each cargo command of a line.
fn commands(line: &str) -> Vec<Vec<&str>> {
    let starts = line.match_indices("cargo ").map(|(at, word)| &line[at + word.len()..]);
    starts
        .map(|rest| rest.split(['`', '"', '\'', '|', ';', '&', ')']).next().unwrap_or(rest))
        .map(|command| command.split_whitespace().collect())
        .collect()
}

/// What a command names that does not exist.
fn missing(command: &[&str], members: &BTreeMap<String, Targets>) -> Vec<String> {
    let values = |option: &str| -> Vec<String> {
        let pairs = command.windows(2).filter(|pair| pair[0] == option);
        pairs.map(|pair| pair[1].to_owned()).collect()
    };
    let of = values("-p");
    let strangers = of.iter().filter(|name| !members.contains_key(*name));
    let mut missing: Vec<String> = strangers.map(|name| format!("package {name}")).collect();
    for kind in ["test", "bench", "bin", "example"] {
        for name in values(&format!("--{kind}")) {
            let target = (kind.to_owned(), name);
            let mut searched = members
                .iter()
                .filter(|(package, _)| of.is_empty() || of.contains(package));
            if !searched.any(|(_, targets)| targets.contains(&target)) {
                missing.push(format!("{kind} {}", target.1));
            }
        }
    }
    missing
}

/// Every file below a folder but build outputs and what the workspace does not build.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let (path, kind) = entry
            .and_then(|entry| Ok((entry.path(), entry.file_type()?)))
            .expect("an entry");
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if kind.is_dir() && !name.starts_with("target") && !["fuzz", ".git"].contains(&name) {
            files(&path, found);
        } else if kind.is_file() {
            found.push(path);
        }
    }
}

#[test]
fn commands_are_found_and_checked() {
    let line = "| tests | `cargo test -p a --test b -- --ignored` | then `cargo run --bin c` |";
    let found = commands(line);
    assert_eq!(
        found,
        [
            vec!["test", "-p", "a", "--test", "b", "--", "--ignored"],
            vec!["run", "--bin", "c"]
        ]
    );
    let target = |kind: &str, name: &str| (kind.to_owned(), name.to_owned());
    let members = BTreeMap::from([
        ("a".to_owned(), Targets::from([target("test", "b")])),
        ("d".to_owned(), Targets::from([target("bin", "c")])),
    ]);
    assert!(found.iter().all(|command| missing(command, &members).is_empty()));
    assert_eq!(missing(&["test", "-p", "d", "--test", "b"], &members), ["test b"]);
    assert_eq!(missing(&["run", "-p", "e"], &members), ["package e"]);
}

#[test]
fn packages_and_targets_of_commands_exist() {
    let (root, members) = (root(), members());
    let mut all = Vec::new();
    files(&root, &mut all);
    let (mut named, mut problems) = (0, Vec::new());
    for path in all
        .iter()
        .filter(|path| !path.ends_with("tests/packages/tests/commands.rs"))
    {
        // Pictures and weights are not text.
        let Ok(content) = fs::read_to_string(path) else {
            continue;
        };
        for (number, line) in (1..).zip(content.lines()) {
            for command in commands(line) {
                named += usize::from(command.contains(&"-p"));
                let place = path.strip_prefix(&root).unwrap_or(path).display();
                let missing = missing(&command, &members);
                problems.extend(missing.iter().map(|what| format!("{place}:{number}: no {what}")));
            }
        }
    }
    assert!(named > 20, "{named} commands found");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
