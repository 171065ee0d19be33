//! Packages are complete: what their sources include is in them, and what readers of a registry look for.

use ksdsl_package_tests::{cargo, published, root, text};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// What names a file, and whether its path starts at the package's folder (otherwise, at the source file's).
const NAMES_A_FILE: [(&str, bool); 4] = [
    ("include_str!(\"", false),
    ("include_bytes!(\"", false),
    ("#[path = \"", false),
    ("#[grammar = \"", true),
];

/// The files that a source of a package names, by their paths in the package.
fn named(source: &str, path: &Path) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files = Vec::new();
    for (word, at_root) in NAMES_A_FILE {
        for rest in source.split(word).skip(1) {
            let (name, _) = rest.split_once('"').unwrap_or((rest, ""));
            let from = if at_root { Path::new("") } else { folder };
            files.push(normal(&from.join(name)));
        }
    }
    files
}

/// A path without `x/..`; one that leaves the package keeps its `..`.
fn normal(path: &Path) -> PathBuf {
    let mut parts: Vec<Component<'_>> = Vec::new();
    for part in path.components() {
        match (part, parts.last()) {
            (Component::ParentDir, Some(Component::Normal(_))) => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.iter().collect()
}

/// Whether a source looks for files of the repository when it runs; its unit tests may.
fn leaves_its_folder(source: &str) -> bool {
    let (code, _) = source.split_once("#[cfg(test)]").unwrap_or((source, ""));
    code.contains("env!(\"CARGO_MANIFEST_DIR\")")
}

#[test]
fn paths_are_found_in_sources() {
    let grammar = "#[derive(Parser)]\n#[grammar = \"../../grammars/ksn.pest\"]\nstruct P;";
    assert_eq!(
        named(grammar, Path::new("src/parse/mod.rs")),
        [Path::new("../../grammars/ksn.pest")]
    );
    let included = "const A: &str = include_str!(\"../data/a.txt\"); #[path = \"b.rs\"] mod b;";
    assert_eq!(
        named(included, Path::new("src/c/mod.rs")),
        [Path::new("src/data/a.txt"), Path::new("src/c/b.rs")]
    );
}

#[test]
fn packages_have_what_their_sources_name() {
    for package in published() {
        let name = text(&package, "name");
        let list = cargo(&["package", "--list", "--allow-dirty", "-p", name]);
        let files: BTreeSet<PathBuf> = list.lines().map(PathBuf::from).collect();
        for file in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            assert!(files.contains(Path::new(file)), "{name} has no {file}");
        }
        let folder = Path::new(text(&package, "manifest_path")).parent().expect("a folder");
        let mut sources = 0;
        for file in files
            .iter()
            .filter(|file| file.extension().is_some_and(|end| end == "rs"))
        {
            let source = std::fs::read_to_string(folder.join(file)).expect("a source");
            for included in named(&source, file) {
                assert!(
                    files.contains(&included),
                    "{name}: {} names {}",
                    file.display(),
                    included.display()
                );
            }
            // It looks for the clone that it was compiled in, and does without one.
            let finds_its_clone = file.as_path() == Path::new("src/project.rs");
            assert!(
                finds_its_clone || !leaves_its_folder(&source),
                "{name}: {} looks for files beside it",
                file.display()
            );
            sources += 1;
        }
        assert!(sources > 0, "{name}");
    }
}

#[test]
fn packages_say_what_they_are() {
    for package in published() {
        let name = text(&package, "name");
        for key in ["description", "license", "readme", "documentation", "rust_version"] {
            assert!(!text(&package, key).is_empty(), "{name} has no {key}");
        }
        for (key, most) in [("keywords", 5), ("categories", 5)] {
            let count = package[key].as_array().map_or(0, Vec::len);
            assert!((1..=most).contains(&count), "{name}: {count} {key}");
        }
    }
}

/// A README is the front page of the documentation as well, so its examples are tests.
#[test]
fn front_pages_have_examples_that_are_tested() {
    for package in published() {
        let name = text(&package, "name");
        let folder = Path::new(text(&package, "manifest_path")).parent().expect("a folder");
        let library = std::fs::read_to_string(folder.join("src/lib.rs")).expect("a library");
        assert!(library.contains("doc = include_str!(\"../README.md\")"), "{name}");
        let readme = std::fs::read_to_string(folder.join("README.md")).expect("a README");
        assert!(readme.contains("\n```rust\n"), "{name} has no example that runs");
        let features = package["features"].as_object().expect("features");
        for feature in features.keys().filter(|feature| *feature != "default") {
            assert!(
                readme.contains(&format!("\n| `{feature}` | ")),
                "{name} does not document `{feature}`"
            );
        }
    }
}

#[test]
fn every_published_package_has_a_listing_of_its_public_items() {
    let names: BTreeSet<String> = published()
        .iter()
        .map(|package| text(package, "name").to_owned())
        .collect();
    let folder = std::fs::read_dir(root().join("tests/packages")).expect("the folder of the listings");
    let files = folder.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let listed: BTreeSet<String> = files
        .filter_map(|file| Some(file.strip_suffix(".txt")?.to_owned()))
        .collect();
    assert_eq!(listed, names);
}
