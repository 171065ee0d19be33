//! What clauses do to each other and to their visits.

use crate::{codes, layer, net};
use ksdsl::checkpoint::entries;
use ksdsl::ir::Network;

/// The kernels of a group with the layers that each serves, in the order of the forward pass.
fn kernels(network: &Network) -> Vec<String> {
    let mut lines = Vec::new();
    for group in &network.groups {
        for kernel in 0..group.kernels {
            let visits = group
                .visits
                .iter()
                .zip(&group.assignment)
                .filter(|(_, of)| **of == kernel);
            let paths: Vec<String> = visits
                .map(|(layer, _)| network.layers[*layer].path.to_string())
                .collect();
            lines.push(format!("{}.{kernel}: {}", group.name, paths.join(" ")));
        }
    }
    lines
}

fn stage(clauses: &str) -> Network {
    net(&format!(
        "net n {{ input 4; stage s {{ repeat 6 {{ linear(4) }} }} {clauses} }}"
    ))
}

/// Visits stand in the order of the forward pass, whatever the order of the selectors, and once each.
#[test]
fn selectors_may_come_in_any_order() {
    let expected = ["k.0: s[0].linear s[2].linear", "k.1: s[3].linear s[5].linear"];
    for selectors in [
        "s[0].linear, s[2].linear, s[3].linear, s[5].linear",
        "s[5].linear, s[3].linear, s[2].linear, s[0].linear",
        "s[2..4].linear, s[5].linear, s[0].linear",
        "s[5].linear, s[2..4].linear, s[3].linear, s[0].linear, s[5].linear",
    ] {
        let network = stage(&format!("share {selectors} into 2 groups as k"));
        assert_eq!(kernels(&network), expected, "{selectors}");
        assert!(network.groups[0].visits.is_sorted());
    }
    let listed = stage("share s[4].linear, s[1].linear, s[0].linear into [1, 0, 1] as k");
    assert_eq!(kernels(&listed), ["k.0: s[1].linear", "k.1: s[0].linear s[4].linear"]);
    let scopes = net(
        "net n { input 4; stage a { repeat 2 { linear(4) } } stage b { repeat 2 { linear(4) } }
        share isomorphic in b, a into cycle(2) as k }",
    );
    assert_eq!(
        kernels(&scopes),
        ["k.0: a[0].linear b[0].linear", "k.1: a[1].linear b[1].linear"]
    );
    let blocks = net(
        "net n { input 4; stage s { repeat 4 { linear(4) } } share blocks s[3], s[0], s[2], s[1] into 2 groups as k }",
    );
    assert_eq!(
        kernels(&blocks),
        [
            "k_linear.0: s[0].linear s[1].linear",
            "k_linear.1: s[2].linear s[3].linear"
        ]
    );
}

/// The tensors of a layer in checkpoints: keys with sizes.
fn tensors(network: &Network, of: &str) -> Vec<String> {
    let is_of = |key: &str| key.starts_with(&format!("{of}."));
    let found = entries(network)
        .into_iter()
        .filter(|entry| is_of(&entry.key) || entry.visits.iter().any(|visit| is_of(visit)));
    found.map(|entry| format!("{} {:?}", entry.key, entry.shape)).collect()
}

/// A kernel in one clause and a bias in another, in both orders, with things of a visit's own.
#[test]
fn clauses_for_two_parts_of_a_layer_leave_each_other_alone() {
    let kernel = "share kernel of s[0..4].linear with private scale, low_rank(2) as k";
    let bias = "share bias of s[2..6].linear into 2 groups as b";
    for clauses in [[kernel, bias], [bias, kernel]] {
        let network = stage(&clauses.join("\n"));
        let own =
            |layer: &str| ["low_rank_a [2, 4]", "low_rank_b [4, 2]", "scale [4]"].map(|own| format!("{layer}.{own}"));
        let both = tensors(&network, "s.3.linear");
        let shared = ["shared.k.weight [4, 4]", "shared.b.0.bias [4]"].map(str::to_owned);
        assert_eq!(both, [&shared[..], &own("s.3.linear")].concat(), "{clauses:?}");
        let kernel_alone = tensors(&network, "s.1.linear");
        let one = ["shared.k.weight [4, 4]", "s.1.linear.bias [4]"].map(str::to_owned);
        assert_eq!(kernel_alone, [&one[..], &own("s.1.linear")].concat(), "{clauses:?}");
        let bias_alone = tensors(&network, "s.5.linear");
        // The second bias comes with its first visit, s[4].
        assert_eq!(
            bias_alone,
            ["shared.b.1.bias [4]", "s.5.linear.weight [4, 4]"],
            "{clauses:?}"
        );
        assert_eq!(layer(&network, "s[5].linear").rank, None);
        assert!(!layer(&network, "s[5].linear").scaled);
    }
}

/// A part that is shared cannot be shared again; other parts and other layers can.
#[test]
fn a_part_belongs_to_one_group() {
    let codes = |clauses: &str| {
        codes(&format!(
            "net n {{ input 4; stage s {{ repeat 4 {{ linear(4) }} }} {clauses} }}"
        ))
    };
    assert_eq!(codes("share s[0..2].linear\nshare s[2..4].linear"), [""; 0]);
    assert_eq!(codes("share s[0..2].linear\nshare s[1..4].linear"), ["KS0051"]);
    assert_eq!(
        codes("share kernel of s[0..2].linear\nshare kernel of s[1..4].linear"),
        ["KS0051"]
    );
    assert_eq!(
        codes("share bias of s[0..2].linear\nshare bias of s[1..4].linear"),
        ["KS0051"]
    );
    assert_eq!(codes("share s[0..2].linear\nshare bias of s[1..4].linear"), ["KS0051"]);
    assert_eq!(
        codes("share bias of s[0..2].linear\nshare kernel of s[*].linear"),
        [""; 0]
    );
}

/// Halves are rounded up: 2.5 of 5, 4.5 of 9, 2.5 of 10; 1.25 of 5 is 1 and 3.75 of 5 is 4.
#[test]
fn fractions_round_halves_up() {
    for (depth, part, sharing) in [
        (5, "0.5", 3),
        (9, "0.5", 5),
        (10, "0.25", 3),
        (5, "0.25", 1),
        (5, "0.75", 4),
        (3, "0.5", 2),
        (8, "0.3125", 3),
    ] {
        for (place, first) in [
            ("front", 0),
            ("middle", (depth - sharing) / 2),
            ("back", depth - sharing),
        ] {
            let text = format!(
                "net n {{ input 4; stage s {{ repeat {depth} {{ linear(4) }} }} share s[*].linear at {place}({part}) }}"
            );
            let compiled = crate::compiled(&text);
            let visits: Vec<usize> = compiled.networks[0].groups[0].visits.clone();
            assert_eq!(
                visits,
                (first..first + sharing).collect::<Vec<_>>(),
                "{place}({part}) of {depth}"
            );
        }
    }
}

/// Blocks of one family are mapped together, also where some lack a layer; families are mapped apart.
#[test]
fn blocks_are_mapped_by_families() {
    let network = net("net n {
            input 4
            block b(w, more) { first: linear(w); relu; when more { second: linear(w) } }
            stage s { b(4, false); b(4, true); b(4, true); b(4, true); b(4, false) }
            stage t { b(6, false); b(6, false); b(6, false) }
            share blocks in s, t into cycle(2) as k
        }");
    // The first of `t` has 4 inputs, its others 6; the four blocks of s[1..4] take kernels 1, 0, 1.
    assert_eq!(
        kernels(&network),
        [
            "k_first.0: s[0].first s[2].first s[4].first",
            "k_first.1: s[1].first s[3].first",
            "k_second.0: s[2].second",
            "k_second.1: s[1].second s[3].second",
            "k_first_2.0: t[1].first",
            "k_first_2.1: t[2].first",
        ]
    );
}

/// Names of groups: the words of what is selected, numbered where they meet again.
#[test]
fn groups_have_the_names_of_what_they_select() {
    let names = |text: &str| {
        net(text)
            .groups
            .iter()
            .map(|group| group.name.clone())
            .collect::<Vec<_>>()
    };
    let body = "input 4; stage s { repeat 4 { linear(4); two: linear(4) } } stage t { repeat 2 { linear(4) } }";
    for (clauses, expected) in [
        ("share s[*].linear", &["s_linear"][..]),
        (
            "share s[0..2].linear; share s[2..4].linear",
            &["s_linear", "s_linear_2"],
        ),
        ("share s[0].linear, t[0].linear", &["s_linear"]),
        ("share isomorphic in s", &["s_linear"]),
        ("share isomorphic linear in s, t", &["s_t_linear"]),
        ("share isomorphic", &["all_linear"]),
        ("share isomorphic linear", &["linear"]),
        ("share isomorphic linear as k", &["k"]),
        ("share s[*].two as k; share s[*].linear", &["k", "s_linear"]),
        ("share blocks in s", &["s_linear", "s_two"]),
        ("share blocks in s as k", &["k_linear", "k_two"]),
        ("share s[*].*", &["s"]),
        (
            "share s[0..2].linear; share s[2..4].linear as s_linear_2; share t[*].linear as s",
            &["s_linear", "s_linear_2", "s"],
        ),
    ] {
        assert_eq!(
            names(&format!("net n {{ {body} {} }}", clauses.replace("; ", "\n"))),
            expected,
            "{clauses}"
        );
    }
}

/// A matrix of 6 x 4 can have rank 4 and not 5; one of 4 x 6 likewise.
#[test]
fn ranks_go_up_to_the_smaller_side() {
    for (inputs, outputs) in [(4, 6), (6, 4)] {
        let text = |rank: u64| {
            format!(
                "net n {{ input {inputs}; concat {{ a: path {{ linear({outputs}) }} b: path {{ linear({outputs}) }} }}
                share a.linear, b.linear with private low_rank({rank})
                }}"
            )
        };
        for (rank, fits) in [(1, true), (4, true), (5, false)] {
            assert_eq!(codes(&text(rank)).is_empty(), fits, "{}", text(rank));
        }
    }
}

/// Selectors with wildcards, ranges and `**`, by the paths that they select.
#[test]
fn selectors_select_what_they_should() {
    let body = "input 4; stage s { repeat 3 { conv1: linear(4); conv2: linear(4); other: linear(4) } } stage t { conv1: linear(4); seven: linear(4) }";
    let selected = |selector: &str| {
        let network = crate::compiled(&format!("net n {{ {body}\nshare {selector} as k\n}}"))
            .networks
            .remove(0);
        network.groups.first().map_or_else(Vec::new, |group| {
            group
                .visits
                .iter()
                .map(|layer| network.layers[*layer].path.to_string())
                .collect::<Vec<_>>()
        })
    };
    for (selector, expected) in [
        ("s[*].conv1", &["s[0].conv1", "s[1].conv1", "s[2].conv1"][..]),
        (
            "s[1..].conv*",
            &["s[1].conv1", "s[1].conv2", "s[2].conv1", "s[2].conv2"],
        ),
        ("s[..1].*", &["s[0].conv1", "s[0].conv2", "s[0].other"]),
        ("s[1..2].o*r", &["s[1].other"]),
        ("**.conv1", &["s[0].conv1", "s[1].conv1", "s[2].conv1", "t.conv1"]),
        ("*.seven, t.*1", &["t.conv1", "t.seven"]),
        ("s[2].conv2, s[0].conv2", &["s[0].conv2", "s[2].conv2"]),
        ("t.sev*", &["t.seven"]),
        ("s.**.other", &["s[0].other", "s[1].other", "s[2].other"]),
    ] {
        assert_eq!(selected(selector), expected, "{selector}");
    }
    for selector in [
        "s[3].conv1",
        "s[1..4].conv1",
        "s[2..2].conv1",
        "s[-1].conv1",
        "t.conv",
        "*.eight",
        "u.conv1",
    ] {
        assert_eq!(selected(selector), [""; 0], "{selector}");
    }
}
