//! Language models against twins that share nothing: every visit of a block and every iteration of a loop has kernels of its
//! own there, with the same values. A shared gradient is the sum of those of the twin.

use super::case::{Case, cases, largest};
use super::step::{Values, graph, loss};
use ksdsl::checkpoint::{Entry, entries};
use ksdsl::ir::Network;
use ksdsl::spec::Spec;
use std::collections::BTreeMap;

/// What a network's text becomes, so that gradients flow through all iterations, and what its twin's, so that iterations are
/// written out. A twin's value of an exit is a state.
struct Change {
    net: &'static str,
    both: &'static [(&'static str, &'static str)],
    twin: &'static [(&'static str, &'static str)],
    loops: &'static [&'static str],
}

const STOP: &str = "token(0); slice(0, 1)\n    keep stop\n";

const CHANGES: &[Change] = &[
    Change {
        net: "halting",
        both: &[],
        twin: &[
            ("    keep clock\n", "    keep clock\n    @"),
            ("repeat up to steps", "repeat steps"),
            ("exit halt; from thought", "set stop; from thought"),
            ("from halt; output", "from stop; output"),
        ],
        loops: &["body"],
    },
    Change {
        net: "huginn",
        both: &[(", gradients = gradients {", " {")],
        twin: &[("repeat up to steps", "repeat steps")],
        loops: &["core"],
    },
    Change {
        net: "ouro",
        both: &[],
        twin: &[("repeat up to steps", "repeat steps"), ("        exit left\n", "")],
        loops: &["visits"],
    },
    Change {
        net: "trm",
        both: &[(", gradients = 1", "")],
        twin: &[
            ("    keep answer\n", "    keep answer\n    @    from answer\n"),
            ("repeat up to", "repeat"),
            ("exit done", "set stop"),
            ("from done", "from stop"),
        ],
        loops: &["supervision", "recursion", "thinking"],
    },
];

const UNCHANGED: Change = Change {
    net: "",
    both: &[],
    twin: &[],
    loops: &[],
};

fn changed(text: String, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "no `{from}` in\n{text}");
        text.replace(from, &to.replace('@', STOP))
    })
}

/// The network of a case, and its twin's.
fn networks(case: &Case, change: &Change) -> [Network; 2] {
    let text = changed(std::fs::read_to_string(&case.file).expect("a file"), change.both);
    let unshared: String = text
        .lines()
        .filter(|line| !line.starts_with("    share "))
        .map(|line| format!("{line}\n"))
        .collect();
    let twin = changed(unshared, change.twin);
    [text, twin].map(|text| {
        let spec = case.set(Spec::parse("net.ksn", &text));
        let compiled = spec.compile_one();
        compiled
            .unwrap_or_else(|error| panic!("{}: {error}\n{text}", case.net))
            .0
    })
}

/// The key of a tensor of a twin without the numbers of iterations.
fn in_loops(key: &str, loops: &[&str]) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut after_loop = false;
    for part in key.split('.') {
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
        if !(after_loop && is_number) {
            kept.push(part);
        }
        after_loop = loops.contains(&part);
    }
    kept.join(".")
}

/// The keys of the network's tensors by those of their visits.
fn by_visit(entries: &[Entry]) -> BTreeMap<&str, &str> {
    let mut keys = BTreeMap::new();
    for entry in entries {
        keys.insert(entry.key.as_str(), entry.key.as_str());
        keys.extend(entry.visits.iter().map(|visit| (visit.as_str(), entry.key.as_str())));
    }
    keys
}

/// The product of matrices, `a` of `rows` rows and `b` of as many as `a` has columns.
fn product(a: &[f64], b: &[f64], rows: usize) -> Vec<f64> {
    let inner = a.len() / rows;
    let columns = b.len() / inner;
    let of = |at: usize| {
        (0..inner)
            .map(|i| a[at / columns * inner + i] * b[i * columns + at % columns])
            .sum()
    };
    (0..rows * columns).map(of).collect()
}

fn transposed(a: &[f64], rows: usize) -> Vec<f64> {
    let columns = a.len() / rows;
    (0..a.len()).map(|at| a[at % rows * columns + at / rows]).collect()
}

fn add(sum: &mut Vec<f64>, more: &[f64]) {
    sum.resize(more.len(), 0.0);
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// The factors of a visit's update of low rank, and their keys.
fn factors<'v>(weights: &'v Values<f64>, visit: &str) -> Option<[(String, &'v Vec<f64>); 2]> {
    let layer = visit.strip_suffix(".weight")?;
    let [a, b] = ["low_rank_a", "low_rank_b"].map(|name| format!("{layer}.{name}"));
    Some([(a.clone(), weights.get(&a)?), (b.clone(), weights.get(&b)?)])
}

/// What a twin's tensor has: that of the layer, and an update of low rank if the visit has one, K + B A.
fn value(case: &Case, keys: &BTreeMap<&str, &str>, visit: &str) -> Option<Vec<f64>> {
    let mut value = case.weights.get(*keys.get(visit)?)?.clone();
    if let Some([(_, a), (_, b)]) = factors(&case.weights, visit) {
        let rank = rank(&value, a, b);
        add(&mut value, &product(b, a, b.len() / rank));
    }
    Some(value)
}

/// r with r (rows + columns) values in both factors of a kernel of rows x columns.
fn rank(kernel: &[f64], a: &[f64], b: &[f64]) -> usize {
    (1..)
        .find(|rank| a.len() / rank * (b.len() / rank) == kernel.len())
        .expect("a rank")
}

/// The gradients of the network that those of its twin say it has.
fn gathered(case: &Case, keys: &BTreeMap<&str, &str>, twin: &Values<f64>, loops: &[&str]) -> Values<f64> {
    let mut sums = Values::new();
    for (key, gradient) in twin {
        let visit = in_loops(key, loops);
        add(sums.entry(keys[visit.as_str()].to_owned()).or_default(), gradient);
        // K + B A has the gradients B^T G of A and G A^T of B.
        if let Some([(of_a, a), (of_b, b)]) = factors(&case.weights, &visit) {
            let rank = rank(gradient, a, b);
            let rows = b.len() / rank;
            add(
                sums.entry(of_a).or_default(),
                &product(&transposed(b, rows), gradient, rank),
            );
            add(
                sums.entry(of_b).or_default(),
                &product(gradient, &transposed(a, rank), rows),
            );
        }
    }
    sums
}

#[test]
fn shared_and_looped_gradients_are_sums_of_those_of_untied_twins() {
    for case in cases() {
        let change = CHANGES
            .iter()
            .find(|change| change.net == case.net)
            .unwrap_or(&UNCHANGED);
        let [network, twin] = networks(&case, change);
        let tensors = entries(&network);
        let keys = by_visit(&tensors);
        let step = |network: &Network, weights: &Values<f64>| {
            let mut graph = graph(network, weights).expect("a graph");
            let loss = |outputs: &[Vec<f64>]| loss(outputs, &case.batch.targets).1;
            graph.train_step(&case.batch.inputs(), || 0, loss).expect("a step")
        };
        let ours = step(&network, &case.weights);
        let untied = entries(&twin).into_iter().map(|entry| {
            let value = value(&case, &keys, &in_loops(&entry.key, change.loops));
            (
                entry.key.clone(),
                value.unwrap_or_else(|| panic!("{}: no {}", case.net, entry.key)),
            )
        });
        let untied: Values<f64> = untied.collect();
        assert!(
            untied.len() > case.weights.len() || case.net == "relaxed_recursive",
            "{}",
            case.net
        );
        let theirs = step(&twin, &untied);
        for (ours, theirs) in ours.outputs.iter().zip(&theirs.outputs) {
            near(&case.net, "an output", ours, theirs, largest(theirs));
        }
        let sums = gathered(&case, &keys, &theirs.gradients, change.loops);
        assert!(ours.gradients.keys().eq(sums.keys()), "{}", case.net);
        let steepest = sums.values().map(|sum| largest(sum)).fold(0.0, f64::max);
        for (key, gradient) in &ours.gradients {
            near(&case.net, key, gradient, &sums[key], steepest);
        }
    }
}

fn near(net: &str, what: &str, ours: &[f64], theirs: &[f64], scale: f64) {
    assert_eq!(ours.len(), theirs.len(), "{net} {what}");
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() <= 1e-9 * scale, "{net} {what}: {ours} {theirs}");
    }
}
