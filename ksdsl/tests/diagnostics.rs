//! Every kind of mistake has a case in `tests/cases`, named after the code it must give, with the
//! rendered diagnostics beside it. `UPDATE_EXPECT=1 cargo test -p ksdsl --test diagnostics` writes
//! them anew: read the difference before committing it.

use ksdsl::compile::{Compilation, Options, compile};
use ksdsl::diag::{Code, Severity};
use ksdsl::render::render;
use ksdsl::source::Source;
use ksdsl::spec::read_source_as;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases")
}

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("tests/cases can be read")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ksn"))
        .collect();
    cases.sort();
    cases
}

fn name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .expect("a name in ASCII")
}

/// A case with its outcome.
struct Case {
    path: PathBuf,
    source: Source,
    compilation: Compilation,
}

/// Every case, compiled once for all tests.
static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let compiled = |path: PathBuf| {
        let source = read_source_as(&path, name(&path)).expect("a case can be read");
        let compilation = compile(&source, &Options::default());
        Case {
            path,
            source,
            compilation,
        }
    };
    cases().into_iter().map(compiled).collect()
});

/// The code a case is named after: `KS0050` of `KS0050_not_isomorphic.ksn`.
fn wanted(path: &Path) -> &str {
    name(path).split('_').next().unwrap_or_default()
}

#[test]
fn every_case_reports_its_code_and_renders_as_written() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = String::new();
    for case in CASES.iter() {
        let Case {
            path,
            source,
            compilation,
        } = case;
        let text = render(source, &compilation.diagnostics, false) + "\n";
        let codes: BTreeSet<String> = compilation.diagnostics.iter().map(|d| d.code.to_string()).collect();
        if !codes.contains(wanted(path)) {
            wrong += &format!("{} reports {codes:?}\n", name(path));
        }
        let expected_at = path.with_extension("stderr");
        if update {
            std::fs::write(&expected_at, &text).expect("the expected output can be written");
            continue;
        }
        let expected = std::fs::read_to_string(&expected_at).unwrap_or_default();
        if expected.replace("\r\n", "\n") != text {
            wrong += &format!("{} renders as\n{text}\ninstead of\n{expected}\n", name(path));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_code_has_a_case() {
    let have: BTreeSet<String> = cases().iter().map(|path| wanted(path).to_owned()).collect();
    let want: BTreeSet<String> = Code::ALL.iter().map(Code::to_string).collect();
    assert_eq!(have, want);
}

#[test]
fn messages_are_phrases_for_one_line() {
    for Case { path, compilation, .. } in CASES.iter() {
        for diagnostic in &compilation.diagnostics {
            let labels = diagnostic.secondary.iter().chain([&diagnostic.primary]);
            let texts = labels.map(|label| &label.text).chain([&diagnostic.message]);
            for text in texts.chain(&diagnostic.help) {
                assert!(!text.ends_with('.') || text.ends_with("..."), "{}: {text}", name(path));
                assert!(!text.contains('\n') && text.len() < 240, "{}: {text}", name(path));
            }
            assert!(!diagnostic.message.is_empty(), "{}", name(path));
        }
    }
}

/// One mistake gives one error, unless the case says at its top how many it holds.
#[test]
fn no_mistake_is_reported_twice() {
    for case in CASES.iter() {
        let Case {
            path,
            source,
            compilation,
        } = case;
        let count = source
            .own_text()
            .lines()
            .find_map(|line| line.strip_prefix("// mistakes: ")?.trim().parse().ok())
            .unwrap_or(1);
        assert_eq!(
            compilation.diagnostics.len(),
            count,
            "{}\n{}",
            name(path),
            render(source, &compilation.diagnostics, false)
        );
        let places: Vec<_> = compilation.diagnostics.iter().map(|d| d.primary.span).collect();
        assert!(places.is_sorted(), "{}: {places:?}", name(path));
    }
}

/// What a case wants of its diagnostics in their order, whatever their words: `// wants: place -> fix`, where
/// the primary label underlines `place` and the help contains `fix`.
fn wants(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let wants = text.lines().filter_map(|line| line.strip_prefix("// wants: "));
    wants.map(|want| want.split_once(" -> ").expect("`place -> fix`"))
}

#[test]
fn messages_point_at_the_place_and_name_the_fix() {
    let (mut wrong, mut count) = (String::new(), 0);
    for Case {
        path,
        source,
        compilation,
    } in CASES.iter()
    {
        for (number, (place, fix)) in wants(source.own_text()).enumerate() {
            count += 1;
            let found = compilation.diagnostics.get(number);
            let there = found.map(|diagnostic| &source.text()[diagnostic.primary.span.range()]);
            let help = found
                .and_then(|diagnostic| diagnostic.help.as_deref())
                .unwrap_or_default();
            if there != Some(place) || !help.contains(fix) {
                wrong += &format!("{}: `{place}` -> `{fix}`, but {there:?} -> `{help}`\n", name(path));
            }
        }
    }
    assert!(count > 100, "the wants were not read");
    assert!(wrong.is_empty(), "{wrong}");
}

/// The source with the changes that its diagnostics propose, and how many there are.
fn fixed(source: &Source, compilation: &Compilation) -> (Source, usize) {
    let fixes = compilation.diagnostics.iter().filter_map(|d| d.fix.as_ref());
    let mut fixes: Vec<_> = fixes.map(|fix| (fix.span.range(), fix.text.as_str())).collect();
    fixes.sort_by_key(|(range, _)| range.start);
    let mut text = source.own_text().to_owned();
    // Those of imported files are for these.
    fixes.retain(|(range, _)| range.end <= text.len());
    for (range, new) in fixes.iter().rev() {
        text.replace_range(range.clone(), new);
    }
    (Source::new(source.name(), text), fixes.len())
}

/// Every change that a diagnostic proposes mends its mistake: where all mistakes of a case have one, no error of
/// their kind is left.
#[test]
fn proposed_changes_mend_the_mistakes() {
    let (mut wrong, mut count) = (String::new(), 0);
    for Case {
        path,
        source,
        compilation,
    } in CASES.iter()
    {
        let (mended, fixes) = fixed(source, compilation);
        if fixes == 0 {
            continue;
        }
        count += fixes;
        let again = compile(&mended, &Options::default());
        let left = |code: Code| again.diagnostics.iter().filter(|d| d.code == code).count();
        let code = compilation.diagnostics.iter().find(|d| d.fix.is_some()).map(|d| d.code);
        let same_kind = compilation.diagnostics.iter().filter(|d| Some(d.code) == code).count();
        let all = fixes == compilation.diagnostics.len();
        let remaining = code.map_or(0, left);
        if all && again.has_errors() || remaining + fixes.min(same_kind) > same_kind {
            let rendered = render(&mended, &again.diagnostics, false);
            wrong += &format!("{} becomes\n{}\n{rendered}\n", name(path), mended.text());
        }
    }
    assert!(count > 50, "the changes were not read");
    assert!(wrong.is_empty(), "{wrong}");
}

/// Errors leave no network to generate code from; a warning leaves it whole.
#[test]
fn warnings_are_no_errors() {
    for Case { path, compilation, .. } in CASES.iter() {
        let only_warnings = compilation.diagnostics.iter().all(|d| d.severity == Severity::Warning);
        assert_eq!(compilation.has_errors(), !only_warnings, "{}", name(path));
        assert!(!only_warnings || !compilation.networks.is_empty(), "{}", name(path));
    }
}

/// The sections of the book's page on diagnostics: the code of each and its examples.
fn documented() -> Vec<(String, Vec<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/book/src/diagnostics.md");
    let text = std::fs::read_to_string(path).expect("the page can be read");
    let sections = text.split("\n## ").skip(1);
    sections
        .map(|section| {
            let code = section.split(':').next().unwrap_or_default().to_owned();
            let fence = format!("```ksn,error={code}\n");
            let fences = section.split(fence.as_str()).skip(1);
            let examples = fences.filter_map(|rest| Some(rest.split_once("\n```")?.0.to_owned()));
            (code, examples.collect())
        })
        .collect()
}

#[test]
fn every_code_is_documented() {
    let have: Vec<String> = documented().into_iter().map(|(code, _)| code).collect();
    let want: Vec<String> = Code::ALL.iter().map(Code::to_string).collect();
    assert_eq!(have, want);
}

#[test]
fn documented_examples_give_their_code_and_no_other() {
    for (code, examples) in documented() {
        assert!(!examples.is_empty(), "{code} has no example");
        for example in examples {
            let source = Source::new("example.ksn", example);
            let compilation = compile(&source, &Options::default());
            let codes: Vec<String> = compilation.diagnostics.iter().map(|d| d.code.to_string()).collect();
            assert_eq!(
                codes,
                std::slice::from_ref(&code),
                "{}",
                render(&source, &compilation.diagnostics, false)
            );
        }
    }
}
