//! Networks with loops against what PyTorch makes of their exports: the files in `data/loops` were written by
//!
//! ```text
//! python tests/parity/loops.py
//! ```

use crate::nets;
use crate::run::Looped;
use ksdsl_runtime::prelude::*;
use ksdsl_tests::parity::read;
use ksdsl_tests::tensors::{self, Values};
use std::path::Path;

/// What a value may be off.
const WITHIN: f64 = 1e-11;

/// The counts that a key names: `inner=1,outer=2`; the others are the maxima.
fn counts(key: &str, named: &[(&'static str, usize)]) -> Vec<(&'static str, usize)> {
    let given = |name: &str| {
        let mut pairs = key.split(',').filter_map(|pair| pair.split_once('='));
        let count = pairs.find(|(loops, _)| *loops == name)?.1;
        Some(count.parse().expect("a count"))
    };
    named
        .iter()
        .map(|(name, most)| (*name, given(name).unwrap_or(*most)))
        .collect()
}

fn agrees<M: Looped>() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/loops").join(M::NAME);
    let stored: Values<f64> = read(&path.with_extension("safetensors")).unwrap();
    let below = |prefix: &str| -> Values<f64> {
        let found = stored.iter().filter_map(|(key, values)| {
            let rest = key.strip_prefix(prefix)?;
            Some((rest.to_owned(), values.clone()))
        });
        found.collect()
    };
    let mut model = M::trained_model();
    tensors::write(&mut model, &below("weight."));
    let x = &stored["input"];
    for (key, weights) in below("loss.") {
        crate::close(&key, &crate::line(weights.len()), &weights, 1e-15);
    }
    let most = M::named(M::Steps::default());
    let mut compared = 0;
    for (key, expected) in below("infer.") {
        let (of, output) = key.rsplit_once(".output.").unwrap();
        let steps = M::steps(&counts(of, &most));
        let found = &model.infer(steps, x)[output.parse::<usize>().unwrap()];
        crate::close(&format!("{} infer.{key}", M::NAME), found, &expected, WITHIN);
        compared += 1;
    }
    for (key, expected) in below("train.") {
        let (of, outcome) = key.split_once('.').unwrap();
        let steps = M::steps(&counts(of, &most));
        let trained = model.train(steps, x);
        let found = match outcome.split_once('.') {
            None => &trained.input,
            Some(("output", at)) => &trained.outputs[at.parse::<usize>().unwrap()],
            Some((_, tensor)) => &trained.gradients[tensor],
        };
        crate::close(&format!("{} train.{key}", M::NAME), found, &expected, WITHIN);
        compared += 1;
    }
    assert!(compared >= 3, "{}", M::NAME);
}

#[test]
fn exported_loops_agree() {
    agrees::<nets::loop_whole::Model<f64, Cpu>>();
    agrees::<nets::loop_truncated::Model<f64, Cpu>>();
    agrees::<nets::loop_halting::Model<f64, Cpu>>();
    agrees::<nets::loop_nested::Model<f64, Cpu>>();
}
