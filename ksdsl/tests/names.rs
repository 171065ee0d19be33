//! Whatever things are called, the generated Rust and Python can be written, and no two things of
//! one scope get one name there.

use ksdsl::codegen;
use ksdsl::export::pytorch;
use ksdsl::spec::Spec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::HashSet;

/// Names that mean something to Rust, to Python, to PyTorch's modules or to what we write ourselves, and odd ones.
const ODD: &[&str] = &[
    // Rust
    "fn",
    "match",
    "dyn",
    "async",
    "gen",
    "try",
    "union",
    "static",
    "box",
    "impl",
    "type",
    "Some",
    "Vec",
    "u8",
    "self",
    "Self",
    "super",
    "crate",
    "std",
    "core",
    "main",
    // Python and PyTorch
    "lambda",
    "None",
    "def",
    "class",
    "print",
    "torch",
    "nn",
    "F",
    "x",
    "range",
    "train",
    "forward",
    "parameters",
    "to",
    "half",
    "__init__",
    "__x",
    "_modules",
    "_parameters",
    "weight",
    "running_mean",
    // Ours
    "shared",
    "Shared",
    "Model",
    "Builder",
    "Part",
    "Layer",
    "Input",
    "rt",
    "E",
    "D",
    "S",
    "model",
    "input_",
    "blocks",
    "blocks_2",
    "blocks_from_1",
    "block_0",
    "body",
    "s",
    "s_",
    "s_stage",
    "SStage",
    "Stage",
    "s_conv",
    "factor",
    "kernel",
    // Odd
    "_1",
    "_0",
    "__",
    "_a",
    "a_",
    "a__b",
    "a_b",
    "A_B",
    "aB",
    "a1",
    "a_1",
    "a_2",
    "A",
    "a",
];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(ODD).prop_map(str::to_owned),
        1 => "[a-zA-Z_][a-zA-Z0-9_]{0,6}",
    ]
}

/// A specification with these names in every place where a name stands.
fn specification(names: &[String]) -> String {
    let [net, block, width, s, t, conv, norm, part, kernel] = names else {
        unreachable!("nine names");
    };
    format!(
        "net {net}({width} = 4) {{
            input 4 x 4 x 4
            block {block}(c) {{ {conv}: conv(c, kernel = 1, bias = true); {norm}: batch_norm; relu }}
            stage {s} {{ repeat 3 {{ {block}({width}) }} {part}: seq {{ {conv}: conv({width}, kernel = 1) }} }}
            stage {t} {{ {part}: {block}({width}); {norm}: {block}({width}); {block}({width}); repeat 2 {{ relu; {block}({width}) }} }}
            share {s}[*].{conv} into [0, _, 0] as {kernel}
            share blocks {t}.{part}, {t}.{norm}
        }}"
    )
}

/// The names of items in a module and of fields in a struct are all different, in modules of it too.
fn check(items: &[syn::Item]) -> Result<(), String> {
    let mut types = HashSet::new();
    for item in items {
        let name = match item {
            syn::Item::Struct(item) => {
                let mut fields = HashSet::new();
                let twice = item
                    .fields
                    .iter()
                    .filter_map(|field| field.ident.as_ref())
                    .find(|field| !fields.insert(field.to_string()));
                if let Some(field) = twice {
                    return Err(format!("two fields `{field}` of `{}`", item.ident));
                }
                &item.ident
            }
            syn::Item::Type(item) => &item.ident,
            syn::Item::Mod(item) => {
                check(item.content.as_ref().map_or(&[][..], |(_, items)| items))?;
                &item.ident
            }
            _ => continue,
        };
        if !types.insert(name.to_string()) {
            return Err(format!("two items `{name}`"));
        }
    }
    Ok(())
}

/// The names that two lines of this start in one text give.
fn twice<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    let mut seen = HashSet::new();
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix(start)?.split(['(', ':']).next());
    names.into_iter().find(|name| !seen.insert(*name))
}

/// Names that no specification can have.
const REFUSED: &[&str] = &["self", "Self", "super", "crate", "shared", "x", "_"];

/// Whether a specification with these names has code, which is checked; without there must be a reason.
fn generated(names: &[String]) -> bool {
    let text = specification(names);
    let different: HashSet<&String> = names.iter().collect();
    let spoilt = different.len() < names.len() || names.iter().any(|name| REFUSED.contains(&name.as_str()));
    let compilation = match Spec::parse("names.ksn", &text).compile_all() {
        Ok(compilation) => compilation,
        Err(error) => {
            assert!(spoilt, "{text}\n{error}");
            return false;
        }
    };
    for network in &compilation.networks {
        // This parses what it formats.
        let rust = codegen::format(codegen::network(network));
        let file = syn::parse_file(&rust).unwrap_or_else(|error| panic!("{error}\n{text}\n{rust}"));
        assert_eq!(check(&file.items), Ok(()), "{text}\n{rust}");
        let python = pytorch::module(network, &[]);
        assert_eq!(twice(&python, "class "), None, "{text}\n{python}");
    }
    assert_eq!(compilation.networks.len(), 1, "{text}");
    true
}

/// 200 lists of names, the same in every run; about half of them name something twice or by a word that is refused.
#[test]
fn any_names_can_be_generated() {
    let mut runner = TestRunner::deterministic();
    let lists = prop::collection::vec(name(), 9);
    let mut list = || lists.new_tree(&mut runner).expect("names").current();
    let accepted = (0..200).filter(|_| generated(&list())).count();
    assert!(accepted > 60, "only {accepted} of 200 have code");
}

/// Each odd name in every place, the others plain.
#[test]
fn every_odd_name_can_stand_everywhere() {
    let plain = [
        "net1", "block1", "width1", "s1", "t1", "conv1", "norm1", "part1", "kernel1",
    ]
    .map(str::to_owned);
    for odd in ODD.iter().filter(|odd| !REFUSED.contains(odd)) {
        for place in 0..plain.len() {
            let mut names = plain.clone();
            names[place] = (*odd).to_owned();
            assert!(generated(&names), "`{odd}` at {place}");
        }
    }
}
