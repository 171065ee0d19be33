//! Training under the rounding of integers, against PyTorch's fake quantisation and against the integers themselves.

use super::net;
use ksdsl::checkpoint::entries;
use ksdsl::ir::Network;
use ksdsl::quantize::{Ranges, Training, infer, quantize, quantized};
use ksdsl::steps::{Options, Program, program};

/// Numbers whose quotients by the largest are no halves of 127ths, which PyTorch rounds to even.
fn numbers(count: usize, a: usize, b: usize, factor: f32) -> Vec<f32> {
    (0..count)
        .map(|at| ((at * a + b) % 17) as f32 / 8.0 - 1.013)
        .map(|value| value * factor)
        .collect()
}

fn steps(network: &Network, weights: &[Vec<f32>]) -> Program {
    program(network, Some(weights), &Options::default()).expect("a program")
}

/// PyTorch 2, with `fq` of the ranges below as `torch.fake_quantize_per_tensor_affine` and `fk` as
/// `torch.fake_quantize_per_channel_affine` with scales of `w.abs().amax(1) / 127`; `k`, `h` and `x` are the numbers below:
///
/// ```python
/// K, H, a = fk(k), fk(h), fq(x, -1.02, 1.0)
/// u = fq(F.relu(F.conv2d(a, K, padding=1)), 0.0, 1.1)
/// u = fq(F.relu(F.conv2d(u, K, padding=1)), 0.0, 0.7)
/// u = fq(F.relu(F.conv2d(u, K, padding=1)), 0.0, 0.9)
/// p = fq(fq(u + a, -0.3, 1.2).mean((2, 3)), -0.05, 0.5)
/// y = fq(p @ H.T, -0.2, 0.1)
/// (y * torch.tensor([[1.0, -2.0, 0.5]])).sum().backward()
/// ```
#[test]
fn gradients_are_those_of_pytorch() {
    let network = net(
        "net a { input 2 x 5 x 5; residual { s: repeat 3 { conv(2, kernel = 3, pad = 1); relu } }
         global_avg_pool; linear(3, bias = false)
         share s[*].conv }",
    );
    let weights = vec![numbers(36, 5, 3, 0.37), numbers(6, 7, 2, 0.61)];
    let input = numbers(50, 3, 1, 1.0);
    let folded = steps(&network, &weights);
    let mut ranges = Ranges::new(&folded);
    ranges.0[folded.inputs[0].buffer] = [-1.02, 1.0];
    let of_steps = [
        [-1.02, 1.0],
        [0.0, 1.1],
        [0.0, 0.7],
        [0.0, 0.9],
        [-0.3, 1.2],
        [-0.05, 0.5],
        [-0.2, 0.1],
    ];
    assert_eq!(folded.steps.len(), of_steps.len(), "{:?}", folded.steps);
    for (step, range) in folded.steps.iter().zip(of_steps) {
        ranges.0[step.output] = range;
    }
    let training = Training::new(&network, weights, &ranges).expect("it trains");
    let mut outputs = Vec::new();
    let found = training.gradients(&[&input], |found| {
        outputs = found.to_vec();
        vec![vec![1.0, -2.0, 0.5]]
    });
    let close = |found: &[f32], expected: &[f32]| {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 3e-6, "{found} instead of {expected}");
        }
    };
    close(&outputs[0], Y);
    close(&found[0], K);
    close(&found[1], H);
}
const Y: &[f32] = &[-0.063529, 0.069412, -0.007059];
const K: &[f32] = &[
    -0.011688, -0.055292, -0.117052, -0.008177, 0.009757, -0.113916, 0.020747, -0.026719, -0.051264, -0.107635,
    0.009397, -0.024007, -0.137794, -0.07074, 0.027007, -0.08483, -0.054728, -0.004177, -0.012997, 0.013064, -0.006405,
    -0.025957, -0.019172, 0.002904, 0.014437, -0.014047, -0.005152, 0.019872, 0.020465, -0.008152, 0.007292, 0.032866,
    0.005895, 0.020107, -0.000256, 0.023757,
];
const H: &[f32] = &[0.161765, 0.172549, -0.323529, -0.345098, 0.080882, 0.086275];

const NETS: &[&str] = &[
    "net norms { input 3 x 6 x 6; s: repeat 4 { residual { conv(3, kernel = 3, pad = 1); batch_norm; relu } }
     max_pool(2); flatten; linear(4); share s[*].conv }",
    "net tables { input 3 x 6 x 6; conv(4, kernel = 3, pad = 1); batch_norm; gelu; depthwise(kernel = 3, pad = 1); sigmoid
     global_avg_pool; linear(4) }",
];

/// Tensors in the order of checkpoints: kernels at random, norms near the identity.
fn weights(network: &Network) -> Vec<Vec<f32>> {
    let of = |(at, entry): (usize, ksdsl::checkpoint::Entry)| {
        let count = entry.shape.iter().product::<u64>() as usize;
        match entry.key.ends_with("running_var") {
            true => vec![0.7; count],
            false => numbers(count, 5, at, 0.4),
        }
    };
    entries(network).into_iter().enumerate().map(of).collect()
}

/// What training sees is what the integers give, but for tables and factors of 16 bits: within 2 units of the output.
#[test]
fn outputs_in_training_are_those_of_the_integers() {
    for text in NETS {
        let network = net(text);
        let weights = weights(&network);
        let folded = steps(&network, &weights);
        let inputs: Vec<Vec<f32>> = (0..20).map(|at| numbers(108, 3, at, 1.0)).collect();
        let mut ranges = Ranges::new(&folded);
        inputs.iter().for_each(|input| ranges.add(&folded, &[input]));
        let of = quantize(&folded, &ranges).expect("integers");
        let training = Training::new(&network, weights, &ranges).expect("it trains");
        let [x, y] = [folded.inputs[0].buffer, folded.outputs[0].buffer].map(|id| of.scales[id]);
        for input in &inputs {
            let integers = infer(&of, &[&quantized(input, x)]).remove(0);
            let seen = training.outputs(&[input]).remove(0);
            for (integer, seen) in integers.iter().zip(&seen) {
                let units = f64::from(*seen) / y.scale + f64::from(y.zero) - f64::from(*integer);
                assert!(units.abs() < 2.01, "{}: {units}", network.name);
            }
        }
    }
}

/// With norms, a step against the gradients lowers the loss, and what is not a kernel stays as it was.
#[test]
fn kernels_alone_learn() {
    for text in NETS {
        let network = net(text);
        let before = weights(&network);
        let folded = steps(&network, &before);
        let input = numbers(108, 3, 1, 1.0);
        let mut ranges = Ranges::new(&folded);
        ranges.add(&folded, &[&input]);
        let mut training = Training::new(&network, before.clone(), &ranges).expect("it trains");
        let target = [0.3, -0.2, 0.1, 0.0];
        let distance = |outputs: &[f32]| outputs.iter().zip(target).map(|(y, t)| (y - t) * (y - t)).sum::<f32>();
        let first = distance(&training.outputs(&[&input])[0]);
        for _ in 0..60 {
            let gradients = training.gradients(&[&input], |outputs| {
                vec![outputs[0].iter().zip(target).map(|(y, t)| y - t).collect()]
            });
            training.update(|at, tensor| {
                let both = tensor.iter_mut().zip(&gradients[at]);
                both.for_each(|(value, gradient)| *value -= 0.01 * gradient);
            });
            let observed = |program: &Program| {
                let mut ranges = Ranges::new(program);
                ranges.add(program, &[&input]);
                ranges
            };
            training.observe(observed).expect("finite tensors");
        }
        let last = distance(&training.outputs(&[&input])[0]);
        assert!(last < 0.5 * first, "{}: {first} became {last}", network.name);
        let trained: Vec<usize> = training.trained().collect();
        for (at, (before, after)) in before.iter().zip(training.weights()).enumerate() {
            assert_eq!(before != after, trained.contains(&at), "{}: {at}", network.name);
        }
    }
}

#[test]
fn what_has_no_integers_does_not_train() {
    let network = net("net a { input 2 x 4 x 4; flatten; linear(3); softmax }");
    let weights = weights(&network);
    let ranges = Ranges::new(&steps(&network, &weights));
    let error = Training::new(&network, weights, &ranges)
        .expect_err("softmax")
        .to_string();
    assert!(error.contains("`softmax` cannot be quantised"), "{error}");
}
