//! The same bits for any number of threads, and in every run.

use crate::activations::ALL;
use crate::support::{Plain, Rng, buf, cpu_of, pixels};
use ksdsl_cpu::{CpuBuf, with_threads};
use ksdsl_engine::exec::Exec;
use ksdsl_engine::size::{AttentionSize, ConvSize, LinearSize, MapSize, PoolKind, PoolSize, RowSize, Window};
use ksdsl_oracle::outputs_along;
use std::num::NonZeroUsize;

/// Large enough for several tasks and parts of every kernel.
const MAP: MapSize = MapSize {
    batch: 6,
    height: 33,
    width: 31,
    channels: 24,
};

fn convolutions(rng: &mut Rng, results: &mut Vec<CpuBuf<f32>>) {
    let x = buf(&rng.values::<f32>(MAP.len()));
    for (groups, kernel, stride) in [(1, 3, 1), (3, 3, 2), (24, 5, 1), (1, 1, 1)] {
        let window = Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            pad: [kernel / 2; 2],
            dilation: [1; 2],
        };
        let output = MapSize {
            height: outputs_along(&window, 0, MAP.height).unwrap(),
            width: outputs_along(&window, 1, MAP.width).unwrap(),
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
        let weight = buf(&rng.values(24 * 24 / groups * kernel * kernel));
        let dy = buf(&rng.values(output.len()));
        let mut dweight = weight.clone();
        cpu_of::<f32>()
            .plain_conv_backward_weight(size, &x, &dy, &mut dweight)
            .unwrap();
        results.push(cpu_of::<f32>().plain_conv_forward(size, &x, &weight, None).unwrap());
        results.push(cpu_of::<f32>().plain_conv_backward_data(size, &weight, &dy).unwrap());
        results.push(dweight);
        let pool = PoolSize {
            input: MAP,
            output,
            window,
        };
        for kind in [PoolKind::Max, PoolKind::Average] {
            results.push(cpu_of::<f32>().pool_forward(kind, pool, &x).unwrap());
            results.push(cpu_of::<f32>().pool_backward(kind, pool, &x, &dy).unwrap());
        }
    }
    let size = LinearSize {
        rows: 3000,
        inputs: 40,
        outputs: 30,
    };
    let (x, dy) = (buf(&rng.values(3000 * 40)), buf(&rng.values(3000 * 30)));
    let weight = buf(&rng.values(1200));
    let mut dweight = weight.clone();
    cpu_of::<f32>()
        .plain_conv_backward_weight(pixels(size), &x, &dy, &mut dweight)
        .unwrap();
    results.push(
        cpu_of::<f32>()
            .plain_conv_forward(pixels(size), &x, &weight, None)
            .unwrap(),
    );
    results.push(
        cpu_of::<f32>()
            .plain_conv_backward_data(pixels(size), &weight, &dy)
            .unwrap(),
    );
    results.push(dweight);
}

fn norms(rng: &mut Rng, results: &mut Vec<CpuBuf<f32>>) {
    let size = RowSize {
        rows: MAP.rows(),
        channels: MAP.channels,
    };
    let (x, dy) = (buf(&rng.values::<f32>(MAP.len())), buf(&rng.values(MAP.len())));
    let (scale, shift) = (buf(&rng.values(24)), buf(&rng.values(24)));
    let (mut a, mut b, mut c, mut d) = (scale.clone(), shift.clone(), scale.clone(), shift.clone());
    let batch = cpu_of::<f32>()
        .plain_batch_norm_train(size, &x, &scale, &shift, 1e-5)
        .unwrap();
    let (mean, variance) = (&batch.mean, &batch.variance);
    let dx = cpu_of::<f32>().plain_batch_norm_backward(size, &x, mean, variance, &scale, 1e-5, &dy, &mut a, &mut b);
    results.push(dx.unwrap());
    let layer = cpu_of::<f32>()
        .layer_norm_forward(size, &x, &scale, &shift, 1e-5)
        .unwrap();
    let (mean, inverse) = (&layer.mean, &layer.inverse_std);
    let dx = cpu_of::<f32>().layer_norm_backward(size, &x, mean, inverse, &scale, &dy, &mut c, &mut d);
    results.push(dx.unwrap());
    results.extend([a, b, c, d, batch.output, batch.mean, batch.variance, layer.output]);
}

fn maps(rng: &mut Rng, results: &mut Vec<CpuBuf<f32>>) {
    let (x, dy) = (buf(&rng.values::<f32>(MAP.len())), buf(&rng.values(MAP.len())));
    let gate = buf(&rng.values(MAP.batch * MAP.channels));
    for kind in ALL {
        results.push(cpu_of::<f32>().activation_forward(kind, x.clone()).unwrap());
        results.push(cpu_of::<f32>().activation_backward(kind, &x, dy.clone()).unwrap());
    }
    for kind in [PoolKind::Max, PoolKind::Average] {
        results.push(cpu_of::<f32>().global_pool_forward(kind, MAP, &x).unwrap());
        results.push(
            cpu_of::<f32>()
                .global_pool_backward(kind, MAP, Some(&x), &gate)
                .unwrap(),
        );
    }
    let (dx, dgate, _) = cpu_of::<f32>()
        .gate_backward(MAP, &x, &gate, None, dy.clone(), false)
        .unwrap();
    results.extend([dx, dgate]);
    let mut dbias = buf(&[0.0; 24]);
    let size = RowSize {
        rows: MAP.rows(),
        channels: 24,
    };
    cpu_of::<f32>().bias_backward(size, &dy, &mut dbias).unwrap();
    results.push(dbias);
    results.push(cpu_of::<f32>().add(x.clone(), &dy).unwrap());
    results.push(cpu_of::<f32>().dropout(0.3, 7, x).unwrap());
}

fn attention(rng: &mut Rng, results: &mut Vec<CpuBuf<f32>>) {
    for (batch, tokens, key_heads) in [(5, 49, 3), (1, 300, 3), (2, 200, 1)] {
        let size = AttentionSize {
            key_heads,
            causal: key_heads == 1,
            ..AttentionSize::full(batch, tokens, 48, 3)
        };
        let [q, dy] = [(); 2].map(|()| buf(&rng.values::<f32>(size.len())));
        let [k, v] = [(); 2].map(|()| buf(&rng.values::<f32>(size.key_len())));
        results.push(cpu_of::<f32>().attention_forward(size, &q, &k, &v).unwrap());
        results.extend(cpu_of::<f32>().attention_backward(size, &q, &k, &v, &dy).unwrap());
        let rows = RowSize {
            rows: batch * tokens,
            channels: 48,
        };
        results.push(
            cpu_of::<f32>()
                .add_to_rows(rows, q, &buf(&rng.values::<f32>(48)))
                .unwrap(),
        );
    }
}

fn tables(rng: &mut Rng, results: &mut Vec<CpuBuf<f32>>) {
    // Some tasks of rows, some ids of each and many of one.
    let size = RowSize {
        rows: 1000,
        channels: 72,
    };
    let ids: Vec<f32> = (0..700).map(|_| rng.between(0, 999) as f32).chain([17.0; 40]).collect();
    let (ids, table) = (buf(&ids), buf(&rng.values::<f32>(72_000)));
    let mut sums = buf(&rng.values::<f32>(72_000));
    let dy = cpu_of::<f32>().gather_rows(size, &table, &ids).unwrap();
    cpu_of::<f32>().scatter_add_rows(size, &dy, &ids, &mut sums).unwrap();
    results.extend([dy, sums]);
}

fn everything() -> Vec<Vec<u32>> {
    let (mut rng, mut results) = (Rng(30), Vec::new());
    convolutions(&mut rng, &mut results);
    norms(&mut rng, &mut results);
    maps(&mut rng, &mut results);
    attention(&mut rng, &mut results);
    tables(&mut rng, &mut results);
    let bits = |values: &CpuBuf<f32>| values.iter().map(|value| value.to_bits()).collect();
    results.iter().map(bits).collect()
}

#[test]
fn results_do_not_depend_on_threads_or_runs() {
    let with = |threads| {
        let threads = NonZeroUsize::new(threads).unwrap();
        with_threads(threads, everything)
    };
    let one = with(1);
    for threads in [1, 2, 3, 8] {
        let other = with(threads);
        for (index, (one, other)) in one.iter().zip(&other).enumerate() {
            assert!(one == other, "result {index} differs with {threads} threads");
        }
    }
}
