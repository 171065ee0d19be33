//! Attention and the embedding of positions.

use crate::support::{Checked, Kernels, Rng, Worst, at_every_level, buf, cpu, cpu_of, wide};
use ksdsl_cpu::CpuExec;
use ksdsl_cpu::{CpuBuf, Level};
use ksdsl_engine::exec::Exec;
use ksdsl_engine::size::{AttentionSize, MapSize, RowSize};
use ksdsl_oracle::attention;
use ksdsl_oracle::combine::{to_nchw, to_nhwc};

/// The tokens as a map, one row high.
pub(crate) fn map(size: AttentionSize) -> MapSize {
    MapSize {
        batch: size.batch,
        height: 1,
        width: size.tokens,
        channels: size.channels,
    }
}

fn check<E: Checked>(size: AttentionSize, factor: f64, rng: &mut Rng, worst: &mut Worst)
where
    CpuExec: Kernels<E>,
{
    let mut values = || -> Vec<E> { rng.values::<E>(size.len()).iter().map(|&x| x * E::of(factor)).collect() };
    let nchw = [(); 4].map(|()| values());
    let nhwc: [CpuBuf<E>; 4] = nchw.each_ref().map(|values| buf(&to_nhwc(map(size), values)));
    let [q, k, v, dy] = &nhwc;
    let y = cpu().attention_forward(size, q, k, v).unwrap();
    let gradients = cpu().attention_backward(size, q, k, v, dy).unwrap();
    let [q, k, v, dy] = nchw.map(|values| wide(&values));
    let what = (size, Level::available());
    worst.check(&what, &to_nchw(map(size), &y), &attention::forward(size, &q, &k, &v));
    let wanted = attention::backward(size, &q, &k, &v, &dy);
    for (got, want) in gradients.iter().zip(wanted) {
        // With one token all weights are 1, and the gradients of queries and keys 0 but for rounding.
        if size.tokens > 1 || want.iter().any(|want| *want != 0.0) {
            worst.check(&what, &to_nchw(map(size), got), &want);
        }
    }
}

/// One token, one head, one channel a head, and numbers that no vector divides.
fn many<E: Checked>(name: &'static str)
where
    CpuExec: Kernels<E>,
{
    let mut worst = Worst::of(name);
    let mut sizes: Vec<[usize; 4]> = vec![
        [1, 1, 1, 1],
        [1, 1, 6, 2],
        [2, 16, 64, 4],
        [1, 17, 48, 1],
        [3, 5, 21, 7],
        // Several blocks of queries, the last one shorter.
        [1, 200, 36, 2],
        [2, 259, 208, 13],
    ];
    let mut rng = Rng(40);
    for _ in 0..20 {
        let heads = rng.between(1, 4);
        let depth = rng.one_of(&[1, 2, 3, 8, 15, 16, 17, 40]);
        sizes.push([rng.between(1, 3), rng.between(1, 70), heads * depth, heads]);
    }
    for &[batch, tokens, channels, heads] in &sizes {
        let size = AttentionSize {
            batch,
            tokens,
            channels,
            heads,
        };
        check::<E>(size, 1.0, &mut rng, &mut worst);
    }
}

#[test]
pub(crate) fn attention_matches_the_oracle() {
    at_every_level(|| many::<f32>("attention"));
    many::<f64>("attention, f64");
}

/// Scores up to some ten thousands: `exp` of them alone would be infinite, or zero for all keys.
#[test]
fn attention_survives_large_scores() {
    let size = AttentionSize {
        batch: 2,
        tokens: 33,
        channels: 32,
        heads: 2,
    };
    for sign in [1.0_f32, -1.0] {
        let mut rng = Rng(41);
        // Every query points along the keys or against them, so that all scores of a row are large.
        let direction: Vec<f32> = rng.values(32);
        let along = |factor: f32, values: Vec<f32>| -> CpuBuf<f32> {
            let pairs = values.iter().zip(direction.iter().cycle());
            buf(&pairs
                .map(|(value, along)| factor * (along + 0.01 * value))
                .collect::<Vec<_>>())
        };
        let q = along(100.0 * sign, rng.values(size.len()));
        let k = along(100.0, rng.values(size.len()));
        let (v, dy) = (buf(&rng.values::<f32>(size.len())), buf(&rng.values::<f32>(size.len())));
        let y = cpu_of::<f32>().attention_forward(size, &q, &k, &v).unwrap();
        let [dq, dk, dv] = cpu_of::<f32>().attention_backward(size, &q, &k, &v, &dy).unwrap();
        assert!(
            [&y, &dq, &dk, &dv]
                .iter()
                .all(|values| values.iter().all(|x| x.is_finite()))
        );
        let [wq, wk, wv, wdy] = [&q, &k, &v, &dy].map(|values| wide(&to_nchw(map(size), values)));
        let want = attention::forward(size, &wq, &wk, &wv);
        // A score of 10 000 is rounded by some thousandths, which is the relative error of its weight.
        let distance = crate::support::distance(&to_nchw(map(size), &y), &want);
        assert!(distance < 2e-2, "{distance:e}");
        let [.., want] = attention::backward(size, &wq, &wk, &wv, &wdy);
        let distance = crate::support::distance(&to_nchw(map(size), &dv), &want);
        assert!(distance < 2e-2, "{distance:e}");
    }
}

/// Equal keys have equal weights: the output is the mean of the values.
#[test]
fn equal_keys_give_the_mean() {
    let size = AttentionSize {
        batch: 1,
        tokens: 5,
        channels: 3,
        heads: 1,
    };
    let mut rng = Rng(42);
    let (q, v) = (rng.values::<f64>(15), rng.values::<f64>(15));
    let k = buf(&[0.5; 15]);
    let y = cpu_of::<f64>().attention_forward(size, &buf(&q), &k, &buf(&v)).unwrap();
    for (at, y) in y.iter().enumerate() {
        let mean = (0..5).map(|token| v[3 * token + at % 3]).sum::<f64>() / 5.0;
        assert!((y - mean).abs() < 1e-14, "{y} is not {mean}");
    }
}

#[test]
fn embeddings_are_added_to_every_image() {
    let mut rng = Rng(43);
    for (rows, channels) in [(1, 1), (3, 7), (5, 1000), (2, 40_000)] {
        let (x, row) = (rng.values::<f32>(rows * channels), rng.values::<f32>(channels));
        let size = RowSize { rows, channels };
        let y = cpu_of::<f32>().add_to_rows(size, buf(&x), &buf(&row)).unwrap();
        let want = x.iter().zip(row.iter().cycle()).map(|(x, more)| x + more);
        assert!(y.iter().copied().eq(want), "{size:?}");
    }
}
