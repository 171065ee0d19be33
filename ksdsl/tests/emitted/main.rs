//! Generated Rust and exported Python compute the network: both are read, run on words instead of numbers,
//! and compared with the resolved layers.
//!
//! No text is compared: whatever the structs and variables are, the parameters must have the keys, sizes and
//! initial values of the layers, and the operations their arguments, in the order of the forward pass.

#[path = "../book/fences.rs"]
#[allow(dead_code)]
mod fences;

mod docs;
mod expected;
mod graph;
mod hand;
mod python;
mod rust;

use expected::Style;
use graph::Graph;
use ksdsl::codegen;
use ksdsl::compile::{Options, compile};
use ksdsl::export::pytorch;
use ksdsl::ir::{Network, View};
use ksdsl::render::render;
use ksdsl::source::Source;
use std::path::Path;

/// The networks of a source; it must be right.
fn networks(source: &Source) -> Vec<Network> {
    let compilation = compile(source, &Options::default());
    let rendered = render(source, &compilation.diagnostics, false);
    assert!(!compilation.has_errors(), "{rendered}");
    compilation.networks
}

fn net(text: &str) -> Network {
    networks(&Source::new("test.ksn", text)).remove(0)
}

fn rust(network: &Network) -> String {
    codegen::format(std::iter::once(codegen::network(network)).collect())
}

/// Sources in files of a folder of the repository.
fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let entries = std::fs::read_dir(&folder).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    let read = |path: &std::path::PathBuf| std::fs::read_to_string(path).expect("text");
    paths
        .iter()
        .map(|path| (path.display().to_string(), read(path)))
        .collect()
}

/// The networks here, those of the examples, and those of the book that are right.
fn all() -> Vec<Network> {
    let mut all = networks(&Source::new("nets.ksn", include_str!("nets.ksn")));
    all.extend(networks(&Source::new(
        "operations.ksn",
        include_str!("../data/operations.ksn"),
    )));
    for (name, text) in files("examples/nets", "ksn") {
        all.extend(networks(&Source::new(name, text)));
    }
    for (name, text) in files("docs/book/src", "md") {
        for fence in fences::fences(&name, &text).iter().filter(|fence| fence.is("ksn")) {
            let compilation = compile(&fence.source(), &Options::default());
            if !compilation.has_errors() {
                all.extend(compilation.networks);
            }
        }
    }
    // How often a loop runs is not known here; `tests/tests/loops` runs them.
    all.retain(|network| network.loops.is_empty());
    assert!(all.len() > 100, "only {} networks", all.len());
    all
}

#[test]
fn rust_has_the_parameters_and_computes_the_network() {
    for network in all() {
        let mut graph = Graph::default();
        let traced = rust::trace(&rust(&network), &mut graph);
        assert_eq!(traced.params, expected::params(&network), "{}", network.name);
        let wanted = expected::forward(&network, Style::Rust, &mut graph);
        assert!(
            traced.output == wanted,
            "{}: {}\n{}",
            network.name,
            graph.difference(traced.output, wanted),
            network.text
        );
    }
}

#[test]
fn python_has_the_parameters_and_computes_the_network() {
    for network in all() {
        let mut graph = Graph::default();
        let text = pytorch::module(&network, &[]);
        let (params, output) = python::trace(&text, &mut graph);
        assert_eq!(params, expected::params(&network), "{}", network.name);
        let wanted = expected::forward(&network, Style::Python, &mut graph);
        let difference = graph.difference(output, wanted);
        assert!(output == wanted, "{}: {difference}\n{}", network.name, network.text);
    }
}

/// The interpreter takes the module's functions as operations. None calls itself, as one of rms_norm on maps once did
/// without end, so each ends as soon as the functions of PyTorch do.
#[test]
fn python_functions_do_not_call_themselves() {
    let mut found = 0;
    for network in all() {
        let text = pytorch::module(&network, &[]);
        for function in text.split("\ndef ").skip(1) {
            let (name, rest) = function.split_once('(').expect("a function");
            let body: Vec<&str> = rest
                .lines()
                .skip(1)
                .take_while(|line| !line.starts_with("class "))
                .collect();
            let call = format!("{name}(");
            let calls = |line: &str| {
                let called = line.match_indices(&call);
                let mut before = called.map(|(at, _)| line[..at].chars().next_back().unwrap_or(' '));
                before.any(|before| before != '.' && before != '_' && !before.is_alphanumeric())
            };
            assert!(
                !body.iter().any(|line| calls(line)),
                "{}: {name} calls itself",
                network.name
            );
            found += 1;
        }
    }
    assert!(found > 100, "only {found} functions");
}

/// The constants of a builder, from the layers.
#[test]
fn rust_says_what_the_network_costs() {
    for network in all() {
        let constants = rust::trace(&rust(&network), &mut Graph::default()).constants;
        let stored = |network: &Network| {
            let trained = |key: &&String| !key.contains(".running_");
            let params = expected::params(network);
            let sizes = params
                .keys()
                .filter(trained)
                .map(|key| params[key].0.iter().product::<u64>());
            sizes.sum::<u64>()
        };
        let mut unshared = network.clone();
        for layer in &mut unshared.layers {
            (layer.kernel, layer.bias, layer.rank, layer.scaled) = (None, None, None, false);
            (layer.combined, layer.view) = (None, View::default());
        }
        let name = &network.name;
        assert_eq!(constants["::PARAMETERS"], stored(&network).to_string(), "{name}");
        assert_eq!(
            constants["::UNSHARED_PARAMETERS"],
            stored(&unshared).to_string(),
            "{name}"
        );
        for constant in ["PARAMETERS", "UNSHARED_PARAMETERS", "MULTIPLY_ADDS"] {
            assert_eq!(constants[constant], constant, "{name}");
        }
        let sizes = |sizes: Vec<u64>| format!("&[{}]", sizes.iter().map(u64::to_string).collect::<Vec<_>>().join(","));
        assert_eq!(constants["INPUT"], sizes(network.input().sizes()), "{name}");
        assert_eq!(constants["OUTPUT"], sizes(network.output().sizes()), "{name}");
        assert_eq!(constants["NAME"], format!("{name:?}"));
        // What a layer receives may be joined of several outputs.
        let shapes = network.layers.iter().flat_map(|layer| [layer.input, layer.output]);
        let shapes = shapes.chain(network.inputs.iter().chain(&network.outputs).map(|port| port.shape));
        let largest = shapes
            .map(|shape| shape.sizes().iter().product::<u64>())
            .max()
            .expect("an input");
        assert_eq!(constants["LARGEST_ACTIVATION"], largest.to_string(), "{name}");
    }
}

/// The paths of a pattern such as `s[0..2][1].conv`.
fn expanded(pattern: &str) -> Vec<String> {
    let Some(start) = pattern.find('[') else {
        return vec![pattern.to_owned()];
    };
    let end = start + pattern[start..].find(']').expect("a closed bracket");
    let range = &pattern[start + 1..end];
    let (from, to) = match range.split_once("..") {
        Some((from, to)) => (from.parse().expect("a number"), to.parse().expect("a number")),
        None => range
            .parse::<usize>()
            .map(|index| (index, index + 1))
            .expect("a number"),
    };
    let rest = expanded(&pattern[end + 1..]);
    (from..to)
        .flat_map(|index| rest.iter().map(move |rest| (index, rest)))
        .map(|(index, rest)| format!("{}[{index}]{rest}", &pattern[..start]))
        .collect()
}

/// The key of each shared kernel, its tensors, and the paths of all of its visits.
fn shared_kernels(network: &Network) -> Vec<(String, Vec<String>, Vec<String>)> {
    let mut all = Vec::new();
    for group in &network.groups {
        for kernel in 0..group.kernels {
            let visits = group
                .visits
                .iter()
                .zip(&group.assignment)
                .filter(|(_, of)| **of == kernel);
            let mut paths: Vec<String> = visits
                .map(|(layer, _)| network.layers[*layer].path.to_string())
                .collect();
            paths.sort_unstable();
            let number = if group.kernels == 1 {
                String::new()
            } else {
                format!(".{kernel}")
            };
            let tensors = group
                .op
                .tensors()
                .into_iter()
                .filter(|tensor| group.parts.contains(&tensor.part));
            let tensors = tensors.map(|tensor| tensor.name.to_owned()).collect();
            all.push((format!("shared.{}{number}", group.name), tensors, paths));
        }
    }
    all
}

/// What stands between two of these marks.
fn quoted(text: &str, mark: char) -> Vec<&str> {
    text.split(mark).skip(1).step_by(2).collect()
}

/// What an exported module writes into a checkpoint's metadata: `ties`, which name nothing but visits, and all of them.
#[test]
fn python_says_which_layers_share() {
    for network in all() {
        let text = pytorch::module(&network, &[]);
        let ties = text.split_once("\n    ties = ").expect("ties").1;
        let ties = ties.split_once("})").map_or("", |(ties, _)| ties);
        let entries = ties
            .split("\"shared.")
            .skip(1)
            .map(|entry| entry.split_once("\":").expect("a key and its ties"));
        let found: Vec<(String, Vec<String>, Vec<String>)> = entries
            .map(|(key, rest)| {
                let texts = quoted(rest, '"');
                let tensors = texts[0].split(' ').map(str::to_owned).collect();
                let mut paths: Vec<String> = texts[1..].iter().flat_map(|pattern| expanded(pattern)).collect();
                paths.sort_unstable();
                (format!("shared.{key}"), tensors, paths)
            })
            .collect();
        assert_eq!(found, shared_kernels(&network), "{}", network.name);
    }
}

/// The builder names each shared kernel with its tensors and with the paths of all of its visits.
#[test]
fn rust_says_which_layers_share() {
    for network in all() {
        let constants = rust::trace(&rust(&network), &mut Graph::default()).constants;
        let kernels = constants["SHARED"].split("rt::SharedKernel{").skip(1);
        let texts = |part: &str| quoted(part, '"').into_iter().map(str::to_owned).collect::<Vec<_>>();
        let found: Vec<(String, Vec<String>, Vec<String>)> = kernels
            .map(|kernel| {
                let (key, rest) = kernel.split_once(",tensors:").expect("tensors");
                let (tensors, visits) = rest.split_once(",visits:").expect("visits");
                let mut paths: Vec<String> = texts(visits).iter().flat_map(|pattern| expanded(pattern)).collect();
                paths.sort_unstable();
                (texts(key).remove(0), texts(tensors), paths)
            })
            .collect();
        let expected = shared_kernels(&network);
        assert_eq!(found, expected, "{}", network.name);
    }
}
