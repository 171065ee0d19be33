//! Which layers can share: pairs that differ in one thing.

use crate::{codes, compiled, net};

/// Whether two layers in scopes of their own share under `share isomorphic`, and under a path.
fn shares(input: &str, one: &str, other: &str) -> [bool; 2] {
    // Each stands on the input, so that nothing else differs.
    let body = format!("input {input}\nconcat {{ p: path {{ first: {one} }}\n q: path {{ second: {other} }} }}\n");
    let isomorphic = compiled(&format!("net n {{ {body} share isomorphic }}"));
    assert!(!isomorphic.has_errors(), "{body}");
    let shared = isomorphic.networks[0]
        .groups
        .iter()
        .any(|group| group.visits.len() == 2);
    assert_eq!(
        isomorphic.diagnostics.is_empty(),
        shared,
        "a warning says that nothing is shared: {body}"
    );
    let by_path = compiled(&format!("net n {{ {body} share **.first, **.second }}"));
    [shared, !by_path.has_errors()]
}

/// As many multiply-adds or parameters make no isomorphism: what must be equal is each thing by itself.
#[test]
fn what_must_be_equal_must_be_equal() {
    let maps = "8 x 6 x 6";
    let conv = |more: &str| format!("conv(8, kernel = 3, pad = 1{more})");
    for (one, other, expected) in [
        (conv(""), conv(""), true),
        // What may differ.
        (conv(", groups = 2"), conv(", groups = 2, dilation = 1 x 1"), true),
        (conv(""), "conv(8, kernel = 3, pad = 2, dilation = 2)".to_owned(), true),
        (conv(", init = zeros"), conv(", init = ones"), true),
        (conv(", bias = true, bias_init = zeros"), conv(", bias = true"), true),
        ("pointwise(8)".to_owned(), "conv(8, kernel = 1)".to_owned(), true),
        ("depthwise(3, pad = 1)".to_owned(), conv(", groups = 8"), true),
        // What may not.
        (conv(", groups = 2"), conv(", groups = 4"), false),
        (conv(", groups = 2"), conv(""), false),
        (conv(", bias = true"), conv(""), false),
        (conv(""), "conv(4, kernel = 3, pad = 1)".to_owned(), false),
        (conv(""), "conv(8, kernel = 5, pad = 2)".to_owned(), false),
        (
            "conv(8, kernel = 3 x 1, pad = 1 x 0)".to_owned(),
            "conv(8, kernel = 1 x 3, pad = 0 x 1)".to_owned(),
            false,
        ),
    ] {
        assert_eq!(shares(maps, &one, &other), [expected; 2], "{one} and {other}");
    }
    for (one, other, expected) in [
        ("linear(8)", "linear(8)", true),
        ("linear(8, bias = false)", "linear(8, bias = false)", true),
        ("linear(8)", "linear(8, bias = false)", false),
        ("linear(8)", "linear(4)", false),
    ] {
        assert_eq!(shares("8", one, other), [expected; 2], "{one} and {other}");
    }
}

/// Two layers behind layers of other widths: inputs differ, outputs do not.
#[test]
fn input_channels_must_be_equal() {
    for (call, input) in [("pointwise", "6 x 4 x 4"), ("linear", "6")] {
        let body = format!("input {input}; a: {call}(8); b: {call}(8)");
        assert_eq!(codes(&format!("net n {{ {body}; share a, b }}")), ["KS0050"]);
        assert_eq!(
            codes(&format!("net n {{ {body}; share isomorphic {call} }}")),
            ["KS0053"]
        );
    }
}

/// With only a part shared, the rest may differ.
#[test]
fn parts_need_only_be_equal_themselves() {
    let groups = |text: &str| {
        net(text)
            .groups
            .iter()
            .map(|group| group.visits.len())
            .collect::<Vec<_>>()
    };
    let body = "input 8; a: linear(8); b: linear(8, bias = false); c: linear(6); d: linear(6)";
    assert_eq!(groups(&format!("net n {{ {body}; share kernel of a, b }}")), [2]);
    assert_eq!(groups(&format!("net n {{ {body}; share bias of c, d }}")), [2]);
    assert_eq!(codes(&format!("net n {{ {body}; share kernel of c, d }}")), ["KS0050"]);
    assert_eq!(codes(&format!("net n {{ {body}; share bias of a, c }}")), ["KS0050"]);
    assert_eq!(codes(&format!("net n {{ {body}; share bias of b }}")), ["KS0055"]);
    // Of a convolution and a linear layer too.
    let body = "input 6 x 4 x 4; a: conv(8, kernel = 3, bias = true); global_avg_pool; b: linear(8)";
    assert_eq!(groups(&format!("net n {{ {body}; share bias of a, b }}")), [2]);
}

/// Norms are equal if their channels are, whatever their numbers; kinds do not mix.
#[test]
fn norms_share_by_kind_and_channels() {
    let body = "input 4; a: batch_norm(eps = 0.5); b: batch_norm(momentum = 0.5); c: layer_norm; d: layer_norm(eps = 0.25); linear(6); e: batch_norm";
    assert_eq!(
        net(&format!("net n {{ {body}; share a, b }}")).groups[0].visits.len(),
        2
    );
    assert_eq!(
        net(&format!("net n {{ {body}; share c, d }}")).groups[0].visits.len(),
        2
    );
    assert_eq!(codes(&format!("net n {{ {body}; share b, c }}")), ["KS0050"]);
    assert_eq!(codes(&format!("net n {{ {body}; share b, e }}")), ["KS0050"]);
    for (args, code) in [("bias = false", "KS0050"), ("affine = false", "KS0055")] {
        let body = format!("input 4; a: layer_norm({args}); b: layer_norm({args}); c: layer_norm");
        assert_eq!(codes(&format!("net n {{ {body}; share b, c }}")), [code]);
    }
    let scales = "input 4; a: layer_norm(bias = false); b: layer_norm(bias = false, eps = 0.5)";
    assert_eq!(net(&format!("net n {{ {scales}; share a, b }}")).groups.len(), 1);
    let norms = net(&format!("net n {{ {body}; share isomorphic batch_norm }}"));
    let paths: Vec<String> = norms.groups[0]
        .visits
        .iter()
        .map(|layer| norms.layers[*layer].path.to_string())
        .collect();
    assert_eq!(paths, ["a", "b"]);
}

/// Position embeddings are maps: their sizes must be equal.
#[test]
fn position_embeddings_share_by_size() {
    let body = "input 4 x 6 x 6; a: position_embedding; b: position_embedding; max_pool(2 x 1); c: position_embedding";
    assert_eq!(
        net(&format!("net n {{ {body}; share a, b }}")).groups[0].visits.len(),
        2
    );
    assert_eq!(codes(&format!("net n {{ {body}; share b, c }}")), ["KS0050"]);
}
