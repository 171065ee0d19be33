//! The structure of exported ONNX models. `tests/parity/onnx.py` runs them and compares numbers with PyTorch's.

#[path = "../networks/mod.rs"]
mod networks;

use ksdsl::checkpoint::entries;
use ksdsl::compile::{Options, compile};
use ksdsl::export::onnx::{self, proto};
use ksdsl::ir::{Network, Shape, WrongCount};
use ksdsl::source::Source;
use networks::{files, networks};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet, HashSet};

fn net(text: &str) -> Network {
    let compilation = compile(&Source::new("net.ksn", text), &Options::default());
    assert!(!compilation.has_errors(), "{:?}", compilation.diagnostics);
    let mut networks = compilation.networks;
    networks.remove(0)
}

fn options(functions: bool) -> onnx::Options {
    onnx::Options {
        steps: Vec::new(),
        functions,
    }
}

/// The file, decoded; all weights have one byte, which no test reads. Loops that would be too long run twice.
fn exported(network: &Network, options: &onnx::Options) -> proto::Model {
    let mut options = options.clone();
    let long = network.loops.iter().filter(|of| of.most > 1000);
    options.steps.extend(long.map(|of| (of.name.clone(), 2)));
    let model = onnx::model(network, &options).expect("a model");
    let weights = model.tensors.iter().map(|_| vec![1]).collect();
    let bytes = onnx::encode(&model, weights).expect("bytes");
    proto::Model::decode(bytes.as_slice()).expect("a model")
}

fn graph(model: &proto::Model) -> &proto::Graph {
    model.graph.as_ref().expect("a graph")
}

/// Each value is made once, before it is used; what is given is made.
fn check_order<'n>(
    given: impl IntoIterator<Item = &'n str>,
    nodes: &'n [proto::Node],
    outputs: impl IntoIterator<Item = &'n str>,
) -> HashSet<&'n str> {
    let mut known = HashSet::new();
    for name in given {
        assert!(known.insert(name), "`{name}` is given twice");
    }
    let mut used = HashSet::new();
    for node in nodes {
        for input in node.input.iter().filter(|input| !input.is_empty()) {
            assert!(known.contains(input.as_str()), "`{input}` is used before it is made");
            used.insert(input.as_str());
        }
        for output in &node.output {
            assert!(known.insert(output), "`{output}` is made twice");
        }
    }
    for output in outputs {
        assert!(known.contains(output), "`{output}` is not made");
    }
    used
}

fn check(network: &Network, model: &proto::Model) {
    let graph = graph(model);
    let initializers: Vec<&str> = graph.initializer.iter().map(|it| it.name.as_str()).collect();
    let inputs = graph.input.iter().map(|it| it.name.as_str());
    let given = inputs.chain(initializers.iter().copied());
    let used = check_order(given, &graph.node, graph.output.iter().map(|it| it.name.as_str()));
    for name in &initializers {
        assert!(used.contains(name), "{}: nothing uses `{name}`", network.name);
    }
    // Exactly the tensors of checkpoints, with their sizes: each shared kernel once.
    let expected = entries(network);
    assert_eq!(
        initializers,
        expected.iter().map(|it| it.key.as_str()).collect::<Vec<_>>()
    );
    for (initializer, entry) in graph.initializer.iter().zip(&expected) {
        let sizes: Vec<u64> = initializer.dims.iter().map(|size| *size as u64).collect();
        assert_eq!(sizes, entry.shape, "{}", entry.key);
    }
    let mut functions: BTreeMap<&str, &proto::Function> = BTreeMap::new();
    let mut calls: BTreeSet<&str> = BTreeSet::new();
    let bodies = model
        .functions
        .iter()
        .map(|of| of.node.as_slice())
        .chain([graph.node.as_slice()]);
    for nodes in bodies {
        for call in nodes.iter().filter(|node| !node.domain.is_empty()) {
            calls.insert(&call.op_type);
        }
    }
    for function in &model.functions {
        check_order(
            function.input.iter().map(String::as_str),
            &function.node,
            function.output.iter().map(String::as_str),
        );
        assert!(
            functions.insert(&function.name, function).is_none(),
            "{} twice",
            function.name
        );
    }
    assert_eq!(
        functions.keys().copied().collect::<BTreeSet<_>>(),
        calls,
        "{}",
        network.name
    );
    for call in graph.node.iter().filter(|node| !node.domain.is_empty()) {
        let function = functions[call.op_type.as_str()];
        let sizes = [call.input.len(), call.output.len()];
        assert_eq!(sizes, [function.input.len(), function.output.len()], "{}", call.name);
    }
}

#[test]
fn every_network_has_each_stored_tensor_once() {
    let all = networks();
    assert!(all.len() > 150, "only {} networks", all.len());
    for network in &all {
        for functions in [false, true] {
            check(network, &exported(network, &options(functions)));
        }
    }
}

/// `Operation` has no default for ONNX, so that no operation lacks it; the script that compares numbers must meet each.
#[test]
fn the_networks_that_are_compared_have_every_operation() {
    let texts: Vec<String> = files()
        .iter()
        .map(|path| std::fs::read_to_string(path).expect("text"))
        .collect();
    let words: HashSet<&str> = texts
        .iter()
        .flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .collect();
    let missing: Vec<&str> = ksdsl::ops::layers()
        .map(|layer| layer.name)
        .filter(|name| !words.contains(name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn metadata_say_which_layers_use_a_shared_tensor() {
    let network = net("net n {
        input 4 x 8 x 8
        stage s { repeat 3 { conv(4, kernel = 3, pad = 1); batch_norm; relu } }
        global_avg_pool; linear(2)
        share isomorphic conv in s as body
    }");
    let model = exported(&network, &options(false));
    let metadata: Vec<(&str, &str)> = model
        .metadata_props
        .iter()
        .map(|it| (it.key.as_str(), it.value.as_str()))
        .collect();
    let visits = "s.0.conv.weight s.1.conv.weight s.2.conv.weight";
    assert_eq!(metadata, [("network", "n"), ("shared.body.weight", visits)]);
    // Three nodes take the one kernel, each norm its own.
    let nodes = &graph(&model).node;
    let takes = |name: &str| {
        nodes
            .iter()
            .filter(|node| node.input.iter().any(|input| input == name))
            .count()
    };
    assert_eq!(takes("shared.body.weight"), 3);
    assert_eq!([0, 1, 2].map(|at| takes(&format!("s.{at}.batch_norm.weight"))), [1; 3]);
}

/// The sizes of an input or an output; none for any size.
fn sizes(of: &proto::ValueInfo) -> Vec<Option<i64>> {
    let tensor = of
        .r#type
        .as_ref()
        .and_then(|it| it.tensor_type.as_ref())
        .expect("a type");
    let dims = &tensor.shape.as_ref().expect("a shape").dim;
    let size = |dim: &proto::Dimension| match dim.value {
        Some(proto::Size::Value(size)) => Some(size),
        _ => None,
    };
    dims.iter().map(size).collect()
}

#[test]
fn any_batch_fits() {
    for network in networks() {
        let model = exported(&network, &options(false));
        let graph = graph(&model);
        let ports = network.inputs.iter().chain(&network.outputs);
        for (port, value) in ports.zip(graph.input.iter().chain(&graph.output)) {
            let mut expected = vec![None];
            expected.extend(port.shape.sizes().into_iter().map(|size| i64::try_from(size).ok()));
            assert_eq!(sizes(value), expected, "{}", network.name);
            let tensor = value
                .r#type
                .as_ref()
                .and_then(|it| it.tensor_type.as_ref())
                .expect("a type");
            let is_ids = matches!(port.shape, Shape::Ids { .. });
            assert_eq!(tensor.elem_type, if is_ids { proto::INT64 } else { proto::FLOAT });
        }
    }
}

/// Blocks that compute the same are one function, whatever their kernels; the file does not grow with the depth.
#[test]
fn a_block_is_one_function() {
    let text = |depth: usize| {
        format!(
            "net n {{
                input 4 x 8 x 8
                block b {{ residual {{ conv(4, kernel = 3, pad = 1); batch_norm }}; relu }}
                stage s {{ repeat {depth} {{ b }} }}
            }}"
        )
    };
    let [small, large] = [2, 9].map(|depth| exported(&net(&text(depth)), &options(true)));
    for (model, depth) in [(&small, 2), (&large, 9)] {
        assert_eq!(model.functions.len(), 1);
        let calls = graph(model).node.iter().filter(|node| node.op_type == "b");
        assert_eq!(calls.count(), depth);
    }
    assert_eq!(small.functions, large.functions);
}

const LOOP: &str = "net n {
    input 4
    steps: repeat up to 5 { linear(4); relu }
    linear(2)
}";

#[test]
fn loops_are_written_out_as_often_as_asked() {
    let network = net(LOOP);
    let name = network.loops[0].name.clone();
    let count = |steps: Vec<(String, u64)>| {
        let options = onnx::Options {
            steps,
            functions: false,
        };
        let model = exported(&network, &options);
        graph(&model).node.iter().filter(|node| node.op_type == "Gemm").count()
    };
    assert_eq!(count(Vec::new()), 6);
    assert_eq!(count(vec![(name.clone(), 2)]), 3);
    for (given, most) in [(0, 5), (6, 5)] {
        let steps = vec![(name.clone(), given)];
        let error = onnx::model(
            &network,
            &onnx::Options {
                steps,
                functions: false,
            },
        )
        .unwrap_err();
        let name = name.clone();
        assert_eq!(error, onnx::Error::Steps(WrongCount { name, most, given }));
    }
    let long = net("net n { input 4; steps: repeat up to 60000 { linear(4); relu } }");
    let error = onnx::model(&long, &options(false)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the loop `steps` makes too many nodes, written out: choose fewer steps, such as `--steps steps=8`"
    );
    let steps = vec![("none".to_owned(), 1)];
    let error = onnx::model(
        &network,
        &onnx::Options {
            steps,
            functions: false,
        },
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "the network has no loop `none`");
}
