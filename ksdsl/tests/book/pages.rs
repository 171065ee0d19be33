//! Pages as a whole: their Rust blocks are compiled, their links lead somewhere, none is far from the README, and none
//! leaves out an environment variable.

use super::{chapters, fences::fences, read, repository};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// Pages whose Rust blocks have no reason yet for not being compiled.
const PENDING: &[&str] = &[
    "README.md",
    "docs/book/src/checkpoints.md",
    "docs/book/src/cuda.md",
    "docs/book/src/data.md",
    "docs/book/src/nets.md",
    "docs/book/src/pytorch.md",
    "docs/book/src/rust.md",
    "docs/book/src/snapshots.md",
    "docs/book/src/training.md",
];

/// README and chapters by their paths.
fn pages() -> BTreeMap<String, String> {
    let chapters = chapters().into_iter();
    let mut pages: BTreeMap<_, _> = chapters.map(|(name, text)| (format!("docs/book/src/{name}"), text)).collect();
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
            assert!(compiled.contains(&format!("\"{page}\"")), "{place}: tests/src/book.rs lacks this page");
            let ignore = fence.info.iter().find_map(|word| word.strip_prefix("ignore"));
            let reason = ignore.map(|rest| rest.trim_matches([' ', '(', ')']));
            let pending = PENDING.contains(&page.as_str());
            assert!(pending || reason != Some(""), "{place}: why is it not compiled? `rust,ignore (reason)`");
            assert!(!fence.is("compile_fail") && !fence.is("should_panic"), "{place}");
            blocks += 1;
        }
    }
    assert!(blocks > 15, "only {blocks} Rust blocks were found");
}

/// The targets of the links outside of code.
fn links(text: &str) -> Vec<String> {
    let mut prose = String::new();
    let mut in_code = false;
    for line in text.lines() {
        in_code ^= line.starts_with("```");
        if !in_code {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    targets.map(str::to_owned).collect()
}

/// The anchor that mdBook and GitHub give a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    text.lines().filter(|line| line.starts_with('#')).map(anchor).collect()
}

/// A relative link from a page, without `..`.
fn target(page: &str, link: &str) -> String {
    let folder = Path::new(page).parent().expect("a folder");
    let mut path = PathBuf::new();
    for part in folder.join(link).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
    }
    path.to_string_lossy().replace('\\', "/")
}

#[test]
fn every_link_leads_somewhere() {
    let mut checked = 0;
    for (page, text) in pages() {
        for link in links(&text).iter().filter(|link| !link.contains("://")) {
            let (file, wanted) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { target(&page, file) };
            assert!(repository().join(&target).exists(), "{page}: {link} leads nowhere");
            let known = wanted.is_empty() || anchors(&read(&target)).contains(wanted);
            assert!(known, "{page}: {link}: there is no such heading");
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} links were found");
}

/// From the README by one link to the table of contents or a page, by another to the rest.
#[test]
fn every_page_is_two_links_from_the_readme() {
    let mut near = BTreeSet::from(["README.md".to_owned()]);
    for _ in 0..2 {
        let known: Vec<String> = near.iter().filter(|page| page.ends_with(".md")).cloned().collect();
        for page in known {
            let found = links(&read(&page)).into_iter().filter(|link| !link.contains("://"));
            near.extend(found.map(|link| target(&page, link.split('#').next().expect("a part"))));
        }
    }
    for page in pages().into_keys().filter(|page| page != "CONTRIBUTING.md") {
        assert!(near.contains(&page), "{page} is more than two links from the README");
    }
}

/// The environment variables of a text: what `env::var` and its like read, and every `"KSDSL_..."`.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    let starts = ["var(\"", "var_os(\"", "option_env!(\"", "\"KSDSL_"];
    let names = starts.into_iter().flat_map(|start| text.match_indices(start)).map(|(at, start)| {
        let name = at + start.find('"').expect("a quote") + 1;
        text[name..].split('"').next().expect("a part")
    });
    names.filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
}

/// But for cargo's own, and those by which a test tells a process that it starts what to do.
#[test]
fn every_environment_variable_is_in_the_book() {
    let page = read("docs/book/src/platforms.md");
    let mut paths = Vec::new();
    super::references::files(&repository(), &["rs"], &mut paths);
    let mut found = BTreeSet::new();
    for path in paths.iter().filter(|path| !path.ends_with("book/pages.rs")) {
        let text = std::fs::read_to_string(path).expect("a text");
        found.extend(variables(&text).map(str::to_owned));
    }
    let others = ["OUT_DIR", "CARGO", "RUST", "KSDSL_TEST_"];
    found.retain(|name| !others.iter().any(|prefix| name.starts_with(prefix)));
    assert!(found.contains("KSDSL_THREADS") && found.contains("NO_COLOR"), "{found:?}");
    for name in found {
        assert!(page.contains(&format!("| `{name}` |")), "{name} has no row in platforms.md");
    }
}
