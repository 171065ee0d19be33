//! A crate that trains a network: what `ksn new` writes.

use crate::compile::{Options, compile};
use crate::source::Source;
use crate::spec::{Spec, SpecError};
use std::fmt;
use std::path::Path;

/// Where the crates of the project come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A clone of the repository, as an absolute path.
    Clone(String),
    /// The registry, in this version.
    Registry,
}

/// Why a project cannot have a name.
#[derive(Debug)]
pub enum NameError {
    /// Cargo refuses it, or a dependency has it.
    Crate(String),
    /// The language has it, or generated code.
    Network(String),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameError::Crate(name) => write!(f, "a crate cannot be called `{name}`"),
            NameError::Network(name) => write!(f, "a network cannot be called `{name}`"),
        }
    }
}

/// Names of crates that the project's own crate would hide, or that cargo refuses.
const TAKEN: &[&str] = &[
    "alloc",
    "build",
    "core",
    "deps",
    "examples",
    "incremental",
    "insta",
    "ksdsl",
    "ksdsl_runtime",
    "ksdsl_train",
    "proc_macro",
    "std",
    "test",
];

/// The files of a project: paths with `/` and texts.
///
/// # Errors
/// If a crate or a network cannot have the name.
pub fn files(name: &str, origin: &Origin) -> Result<Vec<(String, String)>, NameError> {
    let net = name.replace('-', "_");
    check(name, &net)?;
    let fill = |template: &str| template.replace("{name}", name).replace("{net}", &net);
    let network = fill(include_str!("project/network.in"));
    let snapshot = snapshot(&network, &net).map_err(|_| NameError::Network(net.clone()))?;
    let manifest = fill(include_str!("project/manifest.in"))
        .replace("{runtime}", &dependency(origin, "ksdsl-runtime", ""))
        .replace(
            "{train}",
            &dependency(origin, "ksdsl-runtime/train", ", default-features = false"),
        )
        .replace("{compiler}", &dependency(origin, "ksdsl", ", default-features = false"));
    let files = [
        ("Cargo.toml".to_owned(), manifest),
        (".gitignore".to_owned(), "/target\n/runs\n".to_owned()),
        ("README.md".to_owned(), fill(include_str!("project/readme.in"))),
        (format!("networks/{net}.ksn"), network),
        ("src/main.rs".to_owned(), fill(include_str!("project/main.in"))),
        (
            "tests/architecture.rs".to_owned(),
            fill(include_str!("project/architecture.in")),
        ),
        (format!("tests/snapshots/architecture__{net}.snap"), snapshot),
    ];
    Ok(files.into())
}

/// The clone that this version was compiled in, if it is still there.
pub fn own_clone() -> Option<Origin> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    clone_in(folder)
}

/// The clone of the repository in a folder, if there is one of this version.
pub fn clone_in(folder: &Path) -> Option<Origin> {
    let path = std::path::absolute(folder).ok()?;
    let workspace = std::fs::read_to_string(path.join("Cargo.toml")).ok()?;
    let is_ours = workspace.contains(&format!("version = \"{}\"", env!("CARGO_PKG_VERSION")))
        && path.join("ksdsl-runtime/train/Cargo.toml").is_file()
        && path.join("ksdsl/Cargo.toml").is_file();
    let path = path.to_str()?.replace('\\', "/");
    is_ours.then_some(Origin::Clone(path))
}

fn check(name: &str, net: &str) -> Result<(), NameError> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let is_identifier = syn::parse_str::<syn::Ident>(net).is_ok();
    if !begins || !name.bytes().all(is_word) || name.len() > 64 || !is_identifier || TAKEN.contains(&net) {
        return Err(NameError::Crate(name.to_owned()));
    }
    let text = include_str!("project/network.in").replace("{net}", net);
    match compile(&Source::new("", text), &Options::default())
        .diagnostics
        .is_empty()
    {
        true => Ok(()),
        false => Err(NameError::Network(net.to_owned())),
    }
}

/// The architecture's snapshot, as insta stores it.
fn snapshot(network: &str, net: &str) -> Result<String, SpecError> {
    let summary = Spec::parse(net, network).summary()?;
    let body = summary.to_string();
    Ok(format!("{}{}\n", include_str!("project/snapshot.in"), body.trim_end()))
}

/// A dependency of the manifest.
fn dependency(origin: &Origin, folder: &str, more: &str) -> String {
    match origin {
        Origin::Clone(path) => format!("{{ path = {}{more} }}", quoted(&format!("{path}/{folder}"))),
        Origin::Registry => format!("{{ version = \"{}\"{more} }}", env!("CARGO_PKG_VERSION")),
    }
}

/// A text as a string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(letter))),
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::{Origin, files};

    #[test]
    fn names_that_cargo_rust_or_the_language_refuse_are_errors() {
        for name in [
            "",
            "1a",
            "a b",
            "a/b",
            "..",
            "größe",
            "fn",
            "std",
            "test",
            "ksdsl-runtime",
            "net",
            "let",
            "-a",
            "_a",
        ] {
            assert!(files(name, &Origin::Registry).is_err(), "{name}");
        }
        for name in ["my-net", "a", "Digits2"] {
            assert!(files(name, &Origin::Registry).is_ok(), "{name}");
        }
    }

    /// TOML 1.0: `\` and `"` are escaped in basic strings, control characters as `\uXXXX`.
    #[test]
    fn any_path_is_a_string_of_toml() {
        let origin = Origin::Clone("/a \"b\"\\c\td".to_owned());
        let files = files("a", &origin).unwrap();
        let manifest = &files[0].1;
        assert!(
            manifest.contains(r#"{ path = "/a \"b\"\\c\u0009d/ksdsl-runtime" }"#),
            "{manifest}"
        );
    }
}
