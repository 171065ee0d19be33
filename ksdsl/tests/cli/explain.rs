//! `ksn explain`: the book's page on diagnostics in the terminal.

use super::{Folder, run};
use ksdsl::diag::Code;
use std::path::Path;

fn explain(args: &[&str]) -> super::Run {
    run(Path::new("."), &[&["explain"], args].concat())
}

/// The words of a text, without signs of Markdown.
fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect()
}

/// The page of the book, section by section; links lose their targets in the terminal, and two examples their ends.
#[test]
fn every_section_of_the_book_is_shown() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/book/src/diagnostics.md");
    let page = std::fs::read_to_string(page).unwrap();
    for code in Code::ALL {
        let (_, rest) = page.split_once(&format!("\n## {code}: ")).unwrap();
        let section = rest.split("\n## ").next().unwrap();
        let code = code.to_string();
        let run = explain(&[&code]);
        assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{code}");
        assert!(run.stdout.starts_with(&format!("{code}: ")), "{}", run.stdout);
        assert!(
            run.stdout.lines().all(|line| line.chars().count() <= 80),
            "{}",
            run.stdout
        );
        let shown = words(&run.stdout);
        let prose = section.split("```").step_by(2).flat_map(str::lines);
        for line in prose.filter(|line| !line.contains("](") && !line.contains("| ---")) {
            let wanted = words(line);
            let found = wanted.is_empty() || shown.windows(wanted.len()).any(|window| window == wanted);
            // The cells of a table may be wrapped side by side.
            assert!(
                found || line.starts_with("| "),
                "{code} lacks `{line}` in\n{}",
                run.stdout
            );
        }
    }
}

#[test]
fn codes_have_short_forms_and_a_list() {
    assert_eq!(explain(&["50"]).stdout, explain(&["KS0050"]).stdout);
    assert_eq!(explain(&["ks50"]).stdout, explain(&["KS0050"]).stdout);
    let list = explain(&[]).stdout;
    assert_eq!(list.lines().count(), Code::ALL.len());
    assert!(
        list.starts_with("KS0001  The text does not follow the grammar\n"),
        "{list}"
    );
}

#[test]
fn unknown_codes_are_usage_errors_with_what_is_near() {
    let run = explain(&["KS0058"]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""));
    assert!(
        run.stderr.contains("no diagnostic `KS0058`") && run.stderr.contains("`KS0057`"),
        "{}",
        run.stderr
    );
}

/// The line that counts the errors names the command.
#[test]
fn errors_lead_to_their_explanation() {
    let folder = Folder::with(&[("broken.ksn", super::BROKEN)]);
    let stderr = folder.ksn(&["check", "broken.ksn"]).stderr;
    let command = stderr.lines().last().unwrap().split("ksn ").nth(1).unwrap();
    let words: Vec<&str> = command.split(' ').collect();
    assert_eq!(folder.ksn(&words).status, Some(0), "{stderr}");
}
