//! Exits: an item that has stopped keeps its bits whatever the others do, and a loop ends when all have stopped.

use crate::run::{Looped, input};
use crate::{bits, nets, same_bits};
use ksdsl_runtime::prelude::*;
use ksdsl_tests::tensors;
use std::time::{Duration, Instant};

type Model = nets::loop_halting::Model<f64, Cpu>;

/// Items of the tests.
const ITEMS: usize = 8;

/// A model whose items stop after different numbers of iterations: the bias of the logit is moved to their middle.
fn model() -> Model {
    let mut model = Model::trained_model();
    let x = input::<Model>(ITEMS);
    let mut logits = model.train(2.into(), &x).outputs.remove(1);
    logits.sort_by(f64::total_cmp);
    tensors::change(&mut model, |key, values: &mut [f64]| {
        if key == "think.linear.bias" {
            values[0] -= (logits[ITEMS / 2 - 1] + logits[ITEMS / 2]) / 2.0;
        }
    });
    model
}

fn item(x: &[f64], at: usize) -> &[f64] {
    &x[at * Model::ITEM..][..Model::ITEM]
}

/// How often an item runs: until its logit is above zero, at most six times. Training passes stop nothing.
fn iterations(model: &mut Model, x: &[f64]) -> usize {
    let mut stops = |count: usize| model.train(count.into(), x).outputs[1][0] > 0.0;
    (1..6).find(|count| stops(*count)).unwrap_or(6)
}

#[test]
fn items_stop_where_their_logit_is_above_zero() {
    let (mut model, x) = (model(), input::<Model>(ITEMS));
    let batch = model.infer(6.into(), &x);
    let mut seen = Vec::new();
    for at in 0..ITEMS {
        let (alone, count) = (item(&x, at), iterations(&mut model, item(&x, at)));
        seen.push(count);
        // The last iteration that it runs decides; further ones change nothing.
        let expected = model.infer(count.into(), alone);
        for outcome in [
            model.infer(6.into(), alone),
            vec![batch[0][3 * at..][..3].to_vec(), vec![batch[1][at]]],
        ] {
            same_bits(&format!("item {at}, classes"), &outcome[0], &expected[0]);
            same_bits(&format!("item {at}, exit"), &outcome[1], &expected[1]);
        }
        let halted = expected[1][0] > 0.0;
        assert!(halted || count == 6, "item {at}");
    }
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() > 1, "all items stop at once: {seen:?}");
}

/// Also beside items without a number in them, and in another place of the batch.
#[test]
fn other_items_do_not_matter() {
    let (model, x) = (model(), input::<Model>(ITEMS));
    let alone = model.infer(6.into(), item(&x, 2));
    let mut hostile = vec![f64::NAN; Model::ITEM];
    hostile.extend(vec![1e300; Model::ITEM]);
    hostile.extend_from_slice(item(&x, 2));
    hostile.extend_from_slice(item(&x, 5));
    let batch = model.infer(6.into(), &hostile);
    assert_eq!(bits(&batch[0][6..9]), bits(&alone[0]));
    assert_eq!(bits(&batch[1][2..3]), bits(&alone[1]));
}

/// Training runs the count that is given, and its exit is that of the last iteration.
#[test]
fn training_stops_nothing() {
    let (mut model, x) = (model(), input::<Model>(ITEMS));
    let [one, six] = [1, 6].map(|count: usize| model.train(count.into(), &x).outputs);
    assert!(one[1].iter().any(|logit| *logit > 0.0) || six[1].iter().any(|logit| *logit > 0.0));
    for at in 0..ITEMS {
        assert_ne!(one[0][3 * at], six[0][3 * at], "item {at}");
    }
}

/// A loop of 60,000 iterations that all items leave at once takes less time than a thousand iterations.
#[test]
fn a_loop_ends_when_all_items_have_stopped() {
    let mut model = Cpu::seed_from_u64(1).build_module::<nets::loop_long::Builder, f64>();
    let x: Tensor<(usize, Const<64>), f64, _> = Cpu::default().tensor_from_vec(vec![0.5; 8 * 64], (8, Const));
    let mut time = |bias: f64, count: usize| -> Duration {
        tensors::change(&mut model, |key, values: &mut [f64]| {
            if key == "steps.halt.bias" {
                values[0] = bias;
            }
        });
        let start = Instant::now();
        model.with_steps(count).try_forward(x.clone()).unwrap();
        start.elapsed()
    };
    time(-1e9, 10);
    let thousand = time(-1e9, 1000);
    // The least of several: others may hold one up.
    let left = (0..5).map(|_| time(1e9, 60_000)).min().unwrap();
    assert!(left < thousand, "{left:?} {thousand:?}");
}
