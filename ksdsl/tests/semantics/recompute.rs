//! Training steps that run segments again: the bits of those that keep everything.

use crate::networks;
use ksdsl::checkpoint::entries;
use ksdsl::graph::budget::{MemoryBudget, OverBudget, Recomputation, within};
use ksdsl::graph::{Graph, Parameter, Step};
use ksdsl::ir::{Network, Port, Shape};
use ksdsl::spec::Spec;
use ksdsl_cpu::CpuExec;
use std::collections::BTreeMap;

const BATCH: usize = 2;

/// What fits into the least memory that a network can do with.
fn least(network: &Network) -> (Recomputation, u128) {
    let fit = |bytes: u128| within(network, [BATCH as u64, 1], MemoryBudget::Bytes(bytes as u64));
    match fit(1) {
        Ok(found) => (found, 0),
        Err(OverBudget { least, .. }) => (fit(least).expect("the least fits"), least),
    }
}

fn values(len: usize, seed: f64) -> Vec<f32> {
    (0..len).map(|i| ((i as f64 + seed) * 0.7).sin() as f32).collect()
}

fn input(port: &Port) -> Vec<f32> {
    let len = BATCH * port.shape.sizes().iter().product::<u64>() as usize;
    match port.shape {
        Shape::Ids { vocabulary, .. } => (0..len).map(|i| (i as u64 * 7 % vocabulary) as f32).collect(),
        // They may be lengths, or places of tokens.
        Shape::Flat(_) if port.name.is_some() => vec![1.0; len],
        _ => values(len, 0.3),
    }
}

/// What a step leaves: its results, and all tensors.
fn step(network: &Network, recomputation: Option<&Recomputation>) -> (Step<f32>, BTreeMap<String, Vec<f32>>) {
    let start = |parameter: &Parameter| {
        let seed = parameter.key.len() as f64;
        let small = values(parameter.len, seed).into_iter().map(|value| value * 0.2);
        Some(
            match parameter.key.ends_with("running_var") || parameter.shape.len() == 1 {
                true => small.map(|value| value.abs() + 0.5).collect(),
                false => small.collect(),
            },
        )
    };
    let mut graph = Graph::<f32, _>::new(network.clone(), CpuExec, start).expect("all values");
    recomputation
        .into_iter()
        .for_each(|recomputation| graph.recompute(recomputation));
    let inputs: Vec<Vec<f32>> = network.inputs.iter().map(input).collect();
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut seed = 0;
    let seeds = || {
        seed += 1;
        seed
    };
    let weights = |outputs: &[Vec<f32>]| outputs.iter().map(|output| values(output.len(), 0.8)).collect();
    let step = graph
        .train_step(&inputs, seeds, weights)
        .unwrap_or_else(|error| panic!("{}: {error}", network.name));
    let keys: Vec<String> = graph
        .parameters()
        .iter()
        .map(|parameter| parameter.key.clone())
        .collect();
    let tensor = |key: String| {
        let values = graph.values(&key).expect("the CPU").expect("a tensor");
        (key, values)
    };
    (step, keys.into_iter().map(tensor).collect())
}

fn bits(step: &(Step<f32>, BTreeMap<String, Vec<f32>>)) -> Vec<(String, Vec<u32>)> {
    let (
        Step {
            outputs,
            inputs,
            gradients,
        },
        tensors,
    ) = step;
    let outputs = outputs.iter().map(|values| ("output".to_owned(), values));
    let inputs = inputs.iter().map(|values| ("input".to_owned(), values));
    let gradients = gradients
        .iter()
        .map(|(key, values)| (format!("gradient of {key}"), values));
    let tensors = tensors.iter().map(|(key, values)| (key.clone(), values));
    let all = outputs.chain(inputs).chain(gradients).chain(tensors);
    all.map(|(name, values)| (name, values.iter().map(|value| value.to_bits()).collect()))
        .collect()
}

/// At the least memory, and half-way to it.
#[test]
fn bits_do_not_depend_on_the_budget() {
    let mut recomputed = 0;
    for network in networks::networks() {
        let sizes = entries(&network)
            .into_iter()
            .map(|entry| entry.shape.iter().product::<u64>());
        if network.macs() > 30_000_000 || sizes.sum::<u64>() > 1_000_000 {
            continue;
        }
        let (least, bytes) = least(&network);
        if least.macs == 0 {
            continue;
        }
        recomputed += 1;
        let kept = bits(&step(&network, None));
        let half = MemoryBudget::Bytes(((bytes + least.all_bytes) / 2) as u64);
        let half = within(&network, [BATCH as u64, 1], half).expect("more than the least fits");
        for recomputation in [&least, &half] {
            let again = bits(&step(&network, Some(recomputation)));
            let differ = kept.iter().zip(&again).find(|(kept, again)| kept != again);
            assert!(
                differ.is_none(),
                "{}: {}",
                network.name,
                differ.expect("a difference").0.0
            );
            assert_eq!(kept.len(), again.len(), "{}", network.name);
        }
        assert!(half.macs <= least.macs && half.bytes >= least.bytes, "{}", network.name);
        println!(
            "{}: {} of {} bytes, {:.2}",
            network.name,
            least.bytes,
            least.all_bytes,
            least.more()
        );
    }
    assert!(recomputed > 50, "{recomputed} networks");
}

/// Within each budget, with less arithmetic the larger it is, and with none if all fits.
#[test]
fn more_memory_takes_less_arithmetic() {
    for (file, name) in [
        ("se_resnet", "se_resnet"),
        ("convmixer", "convmixer"),
        ("nanogpt", "nanogpt"),
    ] {
        let path = format!("{}/../examples/nets/{file}.ksn", env!("CARGO_MANIFEST_DIR"));
        let (network, _) = Spec::read(path)
            .expect("a file")
            .network(name)
            .compile_one()
            .expect("a network");
        let mut before = u128::MAX;
        for percent in 30..=100 {
            let budget = MemoryBudget::Fraction(f64::from(percent) / 100.0);
            let found = match within(&network, [16, 2], budget) {
                Ok(found) => found,
                Err(over) => {
                    assert!(over.least > over.bytes && before == u128::MAX, "{name}, {percent} %");
                    continue;
                }
            };
            assert!(found.bytes <= budget.bytes(found.all_bytes), "{name}, {percent} %");
            assert!(
                found.macs <= before,
                "{name}, {percent} %: {} after {before}",
                found.macs
            );
            assert!(found.more() <= 1.0 / 3.0, "{name}, {percent} %");
            before = found.macs;
        }
        assert_eq!(before, 0, "{name}");
    }
}
