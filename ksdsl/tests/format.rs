//! The formatter changes how a text looks and nothing else: of every specification of this repository and of random
//! variants of them.

#[path = "book/fences.rs"]
#[allow(dead_code)]
mod fences;

use ksdsl::compile::{Options, compile};
use ksdsl::diag::Code;
use ksdsl::format::{FormatError, format};
use ksdsl::source::Source;
use ksdsl::summary::Summary;
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files below a folder whose names end so, in order.
fn files(folder: &Path, end: &str, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !path.is_symlink() && !name.starts_with("target") && !name.starts_with('.') {
            files(&path, end, found);
        } else if name.ends_with(end) {
            found.push(path);
        }
    }
}

/// Every specification of the repository, the book's blocks included: a name, a text, and where its imports are.
fn texts() -> Vec<(String, String, PathBuf)> {
    let (mut found, mut pages) = (Vec::new(), Vec::new());
    files(&repository(), ".ksn", &mut found);
    files(&repository().join("docs/book/src"), ".md", &mut pages);
    let read = |path: &PathBuf| std::fs::read_to_string(path).expect("a text");
    let file = |path: &PathBuf| {
        let folder = path.parent().expect("a folder").to_owned();
        (path.display().to_string(), read(path), folder)
    };
    let mut texts: Vec<(String, String, PathBuf)> = found.iter().map(file).collect();
    for page in pages {
        let blocks = fences::fences(&page.display().to_string(), &read(&page));
        let blocks = blocks.iter().filter(|fence| fence.is("ksn"));
        texts.extend(blocks.map(|fence| (fence.place.clone(), fence.source().own_text().to_owned(), repository())));
    }
    texts
}

/// What a text means: its networks, and what is wrong with it, without places.
fn meaning(text: &str, folder: &Path) -> (Vec<String>, Vec<(Code, String)>) {
    let compilation = compile(&Source::in_folder("a.ksn", text, folder), &Options::default());
    let summaries = compilation.networks.iter();
    let problems = compilation
        .diagnostics
        .iter()
        .map(|found| (found.code, found.message.clone()));
    (
        summaries.map(|network| Summary::new(network, 1).to_string()).collect(),
        problems.collect(),
    )
}

/// A text without blanks, without `;`, and without commas before closing brackets.
fn squeezed(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !c.is_whitespace() && *c != ';').collect();
    kept.replace(",)", ")").replace(",]", "]")
}

/// The comments of a text, in order: what begins with `//`, and what stands between `/*` and `*/`, which nest.
fn comments(text: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find("//").into_iter().chain(rest.find("/*")).min() {
        rest = &rest[at..];
        let mut end = rest.find('\n').unwrap_or(rest.len());
        if rest.starts_with("/*") {
            let mut depth = 0;
            end = (0..rest.len())
                .find(|at| {
                    let before = &rest.as_bytes()[..*at];
                    depth += i32::from(before.ends_with(b"/*")) - i32::from(before.ends_with(b"*/"));
                    *at > 1 && depth == 0
                })
                .unwrap_or(rest.len());
        }
        found.push(rest[..end].trim_end().to_owned());
        rest = &rest[end..];
    }
    found
}

#[test]
fn every_specification_keeps_its_meaning_its_words_and_its_comments() {
    let (mut formatted, mut refused, mut changed) = (0, 0, 0);
    for (name, text, folder) in texts() {
        let once = match format(&name, &text) {
            Ok(once) => once,
            Err(FormatError::Syntax(..)) => {
                let (_, problems) = meaning(&text, &folder);
                assert!(!problems.is_empty(), "{name} has no errors");
                refused += 1;
                continue;
            }
            Err(FormatError::Changed) => panic!("{name} would be changed"),
        };
        let twice = format(&name, &once).expect("a formatted text");
        assert_eq!(once, twice, "{name}");
        assert_eq!(squeezed(&text), squeezed(&once), "{name}");
        assert_eq!(comments(&text), comments(&once), "{name}");
        // Summaries of large networks take seconds; the same text needs none.
        if once != text {
            assert_eq!(meaning(&text, &folder), meaning(&once, &folder), "{name}");
            changed += 1;
        }
        assert!(once.lines().all(|line| line == line.trim_end()), "{name}");
        formatted += 1;
    }
    // Of about 440 files and 150 blocks; cases of syntax errors are refused.
    assert!(
        formatted > 400 && refused > 80 && changed > 100,
        "{formatted} formatted, {refused} refused, {changed} changed"
    );
}

/// The style is the one of the examples, which were written by hand.
#[test]
fn examples_and_library_are_formatted() {
    let mut paths = Vec::new();
    for folder in ["examples/nets", "ksdsl/std"] {
        files(&repository().join(folder), ".ksn", &mut paths);
    }
    assert!(paths.len() >= 20, "{paths:?}");
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a text");
        let formatted = format(&path.display().to_string(), &text).expect("no syntax errors");
        assert_eq!(text, formatted, "run `ksn fmt {}`", path.display());
    }
}

/// Formats one network.
fn formatted(text: &str) -> String {
    format("a.ksn", text).unwrap_or_else(|error| panic!("{text}\n{error:?}"))
}

#[test]
fn spaces_semicolons_and_commas_are_canonical() {
    let text = "use   \"std/residual.ksn\" ;net a( w=4 ,d = 2,){input 3x32x32;let c=-w*( 2+1 );\n\n\n\n  conv( c,kernel=3 x 3 ,) ;relu ;\n\
        repeat d as i{gelu;residual{relu}silu};when not(w==4)and true{relu}else{gelu}y:concat{path{relu;};path{}}\n\
        let l=[1 ,2 , 3 , ] let m = l [ 0 ]\nshare a [ 1 .. ] . conv , s [ * ] . * into[0,_ ,] at front( 1 )when w<=4}net b=a( w = 8 )";
    let expected = "\
use \"std/residual.ksn\"
net a(w = 4, d = 2) {
    input 3 x 32 x 32; let c = -w * (2 + 1)

    conv(c, kernel = 3 x 3); relu
    repeat d as i { gelu; residual { relu } silu } when not (w == 4) and true { relu } else { gelu }
    y: concat { path { relu } path {} }
    let l = [1, 2, 3]; let m = l[0]
    share a[1..].conv, s[*].* into [0, _] at front(1) when w <= 4
}
net b = a(w = 8)
";
    assert_eq!(formatted(text), expected);
}

#[test]
fn what_is_too_long_is_broken() {
    let args: Vec<String> = (0..12).map(|n| format!("parameter_{n} = {n}")).collect();
    let text = format!(
        "net a({}) {{ input 3; {}\nshare {} into 3 groups with private bias, scale as a_long_name when parameter_1 == 1 }}",
        args.join(", "),
        ["linear(parameter_10)"; 7].join("; "),
        (0..8)
            .map(|n| format!("stage_{n}[*].linear_{n}"))
            .collect::<Vec<_>>()
            .join(", ")
    );
    let expected = "\
net a(
    parameter_0 = 0, parameter_1 = 1, parameter_2 = 2, parameter_3 = 3, parameter_4 = 4, parameter_5 = 5,
    parameter_6 = 6, parameter_7 = 7, parameter_8 = 8, parameter_9 = 9, parameter_10 = 10, parameter_11 = 11,
) {
    input 3; linear(parameter_10); linear(parameter_10); linear(parameter_10); linear(parameter_10)
    linear(parameter_10); linear(parameter_10); linear(parameter_10)
    share stage_0[*].linear_0, stage_1[*].linear_1, stage_2[*].linear_2, stage_3[*].linear_3, stage_4[*].linear_4,
        stage_5[*].linear_5, stage_6[*].linear_6, stage_7[*].linear_7 into 3 groups with private bias, scale
        as a_long_name when parameter_1 == 1
}
";
    assert_eq!(formatted(&text), expected);
    assert_eq!(formatted(expected), expected);
}

#[test]
fn comments_stay_where_they_are() {
    let text = "\
// The first line.

/// Of the network.
net a(
  w = 4, // the width
     // of the depth
  d = 2 /* two */,
) { // behind the brace
  input 3 x 8 x 8   // behind a statement
  // above

  conv(w, kernel = /* inline */ 3); /* between */ relu
  conv(w,
    // in a list
    kernel = 3)


  /* a block
     of lines */
  residual { relu } // behind a body
  when w > 2 { relu } // before else
  else { gelu }
  // at the end
}
// the last line";
    let expected = "\
// The first line.

/// Of the network.
net a(
    w = 4, // the width
    // of the depth
    d = 2, /* two */
) { // behind the brace
    input 3 x 8 x 8 // behind a statement
    // above

    conv(w, kernel = /* inline */ 3); /* between */ relu
    conv(
        w,
        // in a list
        kernel = 3,
    )

    /* a block
     of lines */
    residual { relu } // behind a body
    when w > 2 { relu } // before else
    else { gelu }
    // at the end
}
// the last line
";
    assert_eq!(formatted(text), expected);
    assert_eq!(formatted(expected), expected);
}

/// Comments before a place where the line breaks count, so that formatting again breaks there again.
#[test]
fn lines_break_where_they_did() {
    let statements = [
        "share /* c 110 */ body[*].pointwise /* c 111 */ with /* c 112 */ private /* c 113 */ scale, /* c 114 */ \
         low_rank(rank) /* c 115 */ when /* c 116 */ private /* c 117 */ and rank > 0",
        "share /* c 74 */ body[*].conv /* c 75 */ with private /* c 77 */ bias, /* c 78 */ scale when /* c 80 */ \
         private /* c 81 */ and /* c 82 */ rank /* c 83 */ == /* c 84 */ 0 /* c 85 */",
        "share body[*].conv /* c 98 */ with /* c 99 */ private /* c 100 */ bias, scale, /* c 102 */ \
         low_rank(rank) /* c 103 */ when /* c 104 */ private and /* c 106 */ rank /* c 107 */ > 0",
    ];
    for statement in statements {
        for more in 0..40 {
            let text = format!("net a {{\n    share {}{}", "/* x */ ".repeat(more), &statement[6..]) + "\n}\n";
            let once = formatted(&text);
            assert!(once.lines().count() > 3, "{once}");
            assert_eq!(formatted(&once), once);
        }
    }
}

#[test]
fn line_ends_of_the_file_are_kept() {
    let unix = "net a {\n input 3\n /* a\n b */ relu }\n";
    let windows = unix.replace('\n', "\r\n");
    assert_eq!(formatted(&windows), formatted(unix).replace('\n', "\r\n"));
    assert_eq!(formatted(""), "");
    assert_eq!(formatted(" \n// only\n\n"), "// only\n");
}

#[test]
fn imports_are_not_read() {
    let text = "use \"missing.ksn\"\nnet a { input 3; relu }\n";
    assert_eq!(formatted(text), text);
}

/// What random blanks are put into.
const TEXTS: [&str; 3] = [
    include_str!("../../tests/nets/small.ksn"),
    include_str!("../../examples/nets/private_parts.ksn"),
    include_str!("../../examples/nets/branches.ksn"),
];

/// Texts between blanks, and the blanks behind each.
fn parts(text: &str) -> Vec<(String, String)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        // A comment is one text.
        let end = match rest.starts_with("//") {
            true => rest.find('\n').unwrap_or(rest.len()),
            false => rest.find([' ', '\n']).unwrap_or(rest.len()),
        };
        let blank = rest[end..]
            .find(|c| c != ' ' && c != '\n')
            .map_or(rest.len(), |length| end + length);
        parts.push((rest[..end].to_owned(), rest[end..blank].to_owned()));
        rest = &rest[blank..];
    }
    parts
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// Spaces and indentation have no influence.
    #[test]
    fn spaces_do_not_matter(text in 0..TEXTS.len(), blanks in prop::collection::vec(1usize..4, 40)) {
        let text = TEXTS[text];
        let mut changed = String::new();
        for (number, (part, blank)) in parts(text).into_iter().enumerate() {
            let spaces = [" ", "\t", "   "][blanks[number % blanks.len()] - 1];
            let lines = blank.matches('\n').count().min(2);
            changed += &part;
            changed += &if lines > 0 { "\n".repeat(lines + blanks[number % 7] % lines.max(1)) + spaces } else { spaces.to_owned() };
        }
        prop_assert_eq!(formatted(&changed), formatted(text));
    }

    /// Line breaks and comments anywhere: what can still be parsed keeps its meaning and its comments.
    #[test]
    fn breaks_and_comments_are_kept(text in 0..TEXTS.len(), choices in prop::collection::vec(0usize..24, 60)) {
        let text = TEXTS[text];
        let mut changed = String::new();
        for (number, (part, blank)) in parts(text).into_iter().enumerate() {
            changed += &part;
            let more = match choices[number % choices.len()] {
                0 => format!(" // comment {number}\n"),
                1 => format!("\n// comment {number}\n"),
                2 => format!("\n\n\n/* comment {number} */"),
                3 => format!(" /* comment {number} */ "),
                4 => format!("/* a\n  b {number} */"),
                5 => "\n".to_owned(),
                6 => "\n\n\n".to_owned(),
                7 => ("\t \n").to_owned(),
                _ => String::new(),
            };
            changed += &more;
            changed += &blank;
        }
        match format("random.ksn", &changed) {
            Ok(once) => {
                prop_assert_eq!(comments(&changed), comments(&once));
                let words = |text: &str| squeezed(text).replace(',', "");
                prop_assert_eq!(words(&changed), words(&once));
                prop_assert_eq!(meaning(&once, &repository()), meaning(text, &repository()));
                let twice = formatted(&once);
                prop_assert_eq!(twice, once);
            }
            Err(FormatError::Syntax(..)) => {}
            Err(FormatError::Changed) => prop_assert!(false, "would be changed: {}", changed),
        }
    }
}
