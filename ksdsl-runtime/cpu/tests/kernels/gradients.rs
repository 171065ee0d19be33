//! The oracle's gradients against central differences in `f64`.

use crate::activations::ALL;
use crate::support::{Rng, distance};
use ksdsl_engine::size::{AttentionSize, ConvSize, LinearSize, MapSize, PoolKind, PoolSize, RowSize, Window};
use ksdsl_oracle::{activation, attention, combine, conv, linear, norm, outputs_along, pool};

/// Step of the differences: their error is about `STEP^2` and `1e-16 / STEP`.
const STEP: f64 = 1e-5;
const TOLERANCE: f64 = 1e-6;
const EPS: f64 = 1e-3;

/// Checks that `gradient` is that of `sum(dy * f(x))` at `x`.
fn check(what: &str, x: &[f64], dy: &[f64], gradient: &[f64], f: impl Fn(&[f64]) -> Vec<f64>) {
    let loss = |x: &[f64]| -> f64 { f(x).iter().zip(dy).map(|(y, dy)| y * dy).sum() };
    let mut x = x.to_vec();
    let slopes: Vec<f64> = (0..x.len())
        .map(|at| {
            let middle = x[at];
            x[at] = middle + STEP;
            let above = loss(&x);
            x[at] = middle - STEP;
            let below = loss(&x);
            x[at] = middle;
            (above - below) / (2.0 * STEP)
        })
        .collect();
    let distance = distance(gradient, &slopes);
    assert!(distance <= TOLERANCE, "{what}: {distance:e} from the differences");
}

const MAP: MapSize = MapSize {
    batch: 2,
    height: 4,
    width: 5,
    channels: 4,
};

fn map_values(rng: &mut Rng) -> Vec<f64> {
    rng.values(MAP.len())
}

#[test]
fn convolution() {
    let mut rng = Rng(20);
    for (groups, kernel, stride, pad, dilation, channels) in [
        (1, [3, 3], [1, 1], [1, 1], [1, 1], 3),
        (1, [1, 1], [2, 1], [0, 0], [1, 1], 5),
        (2, [2, 3], [2, 1], [1, 2], [1, 2], 6),
        (4, [3, 2], [1, 3], [2, 0], [2, 1], 4),
        (4, [5, 5], [1, 1], [2, 2], [1, 1], 8),
    ] {
        let window = Window {
            kernel,
            stride,
            pad,
            dilation,
        };
        let output = MapSize {
            height: outputs_along(&window, 0, MAP.height).unwrap(),
            width: outputs_along(&window, 1, MAP.width).unwrap(),
            channels,
            ..MAP
        };
        let size = ConvSize {
            input: MAP,
            output,
            window,
            groups,
            algorithm: Default::default(),
            unit: None,
        };
        let (x, dy) = (map_values(&mut rng), rng.values(output.len()));
        let weight = rng.values(channels * MAP.channels / groups * kernel[0] * kernel[1]);
        let bias = rng.values(channels);
        let forward = |x: &[f64], w: &[f64], b: &[f64]| conv::forward(size, x, w, Some(b));
        let dx = conv::backward_data(size, &weight, &dy);
        check("conv x", &x, &dy, &dx, |x| forward(x, &weight, &bias));
        let dweight = conv::backward_weight(size, &x, &dy);
        check("conv weight", &weight, &dy, &dweight, |weight| {
            forward(&x, weight, &bias)
        });
        let dbias = conv::backward_bias(size, &dy);
        check("conv bias", &bias, &dy, &dbias, |bias| forward(&x, &weight, bias));
    }
}

#[test]
fn linear_layer() {
    let mut rng = Rng(21);
    let size = LinearSize {
        rows: 3,
        inputs: 5,
        outputs: 4,
    };
    let (x, weight, bias) = (rng.values(15), rng.values(20), rng.values(4));
    let dy = rng.values(12);
    let forward = |x: &[f64], w: &[f64], b: &[f64]| linear::forward(size, x, w, Some(b));
    let dx = linear::backward_data(size, &weight, &dy);
    check("linear x", &x, &dy, &dx, |x| forward(x, &weight, &bias));
    let dweight = linear::backward_weight(size, &x, &dy);
    check("linear weight", &weight, &dy, &dweight, |weight| {
        forward(&x, weight, &bias)
    });
    let dbias = linear::backward_bias(size, &dy);
    check("linear bias", &bias, &dy, &dbias, |bias| forward(&x, &weight, bias));
}

#[test]
fn activations() {
    let mut rng = Rng(22);
    let x: Vec<f64> = rng.values::<f64>(200).iter().map(|x| x * 6.0).collect();
    let dy = rng.values(200);
    for kind in ALL {
        let dx = activation::backward(kind, &x, &dy);
        check("activation", &x, &dy, &dx, |x| activation::forward(kind, x));
    }
}

#[test]
fn batch_norm() {
    let mut rng = Rng(23);
    let (x, dy) = (map_values(&mut rng), map_values(&mut rng));
    let (scale, shift) = (rng.values(4), rng.values(4));
    let back = norm::batch_norm_backward(MAP, &x, &scale, EPS, &dy);
    let forward = |x: &[f64], scale: &[f64], shift: &[f64]| norm::batch_norm_train(MAP, x, scale, shift, EPS).output;
    check("batch norm x", &x, &dy, &back.dx, |x| forward(x, &scale, &shift));
    check("batch norm scale", &scale, &dy, &back.dscale, |scale| {
        forward(&x, scale, &shift)
    });
    check("batch norm shift", &shift, &dy, &back.dshift, |shift| {
        forward(&x, &scale, shift)
    });
}

#[test]
fn layer_norm() {
    let mut rng = Rng(24);
    let size = RowSize { rows: 5, channels: 7 };
    let (x, dy): (Vec<f64>, Vec<f64>) = (rng.values(35), rng.values(35));
    let (scale, shift) = (rng.values(7), rng.values(7));
    let back = norm::layer_norm_backward(size, &x, &scale, EPS, &dy);
    let forward = |x: &[f64], scale: &[f64], shift: &[f64]| norm::layer_norm(size, x, scale, shift, EPS);
    check("layer norm x", &x, &dy, &back.dx, |x| forward(x, &scale, &shift));
    check("layer norm scale", &scale, &dy, &back.dscale, |scale| {
        forward(&x, scale, &shift)
    });
    check("layer norm shift", &shift, &dy, &back.dshift, |shift| {
        forward(&x, &scale, shift)
    });
}

#[test]
fn attention() {
    let mut rng = Rng(27);
    let full = AttentionSize::full;
    for size in [
        full(2, 5, 6, 2),
        full(1, 7, 4, 1),
        full(1, 3, 3, 3),
        full(2, 1, 4, 2),
        AttentionSize {
            causal: true,
            ..full(2, 5, 6, 2)
        },
        AttentionSize {
            keys: 3,
            ..full(2, 4, 6, 3)
        },
        AttentionSize {
            key_heads: 2,
            causal: true,
            ..full(1, 4, 8, 4)
        },
        AttentionSize {
            keys: 5,
            key_heads: 1,
            ..full(2, 3, 6, 3)
        },
    ] {
        let [q, dy] = [(); 2].map(|()| rng.values::<f64>(size.len()));
        let [k, v] = [(); 2].map(|()| rng.values::<f64>(size.key_len()));
        let [dq, dk, dv] = attention::backward(size, &q, &k, &v, &dy);
        check("attention q", &q, &dy, &dq, |q| attention::forward(size, q, &k, &v));
        check("attention k", &k, &dy, &dk, |k| attention::forward(size, &q, k, &v));
        check("attention v", &v, &dy, &dv, |v| attention::forward(size, &q, &k, v));
    }
}

#[test]
fn pools() {
    let mut rng = Rng(25);
    for (kernel, stride, pad) in [
        ([2, 2], [2, 2], [0, 0]),
        ([3, 3], [2, 1], [1, 1]),
        ([1, 4], [1, 3], [0, 2]),
    ] {
        let window = Window {
            kernel,
            stride,
            pad,
            dilation: [1, 1],
        };
        let output = MapSize {
            height: outputs_along(&window, 0, MAP.height).unwrap(),
            width: outputs_along(&window, 1, MAP.width).unwrap(),
            ..MAP
        };
        let size = PoolSize {
            input: MAP,
            output,
            window,
        };
        let (x, dy) = (map_values(&mut rng), rng.values(output.len()));
        let per_channel = rng.values(MAP.batch * MAP.channels);
        for kind in [PoolKind::Max, PoolKind::Average] {
            let dx = pool::backward(kind, size, &x, &dy);
            check("pool", &x, &dy, &dx, |x| pool::forward(kind, size, x));
            let dx = pool::global_backward(kind, MAP, &x, &per_channel);
            check("global pool", &x, &per_channel, &dx, |x| {
                pool::global_forward(kind, MAP, x)
            });
        }
    }
}

#[test]
fn combinations() {
    let mut rng = Rng(26);
    let (x, dy) = (map_values(&mut rng), map_values(&mut rng));
    let gate = rng.values(MAP.batch * MAP.channels);
    let (dx, dgate) = combine::gate_backward(MAP, &x, &gate, &dy);
    check("gate x", &x, &dy, &dx, |x| combine::gate(MAP, x, &gate));
    check("gate", &gate, &dy, &dgate, |gate| combine::gate(MAP, &x, gate));
    let other = map_values(&mut rng);
    check("add", &x, &dy, &dy, |x| combine::add(x, &other));
    let dx = combine::multiply(&dy, &other);
    check("multiply", &x, &dy, &dx, |x| combine::multiply(x, &other));
    let dx = combine::dropout(0.4, 9, &dy);
    check("dropout", &x, &dy, &dx, |x| combine::dropout(0.4, 9, x));

    let pixels = MAP.height * MAP.width;
    let twice = rng.values(2 * MAP.len());
    let (da, db) = combine::split(MAP.batch, pixels, [4, 4], &twice);
    let join = |a: &[f64], b: &[f64]| combine::concat(MAP.batch, pixels, [4, 4], a, b);
    check("concat left", &x, &twice, &da, |x| join(x, &other));
    check("concat right", &other, &twice, &db, |other| join(&x, other));
}
