//! Every relative link of the documents leads somewhere, and every page of the book is in its table of contents.

use crate::{read, repository};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

const BOOK: &str = "docs/book/src";

/// The pages of the book, by their paths in the repository.
fn pages() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(repository().join(BOOK)).expect("the book's folder");
    let names = folder.map(|entry| PathBuf::from(entry.expect("an entry").file_name()));
    names
        .filter(|name| name.extension().is_some_and(|extension| extension == "md"))
        .map(|name| Path::new(BOOK).join(name))
        .collect()
}

/// The pages of the book and the documents in the root and in `docs`.
fn documents() -> Vec<PathBuf> {
    let mut documents = pages();
    for folder in ["", "docs"] {
        let entries = std::fs::read_dir(repository().join(folder)).expect("a folder");
        let names = entries.map(|entry| Path::new(folder).join(entry.expect("an entry").file_name()));
        documents.extend(names.filter(|name| name.extension().is_some_and(|extension| extension == "md")));
    }
    documents.sort();
    documents
}

/// The lines of a text outside fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// The anchors of a page, as GitHub and mdbook make them of its headings.
fn anchors(text: &str) -> Vec<String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let headings = prose(text).filter(|line| line.trim_start_matches('#').starts_with(' ') && line.starts_with('#'));
    headings
        .map(|heading| {
            let title = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
            let count = counts.entry(anchor.clone()).or_default();
            *count += 1;
            match *count {
                1 => anchor,
                count => format!("{anchor}-{}", count - 1),
            }
        })
        .collect()
}

/// The targets of a page's links and pictures that are not addresses.
fn links(text: &str) -> Vec<String> {
    let lines: Vec<&str> = prose(text).collect();
    let text = lines.join("\n");
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .map(str::to_owned)
        .collect()
}

/// `a/b/../c` as `a/c`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path {
        match part.to_str() {
            Some("..") => assert!(normal.pop(), "{} leaves the repository", path.display()),
            Some(".") => {}
            _ => normal.push(part),
        }
    }
    normal
}

/// What is wrong with a link of a document.
fn problem(document: &Path, link: &str) -> Option<String> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match path {
        "" => document.to_owned(),
        path => normal(&document.parent().expect("a folder").join(path)),
    };
    if !repository().join(&target).exists() {
        return Some(format!("{}: {link} does not exist", document.display()));
    }
    if document.starts_with(BOOK) && !target.starts_with(BOOK) {
        return Some(format!("{}: {link} is not a page of the book", document.display()));
    }
    let known = anchor.is_empty() || anchors(&read(&target)).iter().any(|found| found == anchor);
    (!known).then(|| format!("{}: {link} has no such heading", document.display()))
}

#[test]
fn every_link_leads_somewhere() {
    let mut problems = Vec::new();
    let mut count = 0;
    for document in documents() {
        for link in links(&read(&document)) {
            count += 1;
            problems.extend(problem(&document, &link));
        }
    }
    assert!(count > 80, "only {count} links were found");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// mdbook builds the pages of the table of contents only, and shows it beside each of them.
#[test]
fn every_page_is_in_the_table_of_contents_once() {
    let mut listed = links(&read(Path::new(BOOK).join("SUMMARY.md")));
    listed.sort();
    let names = pages()
        .into_iter()
        .map(|page| page.file_name().expect("a name").to_string_lossy().into_owned());
    let mut expected: Vec<String> = names.filter(|name| name != "SUMMARY.md").collect();
    expected.sort();
    assert_eq!(listed, expected);
}

/// File systems of macOS and Windows take `SUMMARY.md` and `summary.md` for one file.
#[test]
fn pages_differ_in_more_than_case() {
    let names = pages().into_iter().map(|page| page.to_string_lossy().to_lowercase());
    let mut seen = BTreeSet::new();
    let twice: Vec<String> = names.filter(|name| !seen.insert(name.clone())).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

/// From the README by one link to a page or the table of contents, and by another to every other page.
#[test]
fn every_document_is_two_links_from_the_readme() {
    let mut near = BTreeSet::from([PathBuf::from("README.md")]);
    for _ in 0..2 {
        let known: Vec<PathBuf> = near
            .iter()
            .filter(|it| it.extension().is_some_and(|it| it == "md"))
            .cloned()
            .collect();
        for document in known {
            let folder = document.parent().expect("a folder");
            let targets = links(&read(&document)).into_iter();
            near.extend(targets.map(|link| normal(&folder.join(link.split('#').next().expect("a part")))));
        }
    }
    let far: Vec<PathBuf> = documents()
        .into_iter()
        .filter(|document| !near.contains(document))
        .collect();
    assert!(far.is_empty(), "more than two links from README.md: {far:?}");
}

/// The rules of GitHub's and mdbook's anchors, on headings of this repository.
#[test]
fn anchors_are_those_of_the_renderers() {
    let text = "# A `page`\n## KS0050: layers are not isomorphic\n```\n# no heading\n```\n## Twice\n## Twice\n#tag\n";
    let expected = ["a-page", "ks0050-layers-are-not-isomorphic", "twice", "twice-1"];
    assert_eq!(anchors(text), expected);
}
