//! Licences, sources and Rust versions of the dependencies: what of `cargo deny` needs neither installation nor network.

use ksdsl_package_tests::{packages, root, text};
use spdx::{Expression, ParseMode};

/// `licenses.allow` of `deny.toml`.
fn allowed() -> Vec<String> {
    let file = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    let table: toml::Table = file.parse().expect("TOML");
    let list = table["licenses"]["allow"].as_array().expect("a list");
    list.iter()
        .map(|name| name.as_str().expect("a text").to_owned())
        .collect()
}

/// Whether somebody who accepts these licences may use what is licensed by this expression.
fn fits(expression: &str, allowed: &[String]) -> bool {
    let Ok(expression) = Expression::parse_mode(expression, ParseMode::LAX) else {
        return false;
    };
    expression.evaluate(|requirement| allowed.iter().any(|name| *name == requirement.to_string()))
}

/// Major and minor version of `1.85`, `1.85.1`.
fn version(text: &str) -> (u64, u64) {
    let mut numbers = text.split('.').map(|number| number.parse().expect("a number"));
    (numbers.next().expect("a major version"), numbers.next().unwrap_or(0))
}

#[test]
fn expressions_mean_what_spdx_says() {
    let allowed = [
        "MIT".to_owned(),
        "Zlib".to_owned(),
        "Apache-2.0 WITH LLVM-exception".to_owned(),
    ];
    for fit in [
        "MIT",
        "MIT OR GPL-3.0-only",
        "MIT AND Zlib",
        "Apache-2.0/MIT",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(fits(fit, &allowed), "{fit}");
    }
    for unfit in [
        "",
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "Apache-2.0",
        "(MIT AND ISC) OR LGPL-2.1-only",
    ] {
        assert!(!fits(unfit, &allowed), "{unfit}");
    }
}

#[test]
fn every_licence_is_allowed() {
    let allowed = allowed();
    let packages = packages();
    assert!(packages.len() > 100, "{}", packages.len());
    let refused = packages
        .iter()
        .filter(|package| !fits(text(package, "license"), &allowed));
    let refused: Vec<String> = refused
        .map(|package| format!("{}: `{}`", text(package, "name"), text(package, "license")))
        .collect();
    assert!(
        refused.is_empty(),
        "not among `licenses.allow` of deny.toml: {refused:#?}"
    );
}

#[test]
fn every_dependency_comes_from_the_registry() {
    for package in packages() {
        let source = text(&package, "source");
        let own = package["source"].is_null();
        let registry = source == "registry+https://github.com/rust-lang/crates.io-index";
        assert!(own || registry, "{} comes from {source}", text(&package, "name"));
    }
}

#[test]
fn no_dependency_needs_a_newer_rust_than_is_promised() {
    let packages = packages();
    let own = packages
        .iter()
        .find(|package| text(package, "name") == "ksdsl")
        .expect("ksdsl");
    let promised = version(text(own, "rust_version"));
    for package in &packages {
        if let Some(needed) = package["rust_version"].as_str() {
            assert!(
                version(needed) <= promised,
                "{} needs Rust {needed}",
                text(package, "name")
            );
        }
    }
}
