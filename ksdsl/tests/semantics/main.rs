//! What specifications mean, in values that tell right from wrong: odd sizes, several groups, numbers that are
//! no defaults, selectors out of order. Expected values come from papers' formulas, from counting by brute
//! force, or from lists written by hand.

mod clauses;
mod costs;
mod decode;
mod exported_c;
mod expressions;
mod inits;
mod isomorphism;
mod leaving;
mod memory;
#[path = "../networks/mod.rs"]
mod networks;
mod noise;
mod quantised_training;
mod recompute;
mod selection;
mod shapes;
mod traffic;

use ksdsl::compile::{Compilation, Options, compile};
use ksdsl::ir::{Layer, Network};
use ksdsl::render::render;
use ksdsl::source::Source;

fn compiled(text: &str) -> Compilation {
    compile(&Source::new("test.ksn", text), &Options::default())
}

/// The network of a text without errors or warnings.
fn net(text: &str) -> Network {
    let source = Source::new("test.ksn", text);
    let mut compilation = compile(&source, &Options::default());
    let rendered = render(&source, &compilation.diagnostics, false);
    assert!(compilation.diagnostics.is_empty(), "{text}\n{rendered}");
    compilation.networks.remove(0)
}

/// The layer of a path.
fn layer<'n>(network: &'n Network, path: &str) -> &'n Layer {
    let found = network.layers.iter().find(|layer| layer.path.to_string() == path);
    found.unwrap_or_else(|| panic!("no layer {path}"))
}

/// The codes of what is reported, as in messages.
fn codes(text: &str) -> Vec<String> {
    let compilation = compiled(text);
    compilation
        .diagnostics
        .iter()
        .map(|diagnostic| diagnostic.code.to_string())
        .collect()
}

/// Blocks, the family, and the instance, with the line ends of Unix.
#[test]
fn networks_keep_the_text_that_specifies_them() {
    let (block, family, instance) = (
        "block b { relu }",
        "net f(k = 1) {\r\ninput 3; b; linear(k) }",
        "net i = f(k = 2)",
    );
    let text = format!("{block}\r\n{family}\nnet other {{ input 1; relu }}\n{instance}\n");
    let networks = compiled(&text).networks;
    let family = family.replace('\r', "");
    let texts: Vec<&str> = networks.iter().map(|network| network.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            format!("{block}\n\n{family}"),
            format!("{block}\n\nnet other {{ input 1; relu }}"),
            format!("{block}\n\n{family}\n\n{instance}"),
        ]
    );
}

/// A block that contains itself, wherever in it.
#[test]
fn recursion_is_found_in_every_construct() {
    for body in [
        "b",
        "residual { b }",
        "residual { relu } shortcut { b }",
        "add { path { relu } path { b } }",
        "repeat 2 { b }",
        "when t { b }",
        "when t { relu } else { b }",
        "seq { seq { b } }",
        "c",
    ] {
        let text = format!("block b(t = true) {{ {body} }}\nblock c {{ relu; b }}\nnet a {{ input 3; b }}");
        assert_eq!(codes(&text), ["KS0014"], "{body}");
    }
}

/// A constant and an index are known to the end of the braces they stand in, also in parts that a condition leaves out.
#[test]
fn names_end_with_their_scope() {
    for scope in [
        "repeat 2 { let w = 4; linear(w) }",
        "repeat 2 as w { linear(w + 1) }",
        "seq { let w = 4; linear(w) }",
        "residual { let w = 3; linear(w) }",
        "when t { let w = 3; linear(w) }",
        "when not t { relu } else { let w = 3; linear(w) }",
        "add { path { let w = 3; linear(w) } path { relu } }",
    ] {
        for (open, close) in [("", ""), ("when not t {", "}"), ("repeat 1 {", "}")] {
            let text = format!("net a(t = true) {{ input 3; relu; {open} {scope} linear(w) {close} }}");
            assert_eq!(codes(&text), ["KS0010"], "{text}");
            let text = format!("net a(t = true) {{ input 3; relu; {open} {scope} linear(3) {close} }}");
            assert!(compiled(&text).networks.len() == 1, "{text}");
        }
    }
}
