//! What other languages write: which change is proposed, and where none may be, by tables of texts and mended texts.

use ksdsl::compile::{Options, compile};
use ksdsl::diag::Code;
use ksdsl::source::Source;

/// The text with the first diagnostic's change, if it proposes one; there must be a diagnostic.
fn mended(text: &str) -> Option<String> {
    let diagnostics = compile(&Source::new("habits.ksn", text), &Options::default()).diagnostics;
    let first = diagnostics
        .first()
        .unwrap_or_else(|| panic!("nothing is reported of {text}"));
    let fix = first.fix.as_ref()?;
    let mut text = text.to_owned();
    text.replace_range(fix.span.range(), &fix.text);
    Some(text)
}

/// Statements of a network, and what they become.
fn check(cases: &[(&str, Option<&str>)]) {
    let net = |body: &str| format!("net a(t = true) {{ input 3 x 32 x 32\n{body}\n}}\n");
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(text, expected)| {
            let found = mended(&net(text));
            (found != expected.map(net)).then(|| format!("{text} becomes {found:?} instead of {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn loops_become_repetitions_where_they_begin_at_zero() {
    check(&[
        ("for i in 0..3 { relu }", Some("repeat 3 as i { relu }")),
        ("for _ in 0..3 { relu }", Some("repeat 3 { relu }")),
        ("for i in range(3) { relu }", Some("repeat 3 as i { relu }")),
        ("for i in range(2 * 3) { relu }", Some("repeat 2 * 3 as i { relu }")),
        ("for i in 1..3 { relu }", None),
        ("for i in 0.. { relu }", None),
        ("for i in range() { relu }", None),
        ("for i in range(1, 3) { relu }", None),
        ("for i in range(3) + 1 { relu }", None),
        ("for i of 0..3 { relu }", None),
    ]);
}

#[test]
fn tuples_become_sizes() {
    check(&[
        ("conv(4, kernel = (3, 5))", Some("conv(4, kernel = 3 x 5)")),
        ("conv(4, kernel = [3, 5])", Some("conv(4, kernel = 3 x 5)")),
        ("conv(4, kernel = (3, 5,))", Some("conv(4, kernel = 3 x 5)")),
        ("conv(4, kernel = [3])", Some("conv(4, kernel = 3)")),
        ("max_pool((2, 3))", Some("max_pool(2 x 3)")),
        ("conv(4, (3, 5))", Some("conv(4, 3 x 5)")),
        ("conv(4, kernel = (3,, 5))", None),
        ("conv(4, kernel = (1, 2, 3))", None),
        ("(3, 4)", None),
    ]);
}

#[test]
fn assignments_become_constants_where_a_line_begins_with_them() {
    check(&[
        ("w = 64", Some("let w = 64")),
        ("relu\nw = 64", Some("relu\nlet w = 64")),
        ("self.w = 64", Some("let w = 64")),
        ("w == 64", None),
    ]);
}

#[test]
fn layers_are_called_by_their_names_alone() {
    check(&[
        ("nn.ReLU()", Some("relu()")),
        ("torch.nn.functional.gelu", Some("gelu")),
        ("nn.GELU", Some("gelu")),
        // The language has no such layers.
        ("nn.LSTM(8)", None),
        ("nn.CrossEntropyLoss()", None),
    ]);
}

#[test]
fn conditions_become_select() {
    check(&[
        (
            "conv(8 if t else 4, kernel = 3)",
            Some("conv(select(t, 8, 4), kernel = 3)"),
        ),
        (
            "conv(max(8, 3) if t else 4, kernel = 3)",
            Some("conv(select(t, max(8, 3), 4), kernel = 3)"),
        ),
        (
            "conv(4, kernel = 2 * (1 + 2) if t else 3)",
            Some("conv(4, kernel = select(t, 2 * (1 + 2), 3))"),
        ),
        ("let w = 64 if t else 32", Some("let w = select(t, 64, 32)")),
        (
            "conv(4 if t else max(8, 3), kernel = 3)",
            Some("conv(select(t, 4, max(8, 3)), kernel = 3)"),
        ),
        ("conv(8, kernel = 3) if t", None),
    ]);
}

#[test]
fn what_a_construct_contains_stands_in_braces() {
    check(&[
        ("residual(relu)", Some("residual { relu }")),
        (
            "residual(conv(3, kernel = 3, pad = 1))",
            Some("residual { conv(3, kernel = 3, pad = 1) }"),
        ),
        ("seq(relu)", Some("seq { relu }")),
        ("seq()", None),
    ]);
}

/// What is shared, and where it is looked for.
#[test]
fn clauses_select_layers() {
    let stage = "stage s { repeat 4 { c: conv(3, kernel = 3, pad = 1); relu } }\nshare ";
    for (clause, expected) in [
        ("s[*]", Some("blocks s[*]")),
        ("kernel of s[*]", None),
        ("isomorfic conv in s", Some("isomorphic conv in s")),
        ("blcks in s", Some("blocks in s")),
        ("conv in s", Some("isomorphic conv in s")),
        ("c in s", Some("s.**.c")),
        ("all in s", Some("isomorphic in s")),
    ] {
        check(&[(
            &format!("{stage}{clause}"),
            expected.map(|text| format!("{stage}{text}")).as_deref(),
        )]);
    }
}

#[test]
fn parts_of_clauses_are_joined() {
    let stage = "stage s { repeat 4 { conv(3, kernel = 1, bias = true) } }\nshare ";
    for (clause, expected) in [
        ("s[*].conv with bias", Some("s[*].conv with private bias")),
        ("s[*].conv with own bias", Some("s[*].conv with private bias")),
        (
            "s[*].conv with private bias scale",
            Some("s[*].conv with private bias, scale"),
        ),
        ("s[*].conv with batch_norm", Some("s[*].conv with norms")),
        ("s[*].conv into cycle 2", Some("s[*].conv into cycle(2)")),
        ("s[*].conv at front 2", Some("s[*].conv at front(2)")),
        (
            "s[*].conv with private low_rank 2",
            Some("s[*].conv with private low_rank(2)"),
        ),
        ("s[*].conv cycle(2)", Some("s[*].conv into cycle(2)")),
        ("s[*].conv front(2)", Some("s[*].conv at front(2)")),
    ] {
        check(&[(
            &format!("{stage}{clause}"),
            expected.map(|text| format!("{stage}{text}")).as_deref(),
        )]);
    }
}

/// `conv(inputs, outputs, kernel)`, PyTorch's order: warned of where the first number is that of the input's channels
/// and the second too large for a kernel, or where the numbers make no sense otherwise.
#[test]
fn arguments_in_the_order_of_pytorch_are_warned_of() {
    for (channels, call, expected) in [
        (3, "conv(3, 16, 3)", Some("conv(16, kernel = 3)")),
        (3, "conv(3, 8, 3)", Some("conv(8, kernel = 3)")),
        (3, "conv(3, 8, 1)", Some("conv(8, kernel = 1)")),
        (3, "conv(3, 5, 3)", Some("conv(5, kernel = 3)")),
        (4, "conv(3, 5, 3)", Some("conv(5, kernel = 3)")),
        // Patches, usual strides, small kernels.
        (3, "conv(3, 16, 16)", None),
        (3, "conv(3, 7, 2)", None),
        (3, "conv(3, 7, 1)", None),
        (4, "conv(64, 7, 2)", None),
        (4, "conv(64, 7, 4)", None),
        (4, "conv(3, 16, 2)", None),
        (4, "conv(8, kernel = 8, stride = 3)", None),
        (3, "pointwise(3, 16)", Some("pointwise(16)")),
        (3, "pointwise(3, 3)", Some("pointwise(3)")),
        (3, "pointwise(3, 2)", None),
        (4, "pointwise(3, 16)", None),
        (8, "depthwise(8, 3)", Some("depthwise(kernel = 3)")),
        (7, "depthwise(7, 3)", None),
        (16, "depthwise(8, 3)", None),
    ] {
        let text = |call: &str| format!("net a {{ input {channels} x 64 x 64; {call} }}");
        let compilation = compile(&Source::new("order.ksn", text(call)), &Options::default());
        let codes: Vec<Code> = compilation.diagnostics.iter().map(|found| found.code).collect();
        let wanted = expected.map(|_| Code::Suspicious);
        assert_eq!(codes, wanted.into_iter().collect::<Vec<_>>(), "{channels}: {call}");
        if let Some(expected) = expected {
            assert_eq!(mended(&text(call)), Some(text(expected)));
        }
    }
}

/// A mapping takes a number of groups or a rate, by place or by name.
#[test]
fn mappings_take_groups_or_a_rate() {
    for (mapping, expected) in [
        ("cycle(2)", None),
        ("cycle(groups = 2)", None),
        ("cycle(rate = 2)", None),
        ("cycle()", Some(Code::MissingArgument)),
        ("cycle(2, 3)", Some(Code::SurplusArgument)),
        ("cycle(groups = 2, rate = 3)", Some(Code::SurplusArgument)),
        ("cycle(2, rate = 3)", Some(Code::SurplusArgument)),
        ("random(seed = 2)", Some(Code::MissingArgument)),
        ("random(2, seed = 2)", None),
        ("random(rate = 2, seed = 2)", None),
    ] {
        let text = format!("net a {{ input 3; repeat 6 {{ linear(3) }}\nshare isomorphic linear into {mapping} }}");
        let found = compile(&Source::new("mapping.ksn", text), &Options::default()).diagnostics;
        assert_eq!(found.first().map(|found| found.code), expected, "{mapping}: {found:?}");
    }
}

/// Groups of one name where a clause makes one, of the name and the kind where it makes several.
#[test]
fn groups_of_a_named_clause_are_told_apart() {
    let body = "repeat 2 { conv(3, kernel = 3, pad = 1); pointwise(3) }";
    for (clause, expected) in [
        ("share isomorphic as k", &["k_conv", "k_pointwise"][..]),
        ("share isomorphic pointwise as k", &["k"]),
        ("share isomorphic", &["all_conv", "all_pointwise"]),
        ("share isomorphic pointwise", &["pointwise"]),
    ] {
        let text = format!("net a {{ input 3 x 4 x 4; {body}\n{clause} }}");
        let networks = compile(&Source::new("names.ksn", text), &Options::default()).networks;
        let names: Vec<&str> = networks[0].groups.iter().map(|group| group.name.as_str()).collect();
        assert_eq!(names, expected, "{clause}");
    }
}

/// Advice where a sign or word does not belong: the word that it must have, or that there is none.
#[test]
fn advice_fits_the_place() {
    for (body, wanted) in [
        ("conv(4, kernel = 3; stride = 2)", Some("`,`")),
        ("residual; { relu }", Some("remove the `;`")),
        ("stage s = { relu }", Some("remove the `=`")),
        ("when t = false { relu }", Some("`==`")),
        ("when !t { relu }", Some("`not`")),
        ("when t { relu } else when t { gelu }", Some("else {")),
        ("conv(when)", None),
        ("conv(4, kernel = when)", None),
        ("conv(4 3)", Some("add a `,`")),
        ("conv(a & b)", Some("`and`")),
        ("conv(a | b)", Some("`or`")),
        ("conv(in 3, 4)", Some("leave it out")),
        ("share s[0:2].conv", Some("`0..2`")),
        ("share s[].conv", Some("`0..2`")),
        ("share s1/conv", Some("`.`")),
        ("stage { relu }", Some("stage name {")),
        ("stage (relu)", Some("stage name {")),
        ("block { relu }", None),
        ("add { relu }", Some("path {")),
        ("add { path { relu } gelu }", Some("path {")),
        ("conv(4, kernel = +)", None),
        ("conv(4 +, 3)", None),
    ] {
        let text = format!("net a(t = true) {{ input 3 x 32 x 32\n{body}\n}}\n");
        let found = compile(&Source::new("advice.ksn", &*text), &Options::default()).diagnostics;
        let help = found.first().map(|found| found.help.as_deref()).expect("an error");
        match wanted {
            Some(wanted) => assert!(help.is_some_and(|help| help.contains(wanted)), "{body}: {help:?}"),
            None => assert_eq!(help, None, "{body}"),
        }
    }
}

/// Initialisations by the names of Keras, PyTorch and Caffe. Keras and PyTorch call those of He et al. 2015 and of
/// Glorot & Bengio 2010 after the first or the last author.
#[test]
fn initialisations_of_other_systems_are_known() {
    for (names, ours) in [
        (
            &["he_normal", "HeNormal", "kaiming_normal_", "msra"][..],
            "kaiming_normal",
        ),
        (&["he_uniform", "kaiming_uniform_"], "kaiming_uniform"),
        (&["glorot_normal", "GlorotNormal", "xavier_normal_"], "xavier_normal"),
        (
            &["glorot_uniform", "xavier_uniform_", "glorot", "xavier"],
            "xavier_uniform",
        ),
        (&["zeros_"], "zeros"),
        (&["ones_"], "ones"),
        (&["trunc_normal_", "TruncatedNormal", "random_normal"], "normal(0.02)"),
    ] {
        for name in names {
            let text = format!("net a {{ input 3 x 8 x 8; conv(4, kernel = 3, init = {name}) }}");
            let found = compile(&Source::new("init.ksn", &*text), &Options::default()).diagnostics;
            let help = found
                .first()
                .and_then(|found| found.help.as_deref())
                .unwrap_or_default();
            assert!(help.contains(&format!("`{ours}`")), "{name}: {help}");
        }
    }
}
