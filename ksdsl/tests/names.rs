//! Whatever things are called, the generated Rust and Python can be written, and no two things of
//! one scope get one name there.

use ksdsl::codegen;
use ksdsl::export::pytorch;
use ksdsl::spec::Spec;
use proptest::prelude::*;
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
    "scale",
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

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn any_names_can_be_generated(names in prop::collection::vec(name(), 9)) {
        let text = specification(&names);
        // Names that Rust cannot have at all, and names given twice, are errors.
        let Ok(compilation) = Spec::parse("names.ksn", &text).compile_all() else {
            return Ok(());
        };
        for network in &compilation.networks {
            // This parses what it formats.
            let rust = codegen::format(vec![codegen::network(network)].into_iter().collect());
            let file = syn::parse_file(&rust);
            prop_assert!(file.is_ok(), "{text}\n{rust}");
            prop_assert_eq!(check(&file.expect("checked").items), Ok(()), "{}\n{}", text, rust);
            let python = pytorch::module(network, &[]);
            prop_assert_eq!(twice(&python, "class "), None, "{}\n{}", text, python);
        }
    }
}
