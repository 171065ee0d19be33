//! Attention, norms and pools on infinities, NaNs and the greatest numbers: as the oracle in `f64`, at every
//! level, and the oracle as PyTorch.

use crate::support::{Plain, at_every_level, buf, cpu_of, wide};
use ksdsl_engine::exec::Exec;
use ksdsl_engine::size::{AttentionSize, MapSize, PoolKind, PoolSize, RowSize, Window};
use ksdsl_oracle::{attention, norm, pool};

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;
const MAX: f32 = f32::MAX;

/// As many channels as fill a vector and leave a rest; each row repeats one of these.
const CHANNELS: usize = 20;

#[track_caller]
fn same(what: &str, got: &[f32], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (at, (&got, &want)) in got.iter().zip(want).enumerate() {
        let wide = f64::from(got);
        let near = (wide - want).abs() <= 1e-5 * want.abs().max(1.0);
        let right = near || wide == want || (got.is_nan() && want.is_nan());
        assert!(right, "{what}, element {at}: {got:e} for {want:e}");
    }
}

/// `torch.softmax(torch.tensor(row, dtype=torch.float64), 0)` of rows of scores, the values being the unit
/// vectors: a NaN or an infinity above makes all of the row NaN, minus infinity weighs nothing.
#[test]
fn attention_weights() {
    let rows: [([f32; 3], [f64; 3]); 6] = [
        ([INF, 0.0, 1.0], [f64::NAN; 3]),
        ([-INF; 3], [f64::NAN; 3]),
        (
            [-INF, 0.0, 1.0],
            [0.0, 0.268_941_421_369_995_16, 0.731_058_578_630_004_9],
        ),
        ([NAN, 0.0, 1.0], [f64::NAN; 3]),
        ([MAX, -MAX, 0.0], [1.0, 0.0, 0.0]),
        ([1e-40, -0.0, 0.0], [1.0 / 3.0; 3]),
    ];
    // One head of one channel: queries 1, so the keys are the scores, and each value in turn.
    let size = AttentionSize::full(1, 3, 1, 1);
    at_every_level(|| {
        for (scores, want) in rows {
            for token in 0..3 {
                let mut values = [0.0; 3];
                values[token] = 1.0;
                let [q, k, v] = [[1.0; 3], scores, values];
                let got = cpu_of::<f32>()
                    .attention_forward(size, &buf(&q), &buf(&k), &buf(&v))
                    .unwrap();
                same("attention", &got, &[want[token]; 3]);
                let oracle = attention::forward(size, &wide(&q), &wide(&k), &wide(&v));
                let oracle: Vec<f32> = oracle.iter().map(|&value| value as f32).collect();
                same("oracle", &oracle, &[want[token]; 3]);
            }
        }
    });
}

/// Rows of zeros but for one value; of equal values; denormal.
fn rows() -> Vec<f32> {
    let special = [INF, -INF, NAN, MAX, -MAX, 1e-40, -0.0];
    let one = special
        .iter()
        .flat_map(|&value| (0..CHANNELS).map(move |c| if c == 3 { value } else { 0.5 }));
    let equal = [1e20, 1e-40, -0.0].into_iter().flat_map(|value| [value; CHANNELS]);
    one.chain(equal).collect()
}

#[test]
fn layer_norms() {
    let x = rows();
    let size = RowSize {
        rows: x.len() / CHANNELS,
        channels: CHANNELS,
    };
    let (scale, shift) = ([1.5; CHANNELS], [0.25; CHANNELS]);
    let want = norm::layer_norm(size, &wide(&x), &wide(&scale), &wide(&shift), 1e-5);
    assert_eq!(want.iter().filter(|value| value.is_nan()).count(), 3 * CHANNELS);
    at_every_level(|| {
        let got = cpu_of::<f32>().layer_norm_forward(size, &buf(&x), &buf(&scale), &buf(&shift), 1e-5);
        same("layer norm", &got.unwrap().output, &want);
    });
}

/// Each column is one of the rows above; statistics of the greatest numbers are beyond `f32`, which holds them.
#[test]
fn batch_norms() {
    let rows = rows();
    let columns: Vec<&[f32]> = rows
        .chunks(CHANNELS)
        .filter(|row| row[3].abs() != MAX && row[0] != 1e20)
        .collect();
    let x: Vec<f32> = (0..CHANNELS)
        .flat_map(|row| columns.iter().map(move |column| column[row]))
        .collect();
    let (scale, shift) = (vec![1.5; columns.len()], vec![0.25; columns.len()]);
    let map = MapSize {
        batch: CHANNELS,
        height: 1,
        width: 1,
        channels: columns.len(),
    };
    let size = RowSize {
        rows: CHANNELS,
        channels: columns.len(),
    };
    let want = norm::batch_norm_train(map, &wide(&x), &wide(&scale), &wide(&shift), 1e-5);
    at_every_level(|| {
        let got = cpu_of::<f32>().plain_batch_norm_train(size, &buf(&x), &buf(&scale), &buf(&shift), 1e-5);
        let got = got.unwrap();
        same("batch norm", &got.output, &want.output);
        let finite = |mean: &f64| mean.is_finite();
        assert!(wide(&got.mean).iter().map(finite).eq(want.mean.iter().map(finite)));
    });
}

/// `x = torch.tensor(..., dtype=torch.float64, requires_grad=True)`,
/// `y = F.max_pool2d(x.view(1, 1, 1, 5), (1, 5)); y.sum().backward()`: the last NaN gets the gradient, else the
/// first of the greatest.
#[test]
fn pools() {
    let cases: [([f32; 5], f64, usize); 4] = [
        ([1.0, NAN, 2.0, NAN, 5.0], f64::NAN, 3),
        ([-INF; 5], f64::NEG_INFINITY, 0),
        ([1.0, INF, -INF, INF, MAX], f64::INFINITY, 1),
        ([-MAX, -INF, -MAX, -INF, -INF], -f64::from(MAX), 0),
    ];
    let map = |width| MapSize {
        batch: 1,
        height: 1,
        width,
        channels: CHANNELS,
    };
    let size = PoolSize {
        input: map(5),
        output: map(1),
        window: Window {
            kernel: [1, 5],
            stride: [1; 2],
            pad: [0; 2],
            dilation: [1; 2],
        },
    };
    let device = cpu_of::<f32>();
    for (x, want, place) in cases {
        let one = PoolSize {
            input: MapSize { channels: 1, ..map(5) },
            output: MapSize { channels: 1, ..map(1) },
            ..size
        };
        let oracle = pool::forward(PoolKind::Max, one, &wide(&x))[0];
        assert!(oracle == want || oracle.is_nan() && want.is_nan());
        let slopes: Vec<f64> = (0..5).map(|at| f64::from(u8::from(at == place))).collect();
        assert_eq!(pool::backward(PoolKind::Max, one, &wide(&x), &[1.0]), slopes);
        let wider: Vec<f32> = x.iter().flat_map(|&x| [x; CHANNELS]).collect();
        let slopes: Vec<f64> = slopes.iter().flat_map(|&slope| [slope; CHANNELS]).collect();
        let (x, dy) = (buf(&wider), buf(&[1.0; CHANNELS]));
        at_every_level(|| {
            same(
                "pool",
                &device.pool_forward(PoolKind::Max, size, &x).unwrap(),
                &[want; CHANNELS],
            );
            let whole = device.global_pool_forward(PoolKind::Max, map(5), &x).unwrap();
            same("global pool", &whole, &[want; CHANNELS]);
            same(
                "gradient",
                &device.pool_backward(PoolKind::Max, size, &x, &dy).unwrap(),
                &slopes,
            );
            let whole = device
                .global_pool_backward(PoolKind::Max, map(5), Some(&x), &dy)
                .unwrap();
            same("global gradient", &whole, &slopes);
        });
    }
}
