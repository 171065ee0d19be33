//! What clauses leave out and where they look, in lists written by hand.

use crate::{codes, net};
use ksdsl::ir::Network;

/// Two stages of three convolutions of 4 -> 4 channels, each followed by a pointwise one, after a stem of 3 -> 4.
fn two_stages(clauses: &str) -> Network {
    net(&format!("{STAGES} {clauses} }}"))
}

const STAGES: &str = "net n {
    input 3 x 8 x 8
    stem: conv(4, kernel = 3, pad = 1)
    stage a { repeat 3 { conv(4, kernel = 3, pad = 1); pointwise(4) } }
    stage b { repeat 3 { conv(4, kernel = 3, stride = 1 x 1, pad = 1, dilation = 1); pointwise(4, bias = true) } }
";

/// The groups with the layers in each, and those alone that visit each kernel.
fn groups(network: &Network) -> Vec<String> {
    let group = |group: &ksdsl::ir::Group| {
        let visits = group.visits.iter().zip(&group.assignment);
        let visits = visits.map(|(layer, kernel)| format!("{}={kernel}", network.layers[*layer].path));
        format!("{}: {}", group.name, visits.collect::<Vec<_>>().join(" "))
    };
    network.groups.iter().map(group).collect()
}

#[test]
fn except_leaves_layers_scopes_and_blocks_out() {
    for (clause, expected) in [
        ("share a[*].conv except a[1].conv as k", "k: a[0].conv=0 a[2].conv=0"),
        (
            "share isomorphic conv(kernel = 3) except a, b[0] as k",
            "k: b[1].conv=0 b[2].conv=0",
        ),
        (
            "share isomorphic conv(kernel = 3) in a, b except a[1..], b[..2] as k",
            "k: a[0].conv=0 b[2].conv=0",
        ),
    ] {
        assert_eq!(groups(&two_stages(clause)), [expected], "{clause}");
    }
    let blocks = two_stages("share blocks in a except a[0] as k");
    assert_eq!(
        groups(&blocks),
        [
            "k_conv: a[1].conv=0 a[2].conv=0",
            "k_pointwise: a[1].pointwise=0 a[2].pointwise=0"
        ]
    );
    let layers = two_stages("share blocks a[*] except a[*].pointwise into 2 groups as k");
    assert_eq!(groups(&layers), ["k_conv: a[0].conv=0 a[1].conv=0 a[2].conv=1"]);
}

/// `every` counts what `except` leaves.
#[test]
fn every_takes_the_first_of_each() {
    for (clause, expected) in [
        (
            "share a[*].conv, b[*].conv every 2 as k",
            "k: a[0].conv=0 a[2].conv=0 b[1].conv=0",
        ),
        (
            "share a[*].conv, b[*].conv except a[0] every 2 as k",
            "k: a[1].conv=0 b[0].conv=0 b[2].conv=0",
        ),
        (
            "share isomorphic conv(kernel = 3) in a, b every 3 as k",
            "k: a[0].conv=0 b[0].conv=0",
        ),
        (
            "share isomorphic conv(kernel = 3) in a, b every 1 + 1 into 2 groups as k",
            "k: a[0].conv=0 a[2].conv=0 b[1].conv=1",
        ),
    ] {
        assert_eq!(groups(&two_stages(clause)), [expected], "{clause}");
    }
    let blocks = two_stages("share blocks in a, b except a[*].pointwise, b[*].pointwise every 2 as k");
    assert_eq!(groups(&blocks), ["k_conv: a[0].conv=0 a[2].conv=0 b[1].conv=0"]);
}

#[test]
fn each_scope_has_sets_of_its_own() {
    let layers = two_stages("share isomorphic conv(kernel = 3) in each a, b");
    assert_eq!(
        groups(&layers),
        [
            "a_conv: a[0].conv=0 a[1].conv=0 a[2].conv=0",
            "b_conv: b[0].conv=0 b[1].conv=0 b[2].conv=0"
        ]
    );
    let named = two_stages("share isomorphic conv(kernel = 3) in each * except stem as k");
    assert_eq!(
        groups(&named),
        [
            "k: a[0].conv=0 a[1].conv=0 a[2].conv=0",
            "k_2: b[0].conv=0 b[1].conv=0 b[2].conv=0"
        ]
    );
    // The stride of a scope is counted in it alone.
    let blocks = two_stages("share blocks in each a, b except a[*].pointwise, b[*].pointwise every 2");
    assert_eq!(
        groups(&blocks),
        ["a_conv: a[0].conv=0 a[2].conv=0", "b_conv: b[0].conv=0 b[2].conv=0"]
    );
    // Inside one block there are no two of a kind.
    assert_eq!(
        codes(&format!("{STAGES} share isomorphic conv(kernel = 3) in each a[*] }}")),
        ["KS0053"]
    );
}

/// Sizes in one or two directions, flags and numbers, by name and by position.
#[test]
fn kinds_are_narrowed_by_arguments() {
    let threes = "k: a[0].conv=0 a[1].conv=0 a[2].conv=0 b[0].conv=0 b[1].conv=0 b[2].conv=0";
    for (kind, expected) in [
        ("conv(kernel = 3)", threes),
        ("conv(4, 3 x 3)", threes),
        ("conv(channels = 4, pad = 1, dilation = 1, stride = 1)", threes),
        (
            "conv(bias = true)",
            "k: b[0].pointwise=0 b[1].pointwise=0 b[2].pointwise=0",
        ),
        (
            "pointwise(bias = false)",
            "k: a[0].pointwise=0 a[1].pointwise=0 a[2].pointwise=0",
        ),
    ] {
        let network = two_stages(&format!("share isomorphic {kind} as k"));
        assert_eq!(groups(&network), [expected], "{kind}");
    }
    let linear = net(
        "net n { input 4; repeat 2 { linear(4) } repeat 2 { linear(5) } repeat 2 { linear(5) } share isomorphic linear(5) as k }",
    );
    assert_eq!(groups(&linear), ["k: [3].linear=0 [4].linear=0 [5].linear=0"]);
    let norms = net("net n { input 4 x 2 x 2; group_norm(2); group_norm(4); group_norm(2)
        batch_norm(eps = 0.5); batch_norm; batch_norm(eps = 0.5)
        share isomorphic group_norm(groups = 2) as g; share isomorphic batch_norm(eps = 0.5) as b }");
    assert_eq!(
        groups(&norms),
        ["g: group_norm=0 group_norm_3=0", "b: batch_norm=0 batch_norm_3=0"]
    );
}

/// The network has 13 layers with kernels: the stem, then a convolution and a pointwise one six times.
#[test]
fn places_of_the_network_count_its_kernels() {
    for (place, expected) in [
        // 6 of 13 layers: the stem to a[2].conv.
        ("front(6)", "k: a[0].conv=0 a[1].conv=0 a[2].conv=0"),
        // round(0.4 * 13) = 5 layers.
        ("front(0.4)", "k: a[0].conv=0 a[1].conv=0"),
        // The last 5: b[0].pointwise to b[2].pointwise.
        ("back(5)", "k: b[1].conv=0 b[2].conv=0"),
        // 7 of 13, 3 before them: a[1].conv (number 3) to number 9, b[1].conv.
        ("middle(7)", "k: a[1].conv=0 a[2].conv=0 b[0].conv=0 b[1].conv=0"),
        // All but the stem and the last pointwise convolution.
        (
            "sandwich",
            "k: a[0].conv=0 a[1].conv=0 a[2].conv=0 b[0].conv=0 b[1].conv=0 b[2].conv=0",
        ),
    ] {
        let network = two_stages(&format!("share isomorphic conv(kernel = 3) at {place} of network as k"));
        assert_eq!(groups(&network), [expected], "{place}");
    }
    let blocks = two_stages("share blocks in a, b at front(6) of network except a[*].pointwise, b[*].pointwise as k");
    assert_eq!(groups(&blocks), ["k_conv: a[0].conv=0 a[1].conv=0 a[2].conv=0"]);
    assert_eq!(
        codes(&format!("{STAGES} share a[*].conv at front(14) of network }}")),
        ["KS0057"]
    );
}
