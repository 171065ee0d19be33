//! The book's page of promises and the tests agree.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A row: the reports of the fault, and the test.
struct Row {
    reports: Vec<String>,
    file: PathBuf,
    test: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The addresses in a text: `(https://...)` or `<https://...>`.
fn addresses(text: &str) -> Vec<String> {
    let starts = text.match_indices("https://");
    let address = |(at, _)| text[at..].split([')', '>', ' ']).next().unwrap_or_default().to_owned();
    starts.map(address).collect()
}

/// `` `name` in `file` ``, or `` `module::name` `` for a test of this folder.
fn test(cell: &str) -> (PathBuf, String) {
    let parts: Vec<&str> = cell.split('`').collect();
    match parts[..] {
        ["", test, " in ", file, ""] => (PathBuf::from(file), test.to_owned()),
        ["", path, ""] => {
            let (module, test) = path.split_once("::").unwrap_or_else(|| panic!("no module in {path}"));
            (format!("tests/tests/promises/{module}.rs").into(), test.to_owned())
        }
        _ => panic!("no test in {cell}"),
    }
}

fn rows() -> Vec<Row> {
    let page = read(Path::new("docs/book/src/promises.md"));
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("https://"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [fault, _, cell] = cells[..] else {
            panic!("not three cells: {line}")
        };
        let (file, test) = test(cell);
        let reports = addresses(fault);
        Row { reports, file, test }
    };
    rows.map(row).collect()
}

/// The lines in front of a function that belong to it: its comment and attributes; `None` if it is not a test.
fn head(text: &str, test: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| line.starts_with(&format!("fn {test}(")))?;
    let before = lines[..at].iter().rev();
    let head: Vec<&str> = before
        .take_while(|line| line.starts_with("///") || line.starts_with("#["))
        .copied()
        .collect();
    head.contains(&"#[test]").then(|| head.join("\n"))
}

#[test]
fn every_row_has_a_test_that_names_its_reports() {
    for Row { reports, file, test } in rows() {
        let place = file.display();
        let head = head(&read(&file), &test).unwrap_or_else(|| panic!("no test `{test}` in {place}"));
        for report in reports {
            let known = addresses(&head).contains(&report);
            assert!(known, "{report} is not in the comment of `{test}` in {place}");
        }
    }
}

#[test]
fn every_test_has_a_row() {
    let listed: BTreeSet<(PathBuf, String)> = rows().into_iter().map(|row| (row.file, row.test)).collect();
    let folder = Path::new("tests/tests/promises");
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let file = folder.join(entry.unwrap().file_name());
        let text = read(&file);
        let functions = text
            .lines()
            .filter_map(|line| line.strip_prefix("fn ")?.split_once('('));
        for (name, _) in functions.filter(|(name, _)| !file.ends_with("page.rs") && head(&text, name).is_some()) {
            let listed = listed.contains(&(file.clone(), name.to_owned()));
            assert!(listed, "`{name}` in {} has no row in promises.md", file.display());
        }
    }
}

#[test]
fn faults_and_tests_are_listed_once() {
    let rows = rows();
    assert!(rows.len() >= 38, "only {} rows", rows.len());
    let mut seen = BTreeSet::new();
    for Row { reports, file, test } in rows {
        assert!(!reports.is_empty());
        for name in reports.into_iter().chain([format!("{test} in {}", file.display())]) {
            assert!(seen.insert(name.clone()), "{name} is listed twice");
        }
    }
}
