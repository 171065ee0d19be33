//! Texts that nobody would write: whatever stands in a source, compiling it ends in diagnostics at places that exist,
//! never in a panic.

use ksdsl::compile::{Options, compile};
use ksdsl::render::render;
use ksdsl::source::Source;
use std::path::Path;

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// What is put into sources: letters of two, three and four bytes, combining and invisible ones, line ends, signs of
/// this language and of others, and words.
const PIECES: &[&str] = &[
    "é",
    "ß",
    "ſ",
    "İ",
    "日",
    "😀",
    "e\u{301}",
    "\u{0}",
    "\u{feff}",
    "\u{200b}",
    "\u{2028}",
    "\u{a0}",
    "２",
    "×",
    "\r",
    "\r\n",
    "\n",
    "\t",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ";",
    ",",
    ".",
    "..",
    ":",
    "=",
    "#",
    "\"",
    "'",
    "`",
    "//",
    "/*",
    "*/",
    "**",
    "|",
    "?",
    "^",
    "-",
    "x",
    "X",
    "3",
    "1e9",
    "9999999999999999999999",
    "share ",
    " in ",
    " with ",
    " as ",
    " into ",
    " when ",
    "input ",
    "let ",
    "if ",
    "else ",
    "for ",
    "residual",
    "path ",
    "isomorphic ",
    "blocks ",
    "norms ",
];

/// Every specification of the repository.
fn sources() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut paths: Vec<_> = ["examples/nets", "tests/nets", "tests/cases"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(root.join(folder)).expect("a folder of the repository"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ksn"))
        .collect();
    paths.sort();
    let texts = paths
        .iter()
        .map(|path| std::fs::read_to_string(path).expect("a specification"));
    // Some cases are large to show a limit.
    texts.filter(|text| text.len() < 8_000).collect()
}

fn place(text: &str, random: &mut Random) -> usize {
    text.ceil_char_boundary(random.below(text.len() + 1))
}

fn mutate(text: &mut String, random: &mut Random) {
    let at = place(text, random);
    match random.below(4) {
        0 => {
            let end = text.ceil_char_boundary((at + 1 + random.below(12)).min(text.len()));
            text.replace_range(at..end, "");
        }
        1 => {
            let end = text.ceil_char_boundary((at + 1 + random.below(40)).min(text.len()));
            let copy = text[at..end].to_owned();
            let to = place(text, random);
            text.insert_str(to, &copy);
        }
        _ => text.insert_str(at, PIECES[random.below(PIECES.len())]),
    }
}

/// Compiles a text and looks at every place its diagnostics speak of.
fn check(text: &str) {
    let source = Source::new("mutated", text);
    let compilation = compile(&source, &Options::default());
    for diagnostic in &compilation.diagnostics {
        let labels = diagnostic.secondary.iter().chain([&diagnostic.primary]);
        let fixes = diagnostic.fix.iter().map(|fix| fix.span);
        for span in labels.map(|label| label.span).chain(fixes) {
            // Of the text, or of the library that it imports.
            assert!(
                source.text().get(span.range()).is_some(),
                "{span:?} is no place in\n{text}"
            );
        }
    }
    render(&source, &compilation.diagnostics, true);
}

#[test]
fn mutated_specifications_never_panic() {
    let sources = sources();
    assert!(sources.len() > 200, "the specifications were not found");
    let rounds = std::env::var("KSDSL_MUTATIONS")
        .ok()
        .and_then(|rounds| rounds.parse().ok());
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for round in 0..rounds.unwrap_or(3_000) {
        let mut text = sources[round % sources.len()].clone();
        for _ in 0..=random.below(3) {
            mutate(&mut text, &mut random);
        }
        if let Err(panic) = std::panic::catch_unwind(|| check(&text)) {
            panic!("{:?} for\n{text}", panic.downcast_ref::<String>());
        }
    }
}

/// The first was found by mutations: a layer name with a letter beyond ASCII before a brace.
#[test]
fn words_with_letters_beyond_ascii_are_errors_anywhere() {
    for letter in ["é", "日", "😀", "e\u{301}", "\u{0}", "\u{feff}", "\u{200b}"] {
        let text = "net s { input 8 sigmoid }";
        for at in 0..=text.len() {
            let mut text = text.to_owned();
            text.insert_str(at, letter);
            check(&text);
            check(&text.replace(' ', "\r\n"));
        }
    }
}
