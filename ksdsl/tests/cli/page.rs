//! The book's page on `ksn` has every subcommand, option and key of the JSON, and no other.

use super::{Folder, Run, run};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Every optional key of the JSON: details, kernels, groups of kernels and of biases, mappings, algorithms, fused
/// layers.
const EVERY_KEY: &str = "\
net every(width = 4) {
    input image: 3 x 8 x 8
    conv(width, kernel = 3, pad = 1, bias = true); relu
    stage body { repeat 3 { conv(width, kernel = 3, pad = 1, bias = true) } }
    share kernel of isomorphic conv in body into [0, 0, _]
    share bias of isomorphic conv in body
    output maps
}
";

pub(super) fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/book/src/ksn.md");
    std::fs::read_to_string(path).unwrap()
}

/// What is in code quotes in the first cell of each row of a text's tables.
pub(super) fn first_cells(text: &str) -> Vec<&str> {
    let cells = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

/// The part of the page under a heading, up to the next heading.
pub(super) fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let (_, rest) = page
        .split_once(&format!("# {heading}\n"))
        .unwrap_or_else(|| panic!("no section {heading}"));
    rest.split("\n#").next().unwrap()
}

fn help(words: &[&str]) -> String {
    let Run { status, stdout, .. } = run(Path::new("."), &[words, &["--help"]].concat());
    assert_eq!(status, Some(0), "{words:?}");
    stdout
}

/// The names under `Commands:`, but for `help`; their descriptions may go on in further lines, indented more.
fn subcommands(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let entries = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  "));
    let names = entries.filter_map(|entry| entry.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").collect()
}

/// The long options of a help text, which begin their lines, some behind a short one.
fn options(help: &str) -> BTreeSet<&str> {
    let lines = help.lines().map(str::trim).filter(|line| line.starts_with('-'));
    lines
        .filter_map(|line| line.split([' ', ',']).find(|word| word.starts_with("--")))
        .collect()
}

/// Compares a command's section with its help, and those of its subcommands.
fn compare(page: &str, words: &[&str], global: &BTreeSet<&str>) -> usize {
    let help = help(words);
    let heading = format!("`ksn {}`", words.join(" "));
    let text = section(page, &heading);
    let found: BTreeSet<&str> = options(&help).difference(global).copied().collect();
    let listed: BTreeSet<&str> = first_cells(text)
        .into_iter()
        .filter(|cell| cell.starts_with("--"))
        .collect();
    assert_eq!(listed, found, "options under {heading}");
    let inner = subcommands(&help);
    1 + inner
        .iter()
        .map(|name| compare(page, &[words, &[*name]].concat(), global))
        .sum::<usize>()
}

#[test]
fn the_page_has_every_command_and_option() {
    let page = page();
    let help = help(&[]);
    let global = first_cells(section(&page, "Options of every command")).into_iter();
    let global: BTreeSet<&str> = global.filter(|cell| cell.starts_with("--")).collect();
    assert_eq!(global, options(&help));
    let names = subcommands(&help);
    let listed = names
        .iter()
        .map(|name| compare(&page, &[*name], &global))
        .sum::<usize>();
    let headings = page
        .lines()
        .filter(|line| line.starts_with('#') && line.contains("# `ksn "))
        .count();
    assert_eq!(listed, headings, "a section is of no command");
}

/// A network that generates token by token.
const TOKENS: &str = "\
net tokens {
    input 8 of 5
    embed: embedding(4)
    residual { attention(2, causal = true) }
    head: linear(5, bias = false)
    share embed, head
}
";

/// The paths of all keys: `groups[].visits[]`. An array of plain values has one entry, with or without `[]` in the page.
pub(super) fn keys(value: &Value, path: &str, all: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) if path != "settings" => {
            for (key, value) in object {
                let joint = if path.is_empty() { "" } else { "." };
                keys(value, &format!("{path}{joint}{key}"), all);
            }
        }
        Value::Array(values) if values.iter().any(Value::is_object) => {
            values.iter().for_each(|value| keys(value, &format!("{path}[]"), all));
        }
        _ => drop(all.insert(path.to_owned())),
    }
}

#[test]
fn the_page_has_every_key_of_the_json() {
    let json = Folder::with(&[("every.ksn", EVERY_KEY)])
        .ksn(&["summary", "every.ksn", "--json", "--budget", "1"])
        .json();
    let mut found = BTreeSet::new();
    keys(&json, "", &mut found);
    let tokens = Folder::with(&[("tokens.ksn", TOKENS)]).ksn(&["summary", "tokens.ksn", "--json"]);
    keys(&tokens.json(), "", &mut found);
    let page = page();
    let listed = first_cells(section(&page, "JSON of a summary")).into_iter();
    let listed: BTreeSet<String> = listed
        .filter(|key| !matches!(*key, "mappings" | "decoding" | "budget"))
        .map(|key| key.strip_suffix("[]").unwrap_or(key).to_owned())
        .collect();
    assert_eq!(listed, found);
}
