//! What generated code says of its parts: sizes, counts and paths, not the words around them. And how the lines of
//! exported Python are cut.

use crate::{all, expanded, net, quoted, rust, shared_kernels};
use ksdsl::codegen::{self, Runtime};
use ksdsl::export::pytorch;
use ksdsl::ir::Network;

const NET: &str = r#"
/// A "net" with \ in it.
///
/// Of two paragraphs.
net t(k = 3, wide = true) {
    input 4 x 8 x 8
    stage s { repeat 14 { conv(4, kernel = 3, pad = 1, bias = true); layer_norm } }
    stage u { repeat 3 { conv(4, kernel = 1, groups = 2, bias = true); batch_norm } }
    block b(w) { conv(w, kernel = 3) relu }
    b(6)
    stage v { b(6); layer_norm; b(6) }
    free: batch_norm
    global_avg_pool; linear(3)
    share s[*].conv into 13 groups with private low_rank(2), scale
    share kernel of u[*].conv
    share bias of u[*].conv into 2 groups as b
    share s[0..4].layer_norm into 2 groups
    share u[*].batch_norm
}"#;

/// The lines of comments in generated Rust.
fn comments(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix("///"))
        .map(str::trim)
        .collect()
}

/// Whether a line has these facts, in this order.
fn says(line: &str, facts: &[&str]) -> bool {
    let mut rest = line;
    facts.iter().all(|fact| match rest.split_once(fact) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

/// Parameters: 13 kernels of 4*4*9 + 4, 14 additions of 2*36 + 4*2 and 14 scales of 4; u's kernel 4*2 and two biases
/// of 4; 8 for each layer norm, of which four have two, and for the one batch norm; b's 6*4*9, twice 6*6*9; 12 for a
/// norm of 6; 21. Unshared: 14 kernels and norms, three of each in `u`, no additions and scales.
/// Multiply-adds: 14 * (144*64 + 4*2*36); 3 * 8*64; 216*36, 324*16, 324*4; 18.
#[test]
fn parts_are_described_by_their_sizes() {
    let stored = 13 * 148 + 14 * 80 + 14 * 4 + 8 + 2 * 4 + 12 * 8 + 8 + 216 + 2 * 324 + 12 + 12 + 21;
    let unshared = 14 * 148 + 14 * 8 + 3 * 12 + 3 * 8 + 216 + 2 * 324 + 12 + 12 + 21;
    let macs = 14 * (144 * 64 + 288) + 3 * 8 * 64 + 216 * 36 + 324 * 16 + 324 * 4 + 18;
    let costs = [stored, unshared, macs].map(|number: u64| number.to_string());
    let text = rust(&net(NET));
    let lines = comments(&text);
    for facts in [
        &[r#"A "net" with \ in it."#][..],
        &["Of two paragraphs."],
        &["`t(k = 3, wide = true)`", "4x8x8 to 3."],
        &costs.each_ref().map(String::as_str),
        &["The network `t`", "4x8x8 to 3"],
        &["Stage `s`", "4x8x8 to 4x8x8"],
        // Those whose norms are shared are of another struct.
        &["`s[0..4]`", "4x8x8 to 4x8x8"],
        &["`s[4..14]`", "4x8x8 to 4x8x8"],
        &["`[4..14]`", "4x8x8", "10 times"],
        &["Block `b`", "`[0]`", "4x8x8 to 6x6x6"],
        &["Block `b`", "`v[0]`", "6x6x6 to 6x4x4"],
        &["Block `b`", "`v[1]`", "6x4x4 to 6x2x2"],
        &["Batch norm", "`free`", "6 channels"],
        &["Layer norm", "`layer_norm`", "4 channels"],
        &["Kernel of `conv`", "6x4x3x3"],
        &["Kernel of `linear`", "3x6"],
        &["Bias of `linear`"],
        &["A of", "`conv`", "2x36"],
        &["B of", "`conv`", "4x2"],
        &["scale of `conv`"],
        &["Kernel, 4x4x3x3"],
        &["Bias."],
        &["13 ", "kernels", "4x4x3x3", "14 visits", "`s[0..14].conv`"],
        &["hared kernel", "4x2x1x1", "3 visits", "`u[0..3].conv`"],
        &["2 ", "biases", "4", "3 visits", "`u[0..3].conv`"],
        &["2 ", "layer norms", "4 channels", "4 visits", "`s[0..4].layer_norm`"],
        &["hared batch norm", "4 channels", "3 visits", "`u[0..3].batch_norm`"],
    ] {
        assert!(
            lines.iter().any(|line| says(line, facts)),
            "{facts:?} in none of\n{}",
            lines.join("\n")
        );
    }
    let at = lines
        .iter()
        .position(|line| line.contains("paragraphs"))
        .expect("found above");
    assert_eq!(
        lines[at - 1..at + 2].concat().len(),
        lines[at].len(),
        "empty lines around a paragraph"
    );
}

/// The fields and handles of shared kernels have their sizes: 5x4, and biases of 5 of their own group.
#[test]
fn shared_parameters_have_their_types() {
    let text = rust(&net("net a { input 4; r: repeat 3 { linear(5); linear(4) }
        share kernel of r[*].linear
        share bias of r[*].linear
        share r[*].linear_2 into [0, 1, 0] }"));
    let lines = comments(&text);
    for facts in [
        &["hared kernel", "5x4", "3 visits"],
        &["hared bias", "5", "3 visits"],
        &["2 ", "4x5", "3 visits"],
    ] {
        assert!(lines.iter().any(|line| says(line, facts)), "{facts:?}");
    }
    let text: String = text.split_whitespace().collect();
    for of in ["Rank2<5,4>", "Rank1<5>", "Rank2<4,5>", "Rank1<4>"] {
        assert!(text.contains(&format!("rt::Bound<rt::{of},E,D>")), "no handle of {of}");
    }
}

/// Where the runtime has another name.
#[test]
fn the_runtime_is_called_as_it_is_told() {
    let network = net("net a { input 4; linear(5) }");
    for (path, whole) in [
        ("ks", "useks::generatedasrt;"),
        ("crate::a::b", "usecrate::a::b::generatedasrt;"),
    ] {
        let runtime = Runtime::at(path.parse().expect("tokens")).expect("a path");
        let text = codegen::network_on(&network, &runtime).to_string().replace(' ', "");
        assert!(text.contains(whole), "{path}");
    }
    for path in ["", "1", "self::ks", "super::ks", "a<b>", "a b"] {
        let invalid = Runtime::at(path.parse().expect("tokens")).expect_err(path);
        assert!(
            invalid.to_string().contains(&format!("`{}`", path.replace(' ', ""))),
            "{invalid}"
        );
    }
}

/// What each of a group's several kernels serves, of its first twelve.
fn served(network: &Network) -> Vec<(String, Vec<String>)> {
    let mut kernels = shared_kernels(network).into_iter();
    let mut all = Vec::new();
    for group in &network.groups {
        let own = kernels
            .by_ref()
            .take(group.kernels as usize)
            .map(|(key, _, paths)| (key, paths));
        let own: Vec<_> = own.collect();
        all.extend(own.into_iter().take(if group.kernels > 1 { 12 } else { 0 }));
    }
    all
}

#[test]
fn kernels_are_listed_with_the_layers_they_serve() {
    let mut more = 0;
    let twelve = net("net a { input 3; r: repeat 24 { linear(3) }\nshare r[*].linear into 12 groups }");
    for network in all().into_iter().chain([net(NET), twelve]) {
        let text = rust(&network);
        let mut found = Vec::new();
        let mut is_whole = Vec::new();
        for line in comments(&text).iter().filter(|line| line.contains("used by")) {
            let words = quoted(line, '`');
            let mut paths: Vec<String> = words[1..].iter().flat_map(|pattern| expanded(pattern)).collect();
            paths.sort_unstable();
            is_whole.push(!line.contains("more"));
            found.push((format!("shared.{}", words[0]), paths));
        }
        let expected = served(&network);
        assert_eq!(found.len(), expected.len(), "{}", network.name);
        for ((found, expected), whole) in found.iter().zip(&expected).zip(is_whole) {
            assert_eq!(found.0, expected.0);
            assert!(
                found.1 == expected.1 || !whole,
                "{}: {found:?}, {expected:?}",
                network.name
            );
        }
        let unlisted = comments(&text).iter().filter(|line| line.contains("so on")).count();
        assert_eq!(
            unlisted,
            network.groups.iter().filter(|group| group.kernels > 12).count()
        );
        for group in network.groups.iter().filter(|group| group.kernels > 12) {
            more += 1;
            let last = format!("`{}.{}`", group.name, group.kernels - 1);
            assert!(
                comments(&text)
                    .iter()
                    .any(|line| line.contains("so on") && line.contains(&last)),
                "{last}"
            );
        }
    }
    assert!(more > 0, "no group of more than twelve kernels");
}

/// Of more than twelve paths the rest is counted: 14 layers of which no two are neighbours are 2 more.
#[test]
fn many_paths_are_counted() {
    for (layers, rest) in [(12, None), (13, Some("1 more")), (14, Some("2 more"))] {
        let text = rust(&net(&format!(
            "net a {{ input 3; r: repeat {} {{ linear(3) }}\nshare {} }}",
            2 * layers,
            (0..layers)
                .map(|at| format!("r[{}].linear", 2 * at))
                .collect::<Vec<_>>()
                .join(", ")
        )));
        let lines = comments(&text);
        let visits = format!("{layers} visits");
        let line = lines.iter().find(|line| line.contains(&visits)).expect("the group");
        let paths = line.matches(".linear`").count();
        assert_eq!(paths, 12, "{line}");
        assert_eq!(
            line.split(" and ").nth(1).map(|rest| rest.trim_end_matches('.')),
            rest,
            "{line}"
        );
    }
}

/// Lines of exported Python have at most 100 characters where they can be cut, and are cut only where they must.
#[test]
fn lines_of_python_are_full() {
    let long = "word ".repeat(60);
    let wide = format!(
        "/// {long}\n{}",
        NET.trim_start()
            .replace("repeat 14", "repeat 40")
            .replace("13 groups", "39 groups")
    );
    let branches = "path { conv(8, kernel = 3, pad = 1, groups = 4) } ".repeat(8);
    let concat = format!("net c {{ input 8 x 9 x 9; concat {{ {branches} }} avg_pool(3, stride = 2, pad = 1) }}");
    let mut cut = 0;
    for network in all().into_iter().chain([net(&wide), net(&concat)]) {
        let text = pytorch::module(&network, &[]);
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines {
            let can_be_cut = line.trim().contains(' ') && !line.contains('"') && !line.contains("# ");
            assert!(line.chars().count() <= 100 || !can_be_cut, "{}: {line}", network.name);
        }
        for calls in lines
            .windows(3)
            .filter(|calls| calls[0].ends_with('(') && calls[2].trim().starts_with(')'))
        {
            cut += 1;
            let whole = [calls[0], calls[1].trim().trim_end_matches(','), calls[2].trim()].concat();
            assert!(whole.chars().count() > 100, "{}: {whole}", network.name);
        }
    }
    assert!(cut > 0, "no call was cut");
}
