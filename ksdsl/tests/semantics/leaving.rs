//! Loops that each token leaves when its own logit says so, against the whole pass and the formulas.

use super::decode::{decoder, decodes, near, network, scaled, tokens};
use ksdsl::graph::{Graph, Parameter};
use ksdsl_cpu::CpuExec;

/// A loop that each token leaves when the newest position says so.
const EXIT: &str = "
net leaving {
    input 8 of 7
    embedding(8); position_embedding
    think: repeat up to 4 {
        residual { layer_norm; attention(2, causal = true) }
        residual { layer_norm; linear(12); gelu; linear(8) }
        keep state
        token(7); halt: linear(1)
        exit stop
        from state
    }
    residual { layer_norm; attention(2, causal = true) }
    linear(7)
}
";

/// The network whose tokens leave the loop when this is above 0 everywhere.
fn leaving(bias: impl Fn(usize) -> f64) -> Graph<f64, CpuExec> {
    let values = |parameter: &Parameter| match parameter.key.as_str() {
        "think.halt.weight" => Some((0..parameter.len).map(&bias).collect()),
        "think.halt.bias" => Some(vec![bias(usize::MAX)]),
        _ => scaled(parameter, 1.0),
    };
    Graph::new(network(EXIT, "leaving", &[]), CpuExec, values).unwrap()
}

/// Tokens that never leave are those of the whole pass; tokens that all leave after the first iteration are those of a loop
/// of one.
#[test]
fn tokens_leave_a_loop_early() {
    let never = leaving(|at| if at == usize::MAX { -1e3 } else { 0.0 });
    decodes("never", &never, 7);
    let at_once = leaving(|at| if at == usize::MAX { 1e3 } else { 0.0 });
    let mut once = leaving(|_| 0.0);
    once.set_steps("think", 1).unwrap();
    let tokens = tokens(8, 7);
    let (mut ours, mut theirs) = (decoder(&at_once), decoder(&once));
    for token in tokens {
        near("at once", &ours.step(token).unwrap(), &theirs.step(token).unwrap());
        assert_eq!(ours.iterations(), 1);
    }
}

/// Where tokens leave at different times, each later one sees the last keys and values that an earlier one has: the same as
/// attention written out.
#[test]
fn tokens_that_left_are_seen_by_their_last_keys() {
    let some = leaving(|at| {
        if at == usize::MAX {
            0.05
        } else {
            [0.9, -0.8, 0.7, -1.0, 0.2, 0.6, -0.9, 0.3][at]
        }
    });
    let run = |pieces: usize| {
        let (mut decoder, mut counts, mut last) = (decoder(&some), Vec::new(), Vec::new());
        for piece in tokens(8, 7).chunks(pieces) {
            last = decoder.prefill(piece).unwrap();
            counts.push(decoder.iterations());
        }
        (last, counts)
    };
    let (one_by_one, counts) = run(1);
    let (at_once, sum) = run(8);
    assert_eq!(one_by_one, at_once, "pieces do not matter, not even in rounding");
    assert_eq!(counts.iter().sum::<usize>(), sum[0]);
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(least < most, "tokens leave at different times: {counts:?}");
    near("by hand", &by_hand(&some, &tokens(8, 7), &counts), &one_by_one);
}

type Rows = Vec<Vec<f64>>;

/// The network `leaving` from its formulas, token by token, with the iterations that each token runs.
fn by_hand(graph: &Graph<f64, CpuExec>, tokens: &[usize], counts: &[usize]) -> Vec<f64> {
    let get = |key: &str| graph.values(key).unwrap().unwrap_or_else(|| panic!("no {key}"));
    let linear = |key: &str, x: &[f64]| -> Vec<f64> {
        let (weight, bias) = (get(&format!("{key}.weight")), get(&format!("{key}.bias")));
        let row = |(row, bias): (&[f64], &f64)| row.iter().zip(x).map(|(a, b)| a * b).sum::<f64>() + bias;
        weight.chunks_exact(x.len()).zip(&bias).map(row).collect()
    };
    let norm = |key: &str, x: &[f64]| -> Vec<f64> {
        let mean = x.iter().sum::<f64>() / 8.0;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 8.0;
        let (scale, shift) = (get(&format!("{key}.weight")), get(&format!("{key}.bias")));
        let normed = x.iter().map(|x| (x - mean) / (variance + 1e-5).sqrt());
        normed
            .zip(scale.iter().zip(&shift))
            .map(|(x, (scale, shift))| x * scale + shift)
            .collect()
    };
    let attend = |q: &[f64], kept: &[Rows; 2]| -> Vec<f64> {
        let head = |head: usize| {
            let part = |row: &[f64]| row[4 * head..4 * head + 4].to_vec();
            let score = |key: &Vec<f64>| part(q).iter().zip(part(key)).map(|(a, b)| a * b).sum::<f64>() / 2.0;
            let weights: Vec<f64> = kept[0].iter().map(|key| score(key).exp()).collect();
            let sum: f64 = weights.iter().sum();
            let of = move |c: usize| {
                weights
                    .iter()
                    .zip(&kept[1])
                    .map(|(w, v)| w / sum * v[4 * head + c])
                    .sum::<f64>()
            };
            (0..4).map(of).collect::<Vec<f64>>()
        };
        (0..2).flat_map(head).collect()
    };
    let add = |x: &mut Vec<f64>, y: &[f64]| x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
    // Keys and values of each iteration, and those of the attention after the loop.
    let mut kept: Vec<[Rows; 2]> = vec![Default::default(); 5];
    let mut logits = Vec::new();
    let gelu = |x: f64| x * normal(x);
    for (position, (token, count)) in tokens.iter().zip(counts).enumerate() {
        let row = |key: &str, at: usize| get(key)[8 * at..8 * at + 8].to_vec();
        let mut x = row("embedding.weight", *token);
        add(&mut x, &row("position_embedding.weight", position));
        let attention = |x: &mut Vec<f64>, keys: &mut Vec<[Rows; 2]>, places: std::ops::Range<usize>, path: &str| {
            let normed = norm(&format!("{path}layer_norm"), x);
            let [q, k, v] = ["q", "k", "v"].map(|of| linear(&format!("{path}attention.{of}"), &normed));
            let first = places.start;
            for place in places {
                keys[place][0].push(k.clone());
                keys[place][1].push(v.clone());
            }
            let y = attend(&q, &keys[first]);
            add(x, &linear(&format!("{path}attention.out"), &y));
        };
        for iteration in 0..*count {
            // The last iteration of this token is what later ones see at those it does not run.
            let places = if iteration + 1 == *count {
                iteration..4
            } else {
                iteration..iteration + 1
            };
            attention(&mut x, &mut kept, places, "think.");
            let hidden = linear("think.linear", &norm("think.layer_norm_2", &x));
            let hidden: Vec<f64> = hidden.into_iter().map(gelu).collect();
            let y = linear("think.linear_2", &hidden);
            add(&mut x, &y);
        }
        attention(&mut x, &mut kept, 4..5, "");
        logits = linear("linear", &x);
    }
    logits
}

/// The normal distribution, by Simpson's rule.
fn normal(x: f64) -> f64 {
    let density = |t: f64| (-t * t / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let (steps, width) = (2000, x / 2000.0);
    let inner: f64 = (1..steps)
        .map(|at| density(f64::from(at) * width) * if at % 2 == 0 { 2.0 } else { 4.0 })
        .sum();
    0.5 + width / 3.0 * (density(0.0) + inner + density(x))
}
