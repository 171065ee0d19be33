//! Loops of random steps against repetitions whose iterations have kernels of their own, all equal, on the graph executor.

use crate::{close, noise, weights};
use ksdsl::compile::{Options, compile};
use ksdsl::graph::Graph;
use ksdsl::source::Source;
use ksdsl_cpu::CpuExec;
use ksdsl_files::random::SplitMix64;
use std::collections::BTreeMap;

/// Steps that keep a map of four channels and change no running statistics.
const STEPS: &[&str] = &[
    "conv(4, kernel = 3, pad = 1)",
    "depthwise(3, pad = 1, bias = true)",
    "pointwise(4, bias = true)",
    "conv_transpose(4, kernel = 3, pad = 1)",
    "residual { pointwise(6); gelu; pointwise(4) }",
    "residual(project = always, norm = false) { conv(4, kernel = 3, pad = 1); silu }",
    "layer_norm",
    "group_norm(2)",
    "rms_norm",
    "prelu",
    "layer_scale(init = 0.5)",
    "squeeze_excite(2)",
    "residual { attention(2) }",
    "concat { path { slice(0, 2); tanh } path { pointwise(2) } }",
    "multiply { path { pointwise(4) } path { global_avg_pool; linear(4); sigmoid } }",
    "add(start)",
    "add(state); keep new; tanh; set state; from new",
    "from state; pointwise(4); set state",
    "keep first; softmax; subtract(first); set state",
    "seq { conv(4, kernel = 1); shared_block }",
];

/// A network whose body runs so often, as a loop or a repetition, that ends with what was set and what came out.
fn text(body: &str, head: &str) -> String {
    format!(
        "block shared_block {{ pointwise(4); gelu }}
        net n {{
            input 4 x 5 x 4
            conv(4, kernel = 3, pad = 1); tanh
            keep start
            keep state
            {head} {{ {body}; conv(4, kernel = 3, pad = 1); tanh }}
            add(state, start)
            global_avg_pool
            linear(3)
        }}"
    )
}

fn graph(text: &str, values: &mut dyn FnMut(&str, usize) -> Vec<f64>) -> Graph<f64, CpuExec> {
    let mut compilation = compile(&Source::new("n.ksn", text), &Options::default());
    assert!(!compilation.has_errors(), "{text}: {:?}", compilation.diagnostics);
    let network = compilation.networks.remove(0);
    Graph::new(network, CpuExec, |parameter| {
        Some(values(&parameter.key, parameter.len))
    })
    .unwrap()
}

/// The key that a tensor of an iteration has in the loop.
fn rolled(key: &str) -> String {
    match key.split_once('.') {
        Some(("steps", rest)) => format!("steps.{}", rest.split_once('.').expect("an iteration").1),
        _ => key.to_owned(),
    }
}

#[test]
fn loops_are_repetitions_with_equal_kernels() {
    let mut random = SplitMix64(7);
    let mut below = |count: usize| (random.draw() % count as u64) as usize;
    let x = noise(0.3, 3 * 4 * 5 * 4);
    for case in 0..40 {
        // Each step is among those of the first cases.
        let steps = [
            STEPS[case % STEPS.len()],
            STEPS[below(STEPS.len())],
            STEPS[below(STEPS.len())],
        ];
        let steps = steps.map(|step| format!("seq {{ {step} }}"));
        let (body, count) = (steps.join("; "), 1 + below(4));
        let mut values = BTreeMap::new();
        let mut looped = graph(&text(&body, "steps: repeat up to 5"), &mut |key, len| {
            let made: Vec<f64> = noise(key.len() as f64 + case as f64, len)
                .iter()
                .map(|x| 0.7 * x)
                .collect();
            values.insert(key.to_owned(), made.clone());
            made
        });
        looped.set_steps("steps", count).unwrap();
        let mut unrolled = graph(&text(&body, &format!("steps: repeat {count}")), &mut |key, _| {
            values[&rolled(key)].clone()
        });
        let what = format!("{body}, {count} times");
        close(&what, &looped.infer(&x).unwrap(), &unrolled.infer(&x).unwrap(), 1e-12);
        let ours = looped.train_step(&[&x], || 0, weights).unwrap();
        let theirs = unrolled.train_step(&[&x], || 0, weights).unwrap();
        close(&what, &ours.outputs[0], &theirs.outputs[0], 1e-12);
        close(&what, &ours.inputs[0], &theirs.inputs[0], 1e-9);
        let mut sums: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (key, gradient) in theirs.gradients {
            let sum = sums.entry(rolled(&key)).or_insert_with(|| vec![0.0; gradient.len()]);
            sum.iter_mut().zip(gradient).for_each(|(sum, more)| *sum += more);
        }
        assert!(sums.keys().eq(ours.gradients.keys()), "{what}");
        for (key, gradient) in &ours.gradients {
            close(&format!("{what}: {key}"), gradient, &sums[key], 1e-9);
        }
    }
}
