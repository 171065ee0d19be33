//! Pictures of random networks: joins, repetitions, loops and values inside each other, with and without sharing.

use super::pictures::{nothing_is_hidden, shows_every_layer, shows_every_visit};
use super::{light, network};
use super::{picture::Picture, read};
use ksdsl::diagram::{Options, svg};
use proptest::prelude::*;

/// A statement that keeps the shape.
#[derive(Clone, Debug)]
enum Step {
    Layer(usize),
    Residual(Vec<Step>),
    Paths(usize, Vec<Vec<Step>>),
    Repeat(u8, Vec<Step>),
    Loop(u8, Vec<Step>),
    Skip(Vec<Step>),
}

const LAYERS: [&str; 6] = [
    "conv(4, kernel = 3, pad = 1)",
    "relu",
    "batch_norm",
    "group_norm(2)",
    "depthwise(3, pad = 1, bias = true)",
    "squeeze_excite(2)",
];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let layer = (0..LAYERS.len()).prop_map(Step::Layer);
    let step = layer.prop_recursive(4, 24, 4, |inner| {
        let body = || prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            body().prop_map(Step::Residual),
            (
                0..3usize,
                prop::collection::vec(prop::collection::vec(inner.clone(), 0..3), 2..5)
            )
                .prop_map(|(join, paths)| Step::Paths(join, paths)),
            (1..5u8, body()).prop_map(|(times, body)| Step::Repeat(times, body)),
            (1..5u8, body()).prop_map(|(most, body)| Step::Loop(most, body)),
            body().prop_map(Step::Skip),
        ]
    });
    prop::collection::vec(step, 1..6)
}

/// The text of statements; names are counted, so that none is used twice.
fn text(steps: &[Step], count: &mut usize, in_loop: bool) -> String {
    let mut all = String::new();
    for step in steps {
        *count += 1;
        let name = *count;
        let mut body = |steps: &[Step], in_loop| text(steps, count, in_loop);
        all += &match step {
            // Running statistics cannot differ between iterations.
            Step::Layer(2) if in_loop => "gelu\n".to_owned(),
            Step::Layer(layer) => format!("{}\n", LAYERS[*layer]),
            Step::Residual(steps) => format!("residual {{ {} }}\n", body(steps, in_loop)),
            Step::Paths(join, paths) => {
                let path = |steps: &Vec<Step>| format!("path {{ {} }} ", body(steps, in_loop));
                let paths: String = paths.iter().map(path).collect();
                match join {
                    0 => format!("add {{ {paths} }}\n"),
                    1 => format!("multiply {{ {paths} }}\n"),
                    _ => format!("concat {{ {paths} }} pointwise(4)\n"),
                }
            }
            Step::Repeat(times, steps) => format!("repeat {times} {{ {} }}\n", body(steps, in_loop)),
            Step::Loop(most, steps) => format!("l{name}: repeat up to {most} {{ {} }}\n", body(steps, true)),
            Step::Skip(steps) => format!("keep v{name}\n{}add(v{name})\n", body(steps, in_loop)),
        };
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn random_networks_can_be_read(steps in steps(), stages in 1..4usize, mapping in 0..4usize) {
        let mut count = 0;
        let stages: String =
            (0..stages).map(|stage| format!("stage s{stage} {{ {} }}\n", text(&steps, &mut count, false))).collect();
        let share = ["", "share isomorphic", "share isomorphic into cycle(2)", "share isomorphic conv in s0"][mapping];
        let net = format!("net random {{ input 4 x 6 x 6\npointwise(4)\n{stages}{share} }}");
        let Ok((network, _)) = ksdsl::spec::Spec::parse("random.ksn", &net).compile_one() else {
            // Nothing to share, or kernels handed out in a loop.
            let unshared = net.replace(share, "");
            network(&unshared);
            return Ok(());
        };
        let picture = read(&network);
        nothing_is_hidden(&net, &picture);
        shows_every_layer(&net, &picture, &network);
        shows_every_visit(&net, &picture, &network);
        for depth in 0..3 {
            let closed = svg(&network, &Options { depth, ..light() }).expect("a picture");
            let closed = Picture::read(&closed);
            nothing_is_hidden(&net, &closed);
            prop_assert_eq!(closed.layers(), network.layers.len());
        }
    }
}
