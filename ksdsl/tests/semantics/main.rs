//! What specifications mean, in values that tell right from wrong: odd sizes, several groups, numbers that are
//! no defaults, selectors out of order. Expected values come from papers' formulas, from counting by brute
//! force, or from lists written by hand.

mod clauses;
mod costs;
mod expressions;
mod inits;
mod isomorphism;
mod memory;
mod shapes;

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
