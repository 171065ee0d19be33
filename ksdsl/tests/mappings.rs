//! Which visits each kernel serves, for every mapping and place, against lists written by hand.

use ksdsl::compile::{Options, compile};
use ksdsl::diag::Code;
use ksdsl::mappings::{MAPPINGS, PLACES};
use ksdsl::render::render;
use ksdsl::source::Source;
use ksdsl::summary::Summary;
use proptest::prelude::*;
use serde_json::Value;

/// The summary of a network, as `ksn summary --json` prints it. A warning says that nothing is shared where no
/// kernel has two visits, and nowhere else; the text has one clause.
fn json(text: &str) -> Value {
    let source = Source::new("mapping.ksn", text);
    let compilation = compile(&source, &Options::default());
    let summary = serde_json::to_value(Summary::new(&compilation.networks[0], 1)).expect("a summary serialises");
    let groups = summary["groups"].as_array().expect("groups");
    let shares = groups
        .iter()
        .any(|group| group["visits"].as_array().expect("visits").len() > 1);
    let codes: Vec<Code> = compilation.diagnostics.iter().map(|found| found.code).collect();
    let expected: &[Code] = if shares { &[] } else { &[Code::SingleMember] };
    let rendered = render(&source, &compilation.diagnostics, false);
    assert_eq!(codes, expected, "{text}\n{rendered}");
    summary
}

/// The kernels of `depth` isomorphic layers under a clause: of each kernel the layers it serves, by
/// number.
fn kernels(depth: usize, clause: &str) -> Vec<Vec<usize>> {
    let summary = json(&format!(
        "net n {{ input 4; stage s {{ repeat {depth} {{ linear(4, bias = false) }} }} share s[*].linear {clause} }}"
    ));
    let groups = summary["groups"].as_array().expect("groups");
    // 4 x 4 parameters for each kernel, and for each layer with one of its own.
    let shared: usize = groups.iter().map(visits).map(|visits| visits.len()).sum();
    let stored = groups.len() + depth - shared;
    assert_eq!(summary["parameters"]["trainable"], 16 * stored, "{clause}");
    assert_eq!(summary["parameters"]["unshared"], 16 * depth, "{clause}");
    groups.iter().map(visits).collect()
}

/// The block numbers of the layers a kernel serves.
fn visits(group: &Value) -> Vec<usize> {
    let number = |path: &Value| {
        let path = path.as_str().expect("a path");
        path[path.find('[')? + 1..path.find(']')?].parse().ok()
    };
    let visits = group["visits"].as_array().expect("visits");
    visits.iter().map(|path| number(path).expect("an index")).collect()
}

/// The layers of each kernel, by hand. Where the count divides, `sequential` and `strided` at a rate are
/// `uniform_sequential` and `uniform_strided` of SPIN's code (apple/ml-spin,
/// `models/weight_sharing_helper.py`); `cycle` and `cycle_rev` of 6 layers and 3 kernels are Fig. 1 of
/// Takase & Kiyono, and the others their code (takase/share_layer_params, `TransformerEncoder`).
const CASES: &[(usize, &str, &[&[usize]])] = &[
    (4, "", &[&[0, 1, 2, 3]]),
    (6, "into 3 groups", &[&[0, 1], &[2, 3], &[4, 5]]),
    (8, "into 3 groups", &[&[0, 1, 2], &[3, 4, 5], &[6, 7]]),
    (6, "into sequential(groups = 3)", &[&[0, 1], &[2, 3], &[4, 5]]),
    (8, "into sequential(3)", &[&[0, 1, 2], &[3, 4, 5], &[6, 7]]),
    (6, "into sequential(rate = 2)", &[&[0, 1], &[2, 3], &[4, 5]]),
    (7, "into sequential(rate = 3)", &[&[0, 1, 2], &[3, 4, 5], &[6]]),
    (4, "into sequential(rate = 9)", &[&[0, 1, 2, 3]]),
    (6, "into strided(rate = 2)", &[&[0, 3], &[1, 4], &[2, 5]]),
    (7, "into strided(rate = 3)", &[&[0, 3, 6], &[1, 4], &[2, 5]]),
    (6, "into strided(3)", &[&[0, 3], &[1, 4], &[2, 5]]),
    (8, "into strided(groups = 3)", &[&[0, 3, 6], &[1, 4, 7], &[2, 5]]),
    (6, "into cycle(3)", &[&[0, 3], &[1, 4], &[2, 5]]),
    (5, "into cycle(groups = 2)", &[&[0, 2, 4], &[1, 3]]),
    (6, "into cycle(rate = 2)", &[&[0, 3], &[1, 4], &[2, 5]]),
    (7, "into cycle(rate = 3)", &[&[0, 3, 6], &[1, 4], &[2, 5]]),
    (6, "into cycle_rev(3)", &[&[0, 5], &[1, 4], &[2, 3]]),
    (9, "into cycle_rev(3)", &[&[0, 3, 8], &[1, 4, 7], &[2, 5, 6]]),
    (7, "into cycle_rev(3)", &[&[0, 3, 6], &[1, 5], &[2, 4]]),
    (5, "into cycle_rev(3)", &[&[0], &[1, 4], &[2, 3]]),
    (6, "into cycle_rev(rate = 2)", &[&[0, 5], &[1, 4], &[2, 3]]),
    (7, "into cycle_rev(rate = 3)", &[&[0, 3, 6], &[1, 5], &[2, 4]]),
    // 0 1 1 0 2 0 1 2 by the Python lines in `share/assign.rs`.
    (8, "into random(3, seed = 7)", &[&[0, 3, 5], &[1, 2, 6], &[4, 7]]),
    // 1 1 0 0 1 0 2 2, and 2 1 1 1 2 0 0 0, by the same: another seed is another mapping.
    (8, "into random(3, seed = 8)", &[&[2, 3, 5], &[0, 1, 4], &[6, 7]]),
    (
        8,
        "into random(3, seed = 4294967295)",
        &[&[5, 6, 7], &[1, 2, 3], &[0, 4]],
    ),
    // 1 1 2 0 0 0 1 by the same, of 0 0 0 1 1 1 2.
    (7, "into random(rate = 3, seed = 2)", &[&[3, 4, 5], &[0, 1, 6], &[2]]),
    // 1 0 2 2 0 1 0 1 3 3 3 2 by the same; the seed is 0 without one.
    (
        12,
        "into random(4)",
        &[&[1, 4, 6], &[0, 5, 7], &[2, 3, 11], &[8, 9, 10]],
    ),
    (
        12,
        "into random(rate = 3)",
        &[&[1, 4, 6], &[0, 5, 7], &[2, 3, 11], &[8, 9, 10]],
    ),
    (5, "into [0, 0, 1, 2, 1]", &[&[0, 1], &[2, 4], &[3]]),
    (5, "into [1, _, 0, _, 1]", &[&[2], &[0, 4]]),
    (5, "at sandwich", &[&[1, 2, 3]]),
    (6, "into cycle(2) at sandwich", &[&[1, 3], &[2, 4]]),
    (4, "at sandwich", &[&[1, 2]]),
    // 0 0 1 1 1 0 of the six in between, by the Python lines above.
    (8, "into random(2, seed = 5) at sandwich", &[&[1, 2, 6], &[3, 4, 5]]),
    (8, "at front(3)", &[&[0, 1, 2]]),
    (8, "at middle(3)", &[&[2, 3, 4]]),
    (8, "at back(3)", &[&[5, 6, 7]]),
    (8, "into strided(rate = 2) at back(0.5)", &[&[4, 6], &[5, 7]]),
    (7, "at front(0.5)", &[&[0, 1, 2, 3]]),
    (7, "at middle(0.5)", &[&[1, 2, 3, 4]]),
    (7, "at back(0.5)", &[&[3, 4, 5, 6]]),
    (3, "at front(1.0)", &[&[0, 1, 2]]),
    (7, "into 2 groups at front(5)", &[&[0, 1, 2], &[3, 4]]),
    (8, "into cycle_rev(2) at middle(4)", &[&[2, 5], &[3, 4]]),
    (7, "into strided(2) at middle(5)", &[&[1, 3, 5], &[2, 4]]),
    (5, "into [1, 0, 1] at back(3)", &[&[3], &[2, 4]]),
    (6, "into [0, 1, 1, 0] at middle(4)", &[&[1, 4], &[2, 3]]),
    (4, "into 2 groups at uniform", &[&[0, 1], &[2, 3]]),
];

#[test]
fn every_mapping_serves_the_layers_it_should() {
    for (depth, clause, expected) in CASES {
        assert_eq!(&kernels(*depth, clause), expected, "{depth} layers {clause}");
    }
}

/// No mapping is left out above, by number and by rate, where the layers divide evenly and where not; no
/// place, by number and by part.
#[test]
fn no_mapping_is_left_out() {
    // The depth, and the number behind this text: 3 of `into cycle(3)`.
    let numbers = |start: &str| -> Vec<(usize, f64)> {
        let number = |clause: &str| {
            let clause = clause.replace("groups = ", "");
            let (_, rest) = clause.split_once(start)?;
            rest.split([',', ')']).next()?.parse().ok()
        };
        CASES
            .iter()
            .filter_map(|(depth, clause, _)| Some((*depth, number(clause)?)))
            .collect()
    };
    // `forms.rs` has those that give no visit one of several kernels.
    for def in MAPPINGS
        .iter()
        .filter(|def| def.params.iter().any(|param| param.name == "rate"))
    {
        for start in [format!("into {}(", def.name), format!("into {}(rate = ", def.name)] {
            let even = |(depth, number): &(usize, f64)| *depth as f64 % number == 0.0;
            let (even, uneven): (Vec<_>, Vec<_>) = numbers(&start).into_iter().partition(even);
            assert!(!even.is_empty() && !uneven.is_empty(), "{start}: {even:?} {uneven:?}");
        }
    }
    for def in PLACES {
        let start = format!("at {}", def.name);
        if def.params.is_empty() {
            assert!(CASES.iter().any(|(_, clause, _)| clause.ends_with(&start)), "{start}");
        } else {
            let fraction = |(_, number): &(usize, f64)| *number <= 1.0;
            let (parts, counts): (Vec<_>, Vec<_>) = numbers(&format!("{start}(")).into_iter().partition(fraction);
            assert!(!parts.is_empty() && !counts.is_empty(), "{start}: {parts:?} {counts:?}");
        }
    }
}

/// The blocks of each kernel under a clause that shares whole blocks: a block counts as one visit, so that
/// the lists are those of layers.
#[test]
fn every_mapping_serves_the_blocks_it_should() {
    let cases: &[(usize, &str, &[&[usize]])] = &[
        (4, "", &[&[0, 1, 2, 3]]),
        (8, "into 3 groups", &[&[0, 1, 2], &[3, 4, 5], &[6, 7]]),
        (7, "into sequential(rate = 3)", &[&[0, 1, 2], &[3, 4, 5], &[6]]),
        (8, "into strided(3)", &[&[0, 3, 6], &[1, 4, 7], &[2, 5]]),
        (5, "into cycle(2)", &[&[0, 2, 4], &[1, 3]]),
        (5, "into cycle_rev(3)", &[&[0], &[1, 4], &[2, 3]]),
        (8, "into random(3, seed = 7)", &[&[0, 3, 5], &[1, 2, 6], &[4, 7]]),
        (5, "into [1, _, 0, _, 1]", &[&[2], &[0, 4]]),
        (5, "at sandwich", &[&[1, 2, 3]]),
        (7, "at front(0.5)", &[&[0, 1, 2, 3]]),
        (8, "at middle(3)", &[&[2, 3, 4]]),
        (8, "into strided(rate = 2) at back(0.5)", &[&[4, 6], &[5, 7]]),
    ];
    for (depth, clause, expected) in cases {
        let summary = json(&format!(
            "net n {{ input 4; block b {{ up: linear(6); relu; down: linear(4) }}
             stage s {{ repeat {depth} {{ b }} }} share blocks in s {clause} }}"
        ));
        let groups = summary["groups"].as_array().expect("groups");
        for layer in ["up", "down"] {
            let of_layer = |group: &&Value| group["visits"][0].as_str().is_some_and(|path| path.ends_with(layer));
            let found: Vec<Vec<usize>> = groups.iter().filter(of_layer).map(visits).collect();
            assert_eq!(&found, expected, "{layer} of {depth} blocks {clause}");
        }
    }
}

/// Of several sets of isomorphic layers each is mapped by itself, in the order of the forward pass.
#[test]
fn sets_are_mapped_by_themselves() {
    let summary = json(
        "net n {
            input 4
            stage s { repeat 5 { a: linear(4); b: linear(6); c: linear(4) } }
            share isomorphic linear in s into strided(rate = 2)
        }",
    );
    let found: Vec<Vec<&str>> = summary["groups"]
        .as_array()
        .expect("groups")
        .iter()
        .map(|group| {
            let visits = group["visits"].as_array().expect("visits");
            visits.iter().filter_map(Value::as_str).collect()
        })
        .collect();
    // a: 4 to 4, b: 4 to 6, c: 6 to 4; five of each, so kernels i mod 3.
    let expected: Vec<Vec<String>> = ["a", "b", "c"]
        .iter()
        .flat_map(|layer| {
            [&[0, 3][..], &[1, 4], &[2]].map(|blocks| blocks.iter().map(|at| format!("s[{at}].{layer}")).collect())
        })
        .collect();
    assert_eq!(found, expected);
}

/// SPIN's ConvMixer-768/32: 32 pointwise kernels become 16.
#[test]
fn spin_shares_at_rate_two() {
    let text = include_str!("../../examples/nets/spin.ksn");
    let expected = |net: &str, visits: fn(usize) -> [usize; 2]| {
        let options = Options {
            net: Some(net.to_owned()),
            ..Options::default()
        };
        let compilation = compile(&Source::new("spin.ksn", text), &options);
        let summary = Summary::new(&compilation.networks[0], 1);
        assert_eq!(summary.groups.len(), 16);
        for (kernel, group) in summary.groups.iter().enumerate() {
            let paths = visits(kernel).map(|block| format!("mixer[{block}].pointwise"));
            assert_eq!(group.visits, paths, "{net}");
        }
    };
    expected("spin", |kernel| [2 * kernel, 2 * kernel + 1]);
    expected("spin_strided", |kernel| [kernel, kernel + 16]);
}

/// Layers at the same path of blocks of one family; the first block has another input.
#[test]
fn blocks_are_mapped_as_wholes() {
    let summary = json(
        "net n {
            input 8
            block b(width) { up: linear(16); down: linear(width); layer_norm }
            stage s { repeat 4 { b(4) } }
            stage t { repeat 2 { b(4) } b(6); b(6) }
            share blocks in s, t with norms into cycle(3)
        }",
    );
    let found: Vec<(&str, Vec<&str>)> = summary["groups"]
        .as_array()
        .expect("groups")
        .iter()
        .map(|group| {
            let visits = group["visits"].as_array().expect("visits");
            let visits = visits.iter().filter_map(Value::as_str).collect();
            (group["name"].as_str().expect("a name"), visits)
        })
        .collect();
    let expected: &[(&str, &[&str])] = &[
        // Eight blocks, one family: `t[2].up` takes 4 features as well, and `t[3].down` gives 6 as `t[2].down`.
        ("s_t_down.0", &["s[0].down", "s[3].down"]),
        ("s_t_down.1", &["s[1].down", "t[0].down"]),
        ("s_t_down.2", &["s[2].down", "t[1].down"]),
        ("s_t_layer_norm.0", &["s[0].layer_norm", "s[3].layer_norm"]),
        ("s_t_layer_norm.1", &["s[1].layer_norm", "t[0].layer_norm"]),
        ("s_t_layer_norm.2", &["s[2].layer_norm", "t[1].layer_norm"]),
        ("s_t_up.0", &["s[3].up", "t[2].up"]),
        ("s_t_up.1", &["s[1].up", "t[0].up"]),
        ("s_t_up.2", &["s[2].up", "t[1].up"]),
        ("s_t_down_2.0", &["t[2].down"]),
        ("s_t_down_2.1", &["t[3].down"]),
        ("s_t_layer_norm_2.0", &["t[2].layer_norm"]),
        ("s_t_layer_norm_2.1", &["t[3].layer_norm"]),
    ];
    let expected: Vec<(&str, Vec<&str>)> = expected.iter().map(|(name, visits)| (*name, visits.to_vec())).collect();
    assert_eq!(found, expected);
}

/// Stages of other widths are families of their own, each mapped from its first block.
#[test]
fn families_are_mapped_by_themselves() {
    let summary = json(
        "net n {
            input 4
            block b(width) { linear(width, bias = false) }
            stage s { repeat 3 { b(4) } }
            stage t { b(6); repeat 3 { b(6) } }
            share blocks in s, t into sequential(2)
        }",
    );
    let groups = summary["groups"].as_array().expect("groups");
    let found: Vec<(&str, Vec<usize>)> = groups
        .iter()
        .map(|group| (group["name"].as_str().expect("a name"), visits(group)))
        .collect();
    let expected = [
        ("s_linear.0", vec![0, 1]),
        ("s_linear.1", vec![2]),
        ("t_linear.0", vec![1, 2]),
        ("t_linear.1", vec![3]),
    ];
    assert_eq!(found, expected);
}

fn mapping() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec!["sequential", "strided", "cycle", "cycle_rev", "random"]);
    let count = prop_oneof![
        (1usize..6).prop_map(|k| format!("groups = {k}")),
        (1usize..9).prop_map(|r| format!("rate = {r}"))
    ];
    let place = prop::sample::select(vec!["", "at sandwich", "at front(0.75)", "at middle(6)", "at back(6)"]);
    (names, count, any::<u32>(), place).prop_map(|(name, count, seed, place)| match name {
        "random" => format!("into random({count}, seed = {seed}) {place}"),
        _ => format!("into {name}({count}) {place}"),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Every visit has one kernel, every kernel a visit; the visits that share are in a row; the kernels
    /// differ by at most one visit, but for the last of a rate and for `cycle_rev`.
    #[test]
    fn every_kernel_is_used(depth in 8usize..40, clause in mapping()) {
        let found = kernels(depth, &clause);
        prop_assert_eq!(&found, &kernels(depth, &clause), "not the same twice");
        prop_assert!(found.iter().all(|visits| !visits.is_empty() && visits.is_sorted()));
        let mut all: Vec<usize> = found.concat();
        all.sort_unstable();
        prop_assert!(all.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{clause}: {found:?}");
        let sizes = found.iter().map(Vec::len);
        let (least, most) = (sizes.clone().min().unwrap_or(0), sizes.max().unwrap_or(0));
        let even = !clause.contains("rate") && !clause.contains("cycle_rev");
        prop_assert!(!even || most - least <= 1, "{clause}: {found:?}");
        if let Some((_, rate)) = clause.split_once("rate = ") {
            let digits: String = rate.chars().take_while(char::is_ascii_digit).collect();
            let rate: usize = digits.parse().expect("a rate");
            prop_assert_eq!(found.len(), all.len().div_ceil(rate));
        }
    }
}

/// A clause over several sets of layers shares something as soon as one of them does. MobileNetV2's bodies (Sandler et
/// al. 2018, table 2) have pointwise layers of many shapes, few of which have a second visit at the front.
#[test]
fn a_clause_over_several_sets_warns_only_if_none_shares() {
    let text = |clause: &str| {
        format!(
            "net n {{
                input 8 x 4 x 4
                stage s {{ conv(4, kernel = 1); conv(8, kernel = 1); repeat 4 {{ conv(8, kernel = 1) }} conv(4, kernel = 1) }}
                share isomorphic conv in s {clause}
            }}"
        )
    };
    // Two layers of 8 to 4, one of 4 to 8, four of 8 to 8: half of two is one, half of four is two.
    let summary = json(&text("at front(0.5)"));
    assert_eq!(summary["parameters"]["trainable"], 2 * 32 + 32 + 3 * 64);
    json(&text("at front(1)"));
    json(&text("into 2 groups"));
    json(&text("at sandwich"));
}
