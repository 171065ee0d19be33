//! Parameters and operations of small networks, written by hand.

use crate::graph::{Graph, Id};
use crate::{net, python, rust};
use ksdsl::export::pytorch;

/// The operations that lead to a value, each once, inputs first.
fn operations(graph: &Graph, id: Id, seen: &mut Vec<Id>) {
    for input in graph.inputs(id) {
        operations(graph, *input, seen);
    }
    if !seen.contains(&id) {
        seen.push(id);
    }
}

/// The operations of exported Python with what they work on, and the parameters with sizes and start.
fn python(text: &str) -> (Vec<String>, Vec<String>) {
    let mut graph = Graph::default();
    let (params, output) = python::trace(&pytorch::module(&net(text), &[]), &mut graph);
    described(&graph, output, &params)
}

fn generated(text: &str) -> (Vec<String>, Vec<String>) {
    let mut graph = Graph::default();
    let traced = rust::trace(&crate::rust(&net(text)), &mut graph);
    described(&graph, traced.output, &traced.params)
}

fn described(graph: &Graph, output: Id, params: &crate::graph::Params) -> (Vec<String>, Vec<String>) {
    let mut order = Vec::new();
    operations(graph, output, &mut order);
    let is_op = |id: &&Id| !graph.inputs(**id).is_empty();
    let describe = |id: &Id| {
        let inputs = graph
            .inputs(*id)
            .iter()
            .filter_map(|input| graph.op(*input).strip_prefix("param "));
        std::iter::once(graph.op(*id))
            .chain(inputs)
            .collect::<Vec<_>>()
            .join(" | ")
    };
    let params = params
        .iter()
        .map(|(key, (shape, start))| format!("{key} {shape:?} {start}"));
    (order.iter().filter(is_op).map(describe).collect(), params.collect())
}

/// Operations of both, where Rust's say no more than Python's.
fn both(text: &str) -> (Vec<String>, Vec<String>) {
    let (from_python, from_rust) = (python(text), generated(text));
    assert_eq!(from_python, from_rust);
    from_python
}

#[test]
fn norms_keep_eps_and_momentum() {
    let (operations, params) =
        both("net n { input 3; batch_norm(eps = 0.25, momentum = 0.5); layer_norm(eps = 0.125); b: batch_norm }");
    assert_eq!(
        operations,
        [
            "batch_norm batch_norm eps 0.25 momentum 0.5",
            "layer_norm layer_norm eps 0.125",
            "batch_norm b eps 1e-5 momentum 0.1"
        ]
    );
    let of = |key: &str, start: &str| format!("{key} [3] constant {start}");
    let mut expected = Vec::new();
    for norm in ["b", "batch_norm"] {
        expected.extend([
            of(&format!("{norm}.bias"), "0.0"),
            of(&format!("{norm}.running_mean"), "0.0"),
            of(&format!("{norm}.running_var"), "1.0"),
            of(&format!("{norm}.weight"), "1.0"),
        ]);
    }
    expected.extend([of("layer_norm.bias", "0.0"), of("layer_norm.weight", "1.0")]);
    assert_eq!(params, expected);
}

#[test]
fn convolutions_keep_their_arguments() {
    let text = "net n { input 6 x 9 x 7
        conv(4, kernel = 3 x 2, stride = 2 x 1, pad = 1 x 0, dilation = 1 x 2, groups = 2, bias = true)
        conv(4, kernel = 2, pad = same)
    }";
    let (operations, params) = python(text);
    assert_eq!(
        operations,
        [
            "conv stride [2, 1] pad [1, 1, 0, 0] dilation [1, 2] groups 2 | conv.weight | conv.bias",
            "conv stride [1, 1] pad [0, 1, 0, 1] dilation [1, 1] groups 1 | conv_2.weight",
        ]
    );
    // 6 / 2 channels of 3 x 2 taps; 4 channels of 2 x 2.
    let [one, two] = [1.0 / 18.0_f64.sqrt(), 0.25];
    assert_eq!(
        params,
        [
            format!("conv.bias [4] uniform {one:?}"),
            format!("conv.weight [4, 3, 3, 2] uniform {one:?}"),
            format!("conv_2.weight [4, 4, 2, 2] uniform {two:?}"),
        ]
    );
    let operations = generated(text).0;
    // (9 + 2 - 3) / 2 + 1 rows, 7 - 2 * (2 - 1) columns.
    assert!(operations[0].contains("groups 2 to [4, 5, 5]"), "{operations:?}");
}

/// A shared bias starts as a bias, and what visits have of their own as it should: A within 1 / sqrt(3 * 3 * 3)
/// whatever its rank, B 0, factors 1.
#[test]
fn shared_parameters_start_as_they_should() {
    let (operations, params) = python(
        "net n { input 6 x 5 x 5
            stage s { repeat 2 { conv(6, kernel = 3, pad = 1, groups = 2, bias = true, init = ones, bias_init = normal(0.5)) } }
            share s[*].conv with private low_rank(2), scale as k
        }",
    );
    let conv = "conv stride [1, 1] pad [1, 1, 1, 1] dilation [1, 1] groups 2 | shared.k.bias";
    assert_eq!(
        operations,
        [
            "low_rank | shared.k.weight | s.0.conv.low_rank_a | s.0.conv.low_rank_b",
            "scale | s.0.conv.scale",
            conv,
            "low_rank | shared.k.weight | s.1.conv.low_rank_a | s.1.conv.low_rank_b",
            "scale | s.1.conv.scale",
            conv,
        ]
    );
    let a = 1.0 / 27.0_f64.sqrt();
    let own = |visit: usize| {
        [
            format!("s.{visit}.conv.low_rank_a [2, 27] uniform {a:?}"),
            format!("s.{visit}.conv.low_rank_b [6, 2] constant 0.0"),
            format!("s.{visit}.conv.scale [6] constant 1.0"),
        ]
    };
    let shared = [
        "shared.k.bias [6] normal 0.5",
        "shared.k.weight [6, 3, 3, 3] constant 1.0",
    ]
    .map(str::to_owned);
    assert_eq!(params, [own(0).as_slice(), &own(1), &shared].concat());
}

/// Factors of a linear layer stand beside its one bias.
#[test]
fn linear_layers_keep_their_factors() {
    let text = "net n { input 4; stage s { repeat 2 { linear(4) } } share s[*].linear with private scale as k }";
    let (operations, params) = both(text);
    assert_eq!(
        operations,
        [
            "scale | shared.k.weight | s.0.linear.scale",
            "linear | shared.k.bias",
            "scale | shared.k.weight | s.1.linear.scale",
            "linear | shared.k.bias"
        ]
    );
    assert_eq!(
        params,
        [
            "s.0.linear.scale [4] constant 1.0",
            "s.1.linear.scale [4] constant 1.0",
            "shared.k.bias [4] uniform 0.5",
            "shared.k.weight [4, 4] uniform 0.5",
        ]
    );
}

#[test]
fn keys_are_paths_however_repetitions_are_nested() {
    let text = "net n { input 4
        block twice { repeat 2 { linear(4, bias = false) } relu }
        stage s { repeat 2 { twice } outer: repeat 2 { repeat 2 { linear(4, bias = false); relu } } }
        deep: seq { more: seq { row: repeat 2 { twice }; one: twice; repeat 2 { relu; linear(4, bias = false) } } }
    }";
    let (operations, params) = both(text);
    let keys = [
        "s.0.0.linear",
        "s.0.1.linear",
        "s.1.0.linear",
        "s.1.1.linear",
        "s.outer.0.0.linear",
        "s.outer.0.1.linear",
        "s.outer.1.0.linear",
        "s.outer.1.1.linear",
        "deep.more.row.0.0.linear",
        "deep.more.row.0.1.linear",
        "deep.more.row.1.0.linear",
        "deep.more.row.1.1.linear",
        "deep.more.one.0.linear",
        "deep.more.one.1.linear",
        "deep.more.0.linear",
        "deep.more.1.linear",
    ];
    let linear: Vec<String> = keys.iter().map(|key| format!("linear | {key}.weight")).collect();
    let found: Vec<&String> = operations.iter().filter(|op| *op != "relu").collect();
    assert_eq!(found, linear.iter().collect::<Vec<_>>());
    let mut sorted = keys;
    sorted.sort_unstable();
    assert_eq!(params, sorted.map(|key| format!("{key}.weight [4, 4] uniform 0.5")));
}

/// The kernels of a group are handed out in the order of the visits.
#[test]
fn visits_get_their_kernels_in_order() {
    let list = |list: &str| {
        let text = format!(
            "net n {{ input 4; stage s {{ repeat 9 {{ linear(4, bias = false) }} }} share s[*].linear into [{list}] as k }}"
        );
        both(&text).0
    };
    // Many short runs, and few long ones, which are written in another way.
    for kernels in ["0, 1, _, 2, 1, 0, 2, 2, 1", "1, 1, 1, 1, 1, 0, 0, 0, 0"] {
        let keys = kernels.split(", ").enumerate().map(|(visit, kernel)| match kernel {
            "_" => format!("linear | s.{visit}.linear.weight"),
            kernel => format!("linear | shared.k.{kernel}.weight"),
        });
        assert_eq!(list(kernels), keys.collect::<Vec<_>>());
    }
}
