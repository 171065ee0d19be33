//! Gradients: sums over the iterations of an unrolled network, finite differences, and truncation against the last
//! iterations alone.

use crate::run::{BATCH, Looped, Trained, input};
use crate::{close, graph, graph_of, loss, nets, weights};
use ksdsl::graph::Step;
use ksdsl_runtime::prelude::*;
use ksdsl_tests::tensors::{self, Values};
use std::collections::BTreeMap;

type Whole = nets::loop_whole::Model<f64, Cpu>;
type Truncated = nets::loop_truncated::Model<f64, Cpu>;

/// The key that a tensor of an unrolled iteration has in the loop.
fn rolled(key: &str) -> String {
    match key.split('.').collect::<Vec<_>>()[..] {
        ["steps", _, layer, tensor] => format!("steps.{layer}.{tensor}"),
        _ => key.to_owned(),
    }
}

/// Adds up the gradients of what is one tensor in the loop.
fn summed(gradients: &BTreeMap<String, Vec<f64>>) -> Values<f64> {
    let mut sums = Values::new();
    for (key, gradient) in gradients {
        let sum = sums.entry(rolled(key)).or_insert_with(|| vec![0.0; gradient.len()]);
        sum.iter_mut().zip(gradient).for_each(|(sum, more)| *sum += more);
    }
    sums
}

/// Outputs and gradients of a loop are those of unrolled iterations.
fn agree(ours: &Trained, theirs: &Step<f64>) {
    close("output", &ours.outputs[0], &theirs.outputs[0], 1e-12);
    close("input", &ours.input, &theirs.inputs[0], 1e-9);
    let theirs = summed(&theirs.gradients);
    assert!(theirs.keys().eq(ours.gradients.keys()));
    for (key, gradient) in &ours.gradients {
        close(key, gradient, &theirs[key], 1e-9);
    }
}

/// An unrolled network with kernels of its own for each iteration, all equal: its gradients add up to those of the loop.
#[test]
fn gradients_are_sums_over_the_iterations() {
    let mut model = Whole::trained_model();
    let (values, x) = (tensors::values(&model), input::<Whole>(BATCH));
    let mut unrolled = graph("loop_unrolled_4", |key| values.get(&rolled(key)).cloned());
    assert_eq!(unrolled.parameters().len(), values.len() + 3 * 3);
    let theirs = unrolled.train_step(&[&x], || 0, weights).unwrap();
    let ours = model.train(4.into(), &x);
    agree(&ours, &theirs);
}

/// Two iterations that record nothing and two that do, against a network of the last two alone, which gets what those of
/// the first two leave as inputs.
#[test]
fn truncated_gradients_are_those_of_the_last_iterations() {
    let mut model = Truncated::trained_model();
    let (values, x) = (tensors::values(&model), input::<Truncated>(BATCH));
    let of = |key: &str| values.get(&rolled(key)).cloned();
    let left = graph("loop_first", of).infer_all(&[&x]).unwrap();
    let theirs = graph("loop_last", of)
        .train_step(&[&x, &left[0], &left[1]], || 0, weights)
        .unwrap();
    let ours = model.train(4.into(), &x);
    // Through `image`, which every iteration sees, but not through what the first two leave.
    agree(&ours, &theirs);
    // It differs from the whole gradient, and not where there are no more iterations.
    let mut whole = Whole::trained_model();
    tensors::write(&mut whole, &values);
    let key = "steps.one.weight";
    let all = whole.train(4.into(), &x).gradients;
    assert!(
        all[key]
            .iter()
            .zip(&ours.gradients[key])
            .any(|(a, b)| (a - b).abs() > 1e-3)
    );
    let [ours, all] = [model.train(2.into(), &x), whole.train(2.into(), &x)].map(|step| step.gradients);
    assert_eq!(ours, all);
}

#[test]
fn gradients_are_those_of_finite_differences() {
    differences::<Whole>(3.into(), &[("steps", 3)]);
    let steps = nets::loop_halting::Steps { think: 3 };
    differences::<nets::loop_halting::Model<f64, Cpu>>(steps, &[("think", 3)]);
}

fn differences<M: Looped>(steps: M::Steps, named: &[(&str, usize)]) {
    let mut model = M::trained_model();
    let (values, x) = (tensors::values(&model), input::<M>(BATCH));
    let trained = model.train(steps, &x);
    let at = |key: &str, place: usize, change: f64| {
        let mut changed = values.clone();
        changed.get_mut(key).unwrap()[place] += change;
        let mut graph = graph_of(M::NAME, &changed);
        named
            .iter()
            .for_each(|(name, count)| graph.set_steps(name, *count).unwrap());
        loss(&graph.train_step(&[&x], || 0, weights).unwrap().outputs)
    };
    for (key, gradient) in &trained.gradients {
        for place in (0..gradient.len()).step_by(gradient.len().div_ceil(7)) {
            let slope = (at(key, place, 1e-5) - at(key, place, -1e-5)) / 2e-5;
            close(
                &format!("{} {key}[{place}]", M::NAME),
                &[gradient[place]],
                &[slope],
                1e-7,
            );
        }
    }
}
