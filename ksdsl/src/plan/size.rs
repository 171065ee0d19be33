//! How much code a plan becomes, before there is any: the tokens of the Rust module, about.
//!
//! A test compares the estimate with what code generation makes.

use super::{Body, Plan, Step};
use crate::ir::Group;

/// The module of a network, without its fields and steps.
const NETWORK: usize = 500;
/// The struct of a scope, without its fields and steps.
const STRUCT: usize = 100;
/// A field, with how dfdx visits it.
const FIELD: usize = 40;
/// A step that is not a layer, without those inside it.
const STEP: usize = 30;
/// A value with a name, or its use.
const VALUE: usize = 15;
/// A layer with its types.
const LAYER: usize = 60;
/// A group, without its kernels.
const GROUP: usize = 250;
/// A kernel of a group, among those that checkpoints list.
const KERNEL: usize = 25;
/// A run of equal kernels, or a path of a visit.
const VISIT: usize = 8;

impl Plan<'_> {
    /// The tokens of the Rust module, about.
    pub(crate) fn tokens(&self) -> usize {
        let structs = self.types.iter().map(|of| STRUCT + body(&of.body));
        let groups = self.network.groups.iter().map(group);
        NETWORK + body(&self.root) + structs.sum::<usize>() + groups.sum::<usize>()
    }
}

fn body(body: &Body) -> usize {
    FIELD * body.fields.len() + steps(&body.steps)
}

fn steps(all: &[Step]) -> usize {
    let inner = |step: &Step| {
        let own = match step {
            Step::Layer { arms, .. } if arms.is_empty() => LAYER,
            Step::Layer { arms, .. } => STEP * (arms.len() - 1),
            Step::Module(_, uses) | Step::Repeat(_, uses) => STEP + VALUE * uses.len(),
            Step::Loop(of) => 6 * STEP + 4 * VALUE * of.uses.len(),
            Step::Keep(_) | Step::Set(_) | Step::From(_) => VALUE,
        };
        own + step.arms().iter().map(|arm| steps(&arm.steps)).sum::<usize>()
    };
    all.iter().map(inner).sum()
}

fn group(group: &Group) -> usize {
    let kernels = group.kernels as usize;
    GROUP + kernels * KERNEL + group.visits.len() * VISIT
}

#[cfg(test)]
mod tests {
    use crate::codegen;
    use crate::compile::{Options, compile};
    use crate::source::Source;
    use proc_macro2::{TokenStream, TokenTree};

    fn tokens(stream: TokenStream) -> usize {
        let of = |token| match token {
            TokenTree::Group(group) => 2 + tokens(group.stream()),
            _ => 1,
        };
        stream.into_iter().map(of).sum()
    }

    /// That estimates are wrong by this factor at most; how many nets there are.
    fn check(text: &str, factor: usize) -> usize {
        let networks = compile(&Source::new("nets", text), &Options::default()).networks;
        for network in &networks {
            let estimate = super::super::plan(network).tokens();
            let made = tokens(codegen::network(network));
            let near = made / factor..made * factor;
            assert!(near.contains(&estimate), "{}: {estimate} for {made}", network.name);
        }
        networks.len()
    }

    /// Of nets in which one thing is nearly everything: kernels and runs of visits, groups, fields of different
    /// structs, steps inside each other, and every kind of step.
    #[test]
    fn each_part_of_the_estimate_is_near() {
        let many = |count: usize, piece: &dyn Fn(usize) -> String| (0..count).map(piece).collect::<String>();
        for body in [
            "r: repeat 3000 { pointwise(8) }\nshare r[*].pointwise into cycle(1500)".to_owned(),
            many(150, &|n| {
                format!("stage s{n} {{ repeat 2 {{ pointwise(8) }} }}\nshare s{n}[*].pointwise\n")
            }),
            many(300, &|n| format!("relu pointwise({}) ", n + 1)),
            many(100, &|n| format!("stage s{n} {{ pointwise({}) }} ", n + 1)),
            "residual { relu } ".repeat(300),
            format!(
                "{} relu {}",
                "residual { ".repeat(50),
                "} shortcut { sigmoid } ".repeat(50)
            ),
            format!("concat {{ {} }}", "path { relu } ".repeat(300)),
            "squeeze_excite(2) ".repeat(100),
            "attention(2) ".repeat(60),
            "dropout(0.5) ".repeat(300),
        ] {
            assert_eq!(check(&format!("net a {{ input 8 x 4 x 4; {body} }}"), 3), 1, "{body}");
        }
    }

    /// Of every net of the examples and tests.
    #[test]
    fn the_estimate_is_near_what_is_generated() {
        let mut count = 0;
        for folder in ["../examples/nets", "../tests/nets"] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            for entry in std::fs::read_dir(folder).expect("the nets") {
                let path = entry.expect("a net").path();
                if path.is_dir() {
                    continue;
                }
                count += check(&std::fs::read_to_string(path).expect("a net"), 2);
            }
        }
        assert!(count > 40, "only {count} nets were found");
    }
}
