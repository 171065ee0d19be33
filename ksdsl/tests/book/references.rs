//! Whoever is cited by author and year is in the list of references.

use super::{read, repository};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The files under a folder that have one of these extensions, but for what cargo builds.
pub(super) fn files(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files(&path, extensions, found);
        } else if path
            .extension()
            .is_some_and(|it| extensions.iter().any(|wanted| it == *wanted))
        {
            found.push(path);
        }
    }
}

/// A word that begins a name, without what stands before it: `(He` is `He`.
fn name(word: &str) -> Option<&str> {
    let name = word.trim_start_matches(|c: char| !c.is_alphabetic());
    let letters = |c: char| c.is_alphabetic() || c == '-';
    (name.starts_with(char::is_uppercase) && name.chars().all(letters)).then_some(name)
}

/// `He et al. 2016` and `Kingma & Ba 2015` of a text; `Steele, Lea & Flood 2014` is `Steele et al. 2014`.
fn citations(text: &str) -> BTreeSet<String> {
    let marks = ["///", "//!", "//", "|"];
    let words: Vec<&str> = text.split_whitespace().filter(|word| !marks.contains(word)).collect();
    let mut found = BTreeSet::new();
    for at in 3..words.len() {
        let year = words[at]
            .trim_start_matches('(')
            .get(..4)
            .filter(|year| year.parse::<u16>().is_ok_and(|it| it > 1900));
        let Some(year) = year else { continue };
        let [first, second, third] = [words[at - 3], words[at - 2], words[at - 1].trim_end_matches(',')];
        if second == "et" && third == "al." {
            found.extend(name(first).map(|first| format!("{first} et al. {year}")));
        } else if let (Some(author), "&", Some(last)) = (name(first), second, name(third)) {
            let listed = words[..at - 3]
                .iter()
                .rev()
                .map_while(|word| name(word.strip_suffix(',')?));
            found.insert(match listed.last() {
                Some(first) => format!("{first} et al. {year}"),
                None => format!("{author} & {last} {year}"),
            });
        }
    }
    found
}

/// The prose of a file: all of a document, the comments of code, with a mark where code is between.
fn prose(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("a text");
    if path.extension().is_some_and(|extension| extension == "md") {
        return text;
    }
    let comments = text.lines().map(|line| match line.trim_start().starts_with("//") {
        true => line,
        false => "---",
    });
    comments.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_citation_is_in_the_references() {
    let page = read("docs/book/src/references.md");
    let cells = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let listed: BTreeSet<String> = cells.flat_map(citations_of_a_cell).collect();
    let mut paths = Vec::new();
    files(&repository(), &["md", "rs", "ksn"], &mut paths);
    let mut count = 0;
    for path in paths {
        for citation in citations(&prose(&path)) {
            assert!(
                listed.contains(&citation),
                "{}: {citation} is not in references.md",
                path.display()
            );
            count += 1;
        }
    }
    assert!(count > 100, "only {count} citations were found");
}

/// A row's citation, and the form with `et al.` where it names three authors.
fn citations_of_a_cell(cell: &str) -> Vec<String> {
    let padded = format!("in the {cell}");
    citations(&padded).into_iter().collect()
}
