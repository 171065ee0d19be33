//! Rust blocks of the documents are compiled, and the page of environment variables has all of them.

use crate::fences::fences;
use crate::references::files;
use crate::{chapters, read, repository, row, section};
use std::collections::{BTreeMap, BTreeSet};

/// README and chapters by their paths.
fn pages() -> BTreeMap<String, String> {
    let chapters = chapters().into_iter();
    let mut pages: BTreeMap<_, _> = chapters
        .map(|(name, text)| (format!("docs/book/src/{name}"), text))
        .collect();
    for page in ["README.md", "CONTRIBUTING.md", "docs/book/src/diagnostics.md"] {
        pages.insert(page.to_owned(), read(page));
    }
    pages
}

/// `tests/src/book.rs` makes documentation tests of whole pages; a block that it leaves out says why, as in
/// `rust,ignore (needs a GPU)`.
#[test]
fn every_rust_block_is_compiled_or_says_why_not() {
    let compiled = read("tests/src/book.rs");
    let mut blocks = 0;
    for (page, text) in pages() {
        for fence in fences(&page, &text).iter().filter(|fence| fence.is("rust")) {
            let place = &fence.place;
            assert!(
                compiled.contains(&format!("\"{page}\"")),
                "{place}: tests/src/book.rs lacks this page"
            );
            let ignore = fence.info.iter().find_map(|word| word.strip_prefix("ignore"));
            let reason = ignore.map(|rest| rest.trim_matches([' ', '(', ')']));
            assert!(
                reason != Some(""),
                "{place}: why is it not compiled? `rust,ignore (reason)`"
            );
            assert!(!fence.is("compile_fail") && !fence.is("should_panic"), "{place}");
            blocks += 1;
        }
    }
    assert!(blocks > 15, "only {blocks} Rust blocks were found");
}

/// The environment variables of a text: what `env::var` and its like read, and every `"KSDSL_..."`.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    let starts = ["var(\"", "var_os(\"", "option_env!(\"", "\"KSDSL_"];
    let names = starts
        .into_iter()
        .flat_map(|start| text.match_indices(start))
        .map(|(at, start)| {
            let name = at + start.find('"').expect("a quote") + 1;
            text[name..].split('"').next().expect("a part")
        });
    names.filter(|name| {
        name.chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    })
}

/// But for cargo's own, and those by which a test tells a process that it starts what to do.
#[test]
fn every_environment_variable_is_in_the_book() {
    let page = read("docs/book/src/platforms.md");
    let mut paths = Vec::new();
    files(&repository(), &["rs"], &mut paths);
    let mut found = BTreeSet::new();
    for path in paths.iter().filter(|path| !path.ends_with("book/pages.rs")) {
        let text = std::fs::read_to_string(path).expect("a text");
        found.extend(variables(&text).map(str::to_owned));
    }
    let others = ["OUT_DIR", "CARGO", "RUST", "KSDSL_TEST_"];
    found.retain(|name| !others.iter().any(|prefix| name.starts_with(prefix)));
    assert!(
        found.contains("KSDSL_THREADS") && found.contains("NO_COLOR"),
        "{found:?}"
    );
    for name in found {
        assert!(
            page.contains(&format!("| `{name}` |")),
            "{name} has no row in platforms.md"
        );
    }
}

/// Rows such as ``| `conv`: `bias` | `false` | ...`` of `defaults.md` have the default of the layer's section or of the
/// recipe's table, which tests compare with the code.
#[test]
fn the_page_of_defaults_has_those_of_layers_and_recipes() {
    let chapters = chapters();
    let (layers, recipes) = (&chapters["layers.md"], &chapters["recipes.md"]);
    let mut checked = 0;
    for line in chapters["defaults.md"].lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.split(" | ").collect();
        let Some((of, name)) = cells[0].trim_start_matches("| ").split_once(": `") else {
            continue;
        };
        let heading = format!("### {of}");
        let section = match of {
            "recipe" => section(recipes, "## Keys"),
            _ if recipes.contains(&format!("\n{heading}\n")) => section(recipes, &heading),
            _ => section(layers, &heading),
        };
        let row = row(section, name.trim_end_matches('`')).unwrap_or_else(|| panic!("{line}: no such default"));
        assert_eq!(cells[1], row[3], "{line}");
        checked += 1;
    }
    assert!(checked > 10, "only {checked} rows were found");
}

/// Paths in code quotes: `ksdsl/src/ops/mod.rs`.
#[test]
fn every_file_that_contributing_names_exists() {
    let text = read("CONTRIBUTING.md");
    let spans = text.split('`').skip(1).step_by(2);
    let paths: Vec<&str> = spans
        .filter(|it| it.contains('/') && it.contains('.') && !it.contains(' '))
        .collect();
    for path in paths.iter().filter(|path| !path.contains('\n')) {
        assert!(repository().join(path).exists(), "{path} does not exist");
    }
    assert!(paths.len() > 10, "only {} paths were found", paths.len());
}
