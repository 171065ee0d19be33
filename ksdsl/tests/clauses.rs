//! The parts of a `share` clause, in every order.

use ksdsl::compile::{Compilation, Options, compile};
use ksdsl::diag::Code;
use ksdsl::source::Source;

/// Six blocks of a convolution and a norm, and a clause.
fn compiled(clause: &str) -> Compilation {
    let body = "stage s { repeat 6 { conv(4, kernel = 3, pad = 1, bias = true); batch_norm } }";
    let text = format!("net a(on = true) {{ input 4 x 8 x 8; {body}\n{clause}\n}}");
    compile(&Source::new("clause.ksn", text), &Options::default())
}

/// Every order of `parts` (Heap's algorithm).
fn orders(parts: &mut Vec<&'static str>, count: usize, found: &mut Vec<String>) {
    if count <= 1 {
        found.push(parts.join(" "));
        return;
    }
    for at in 0..count {
        orders(parts, count - 1, found);
        parts.swap(if count.is_multiple_of(2) { at } else { 0 }, count - 1);
    }
}

/// What each part does does not depend on where it stands: 6! orders give the groups of the first.
#[test]
fn the_parts_of_a_clause_stand_in_any_order() {
    let heads = [
        (
            "share blocks",
            vec!["in s", "into cycle(2)", "at back(5)", "with norms", "as k", "when on"],
        ),
        (
            "share kernel of isomorphic conv",
            vec![
                "in s",
                "into 2 groups",
                "at front(4)",
                "with private scale, low_rank(2)",
                "as k",
                "when on",
            ],
        ),
    ];
    for (head, mut parts) in heads {
        let mut found = Vec::new();
        let count = parts.len();
        orders(&mut parts, count, &mut found);
        assert_eq!(found.len(), 720);
        let groups = |parts: &String| {
            let compilation = compiled(&format!("{head} {parts}"));
            assert_eq!(compilation.diagnostics, [], "{head} {parts}");
            format!("{:?}", compilation.networks[0].groups)
        };
        let first = groups(&found[0]);
        for parts in &found {
            assert_eq!(groups(parts), first, "{parts}");
        }
    }
}

/// A part that is given more than once is an error wherever the second stands.
#[test]
fn each_part_of_a_clause_is_given_once() {
    let parts = [
        "in s",
        "into 2 groups",
        "at front(4)",
        "with private scale",
        "as k",
        "when on",
    ];
    for part in parts {
        for other in parts {
            let compilation = compiled(&format!("share isomorphic conv {part} {other} {part}"));
            let codes: Vec<Code> = compilation.diagnostics.iter().map(|d| d.code).collect();
            let twice = if part == other { 1 } else { 0 };
            assert!(codes.contains(&Code::SurplusArgument), "{part} {other} {part}");
            assert!(codes.len() <= 1 + twice, "{part} {other} {part}: {codes:?}");
        }
    }
}

/// A clause may span several lines, with comments between; the next statement begins on a line of its own or
/// after a `;`.
#[test]
fn a_clause_ends_with_its_line_or_a_semicolon() {
    for (clause, layers) in [
        (
            "share isomorphic conv\n  in s // all\n  into 2 groups\n  as k\nrelu",
            13,
        ),
        ("share isomorphic conv in s; relu", 13),
        ("share isomorphic conv in s /* two\nlines */ relu", 13),
        ("share isomorphic conv in s;; relu; gelu", 14),
    ] {
        let compilation = compiled(clause);
        assert_eq!(compilation.diagnostics, [], "{clause}");
        assert_eq!(compilation.networks[0].layers.len(), layers, "{clause}");
    }
    for word in [
        "relu",
        "batch_norm",
        "conv(4, kernel = 1)",
        "r: relu",
        "residual { relu }",
        "stage t { relu }",
        "s2",
    ] {
        for clause in [
            "isomorphic conv in s",
            "blocks in s with norms",
            "s[*].conv into 2 groups",
            "s[*].conv as k when on",
        ] {
            let compilation = compiled(&format!("share {clause} {word}"));
            let first = word.split([' ', '(', ':']).next().unwrap_or_default();
            let [diagnostic] = compilation.diagnostics.as_slice() else {
                panic!("share {clause} {word}: {:?}", compilation.diagnostics);
            };
            assert_eq!(diagnostic.code, Code::Syntax, "share {clause} {word}");
            assert!(
                diagnostic.message.contains(&format!("`{first}`")),
                "{}",
                diagnostic.message
            );
            assert!(diagnostic.fix.is_some(), "share {clause} {word}");
        }
    }
}
