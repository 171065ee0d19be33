//! `ksn diff`: what is a difference and what is none, and the exit status.

use super::{BROKEN, Folder, SMALL};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// `small` without comments, on other lines, with its layers in a block of another name.
const REFACTORED: &str = "\
net other(channels = 4) {
    input 3 x 8 x 8
    block three { repeat 3 { conv(channels, kernel = 3, pad = 1) } relu }
    body: three
    share isomorphic conv in body as body
}
";

fn json(folder: &Folder, args: &[&str]) -> (Option<i32>, Value) {
    let run = folder.ksn(&[&["diff", "--json"], args].concat());
    (
        run.status,
        serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{}", run.stderr)),
    )
}

/// The values of one key of all elements.
fn all(list: &Value, key: &str) -> Vec<String> {
    let list = list.as_array().unwrap();
    list.iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
}

#[test]
fn names_layout_and_settings_are_no_differences() {
    let folder = Folder::with(&[("small.ksn", SMALL), ("other.ksn", REFACTORED)]);
    let run = folder.ksn(&["diff", "small.ksn", "other.ksn"]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        run.stdout,
        "small(shared = true, width = 4)\n-> other(channels = 4)\n\nno differences\n"
    );
    assert_eq!(folder.ksn(&["diff", "small.ksn"]).status, Some(0));
}

#[test]
fn sharing_moves_visits() {
    let folder = Folder::with(&[("small.ksn", SMALL)]);
    let (status, found) = json(&folder, &["small.ksn", "--set-b", "shared=false"]);
    assert_eq!((status, &found["equal"]), (Some(1), &json!(false)));
    assert_eq!(all(&found["changed"], "path"), ["body[1].conv", "body[2].conv"]);
    let change = json!([{ "what": "shared kernel", "before": "body", "after": "" }]);
    assert_eq!(found["changed"][0]["changes"], change);
    let group = json!([{ "name": "body", "state": "removed", "changes": [],
        "visits_removed": ["body[1].conv", "body[2].conv"], "visits_added": [] }]);
    assert_eq!(found["groups"], group);
    // A kernel of 4x3x3x3, and one of 4x4x3x3, which is stored once or twice.
    let parameters = &found["counts"].as_array().unwrap()[1];
    assert_eq!(
        *parameters,
        json!({ "what": "parameters", "before": 108 + 144, "after": 108 + 2 * 144 })
    );
}

#[test]
fn layers_are_aligned_by_their_paths() {
    let before = "net a { input 4; a: linear(4); y: relu; z: linear(3) }";
    let after = "net a { input 4; a: linear(4, bias = false); w: gelu; z: linear(3); y: relu }";
    let folder = Folder::with(&[("a.ksn", before), ("b.ksn", after)]);
    let (status, found) = json(&folder, &["a.ksn", "b.ksn"]);
    assert_eq!(status, Some(1));
    assert_eq!(all(&found["added"], "path"), ["w"]);
    assert_eq!(found["removed"], json!([]));
    // `y` runs on 4 features first, and on 3 behind `z` then. One of the two has moved.
    assert_eq!(all(&found["changed"], "path"), ["a", "y"]);
    assert_eq!(found["moved"].as_array().unwrap().len(), 1, "{}", found["moved"]);
    let parameters = json!({ "what": "parameters", "before": "20", "after": "16" });
    assert!(found["changed"][0]["changes"].as_array().unwrap().contains(&parameters));
}

#[test]
fn connections_and_initial_values_are_differences() {
    let plain = "net a { input 4; linear(4); relu }";
    let residual = "net a { input 4; residual { linear(4) } relu }";
    let initial = "net a { input 4; linear(4, init = normal(0.5)); relu }";
    let folder = Folder::with(&[
        ("plain.ksn", plain),
        ("residual.ksn", residual),
        ("initial.ksn", initial),
    ]);
    let (status, found) = json(&folder, &["plain.ksn", "residual.ksn"]);
    assert_eq!(
        (status, &found["connections"], &found["changed"]),
        (Some(1), &json!(true), &json!([]))
    );
    let (status, found) = json(&folder, &["plain.ksn", "initial.ksn"]);
    assert_eq!((status, &found["connections"]), (Some(1), &json!(false)));
    assert_eq!(found["changed"][0]["changes"][0]["what"], "initial values");
}

#[test]
fn the_report_fits_80_characters() {
    let folder = Folder::with(&[("small.ksn", SMALL)]);
    let run = folder.ksn(&["diff", "small.ksn", "--set-b", "shared=false", "--set-b", "width=12"]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(1), ""));
    assert!(
        run.stdout.lines().all(|line| line.chars().count() <= 80),
        "{}",
        run.stdout
    );
    insta::assert_snapshot!("diff", run.stdout);
}

/// The example of the book's page is what the command prints.
#[test]
fn the_report_of_the_book_is_printed() {
    let page = super::page::page();
    let (_, rest) = page.split_once("## `ksn diff`").unwrap();
    let block = |fence: &str| rest.split_once(fence).unwrap().1.split("```").next().unwrap();
    let folder = Folder::with(&[("mapped.ksn", block("```ksn\n"))]);
    let run = folder.ksn(&["diff", "mapped.ksn", "--set-b", "depth=4", "--set-b", "kernels=2"]);
    assert_eq!(run.stdout, block("```text\n"));
}

/// Every key that the JSON has is in the book's table, and no other.
#[test]
fn the_page_has_every_key_of_the_json() {
    let before = "net a(w = 1) { input image: 4; y: linear(4); z: relu; g: gelu; s: repeat 2 { linear(4) } share s[*].linear into [0, 0]; output o }";
    let after = "net a(w = 1) { input v: 5; y: linear(4); g: gelu; z: relu; s: repeat 3 { linear(4) } share s[*].linear into [0, _, 0]; output o }";
    let folder = Folder::with(&[("a.ksn", before), ("b.ksn", after)]);
    let (_, found) = json(&folder, &["a.ksn", "b.ksn"]);
    let mut keys = BTreeSet::new();
    super::page::keys(&found, "", &mut keys);
    // What the table describes by its parent: layers, changes and values.
    let described = |key: &String| {
        let inner = ["removed[].", "added[].", "ports[].", "mappings[].", "settings."];
        match inner
            .iter()
            .find_map(|inner| key.find(inner).map(|at| &key[..at + inner.len() - 1]))
        {
            Some(parent) => parent.to_owned(),
            None => {
                key.split("changes[].").next().unwrap().to_owned()
                    + if key.contains("changes[].") { "changes[]" } else { "" }
            }
        }
    };
    let found: BTreeSet<String> = keys.iter().map(described).collect();
    let page = super::page::page();
    let listed = super::page::first_cells(super::page::section(&page, "JSON of a difference"));
    let listed = listed.into_iter().map(|key| key.trim_end_matches("[]").to_owned());
    let found: BTreeSet<String> = found.iter().map(|key| key.trim_end_matches("[]").to_owned()).collect();
    assert_eq!(listed.collect::<BTreeSet<String>>(), found);
}

#[test]
fn what_cannot_be_compared_is_a_usage_error() {
    let folder = Folder::with(&[("small.ksn", SMALL), ("broken.ksn", BROKEN)]);
    for args in [
        &["diff", "small.ksn", "broken.ksn"][..],
        &["diff", "missing.ksn"],
        &["diff", "small.ksn", "--set-b", "depth=3"],
        &["diff", "small.ksn", "--net-a", "large"],
    ] {
        let run = folder.ksn(args);
        assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(run.stderr.starts_with("error"), "{args:?}: {}", run.stderr);
    }
}
