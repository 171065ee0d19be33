//! Attention and the embedding of positions.

use crate::support::{Checked, Kernels, Rng, Worst, at_every_level, buf, cpu, cpu_of, wide};
use ksdsl_cpu::CpuExec;
use ksdsl_cpu::{CpuBuf, Level};
use ksdsl_engine::exec::Exec;
use ksdsl_engine::size::{AttentionSize, MapSize, RowSize};
use ksdsl_oracle::attention;
use ksdsl_oracle::combine::{to_nchw, to_nhwc};

/// The queries as a map, one row high.
pub(crate) fn map(size: AttentionSize) -> MapSize {
    MapSize {
        batch: size.batch,
        height: 1,
        width: size.queries,
        channels: size.channels,
    }
}

/// The keys as a map.
pub(crate) fn key_map(size: AttentionSize) -> MapSize {
    MapSize {
        width: size.keys,
        channels: size.key_channels(),
        ..map(size)
    }
}

fn check<E: Checked>(size: AttentionSize, rng: &mut Rng, worst: &mut Worst)
where
    CpuExec: Kernels<E>,
{
    let maps = [map(size), key_map(size), key_map(size), map(size)];
    let nchw = maps.map(|map| rng.values::<E>(map.len()));
    let nhwc: [CpuBuf<E>; 4] = std::array::from_fn(|at| buf(&to_nhwc(maps[at], &nchw[at])));
    let [q, k, v, dy] = &nhwc;
    let y = cpu().attention_forward(size, q, k, v).unwrap();
    let gradients = cpu().attention_backward(size, q, k, v, dy).unwrap();
    let [q, k, v, dy] = nchw.map(|values| wide(&values));
    let what = (size, Level::available());
    worst.check(&what, &to_nchw(map(size), &y), &attention::forward(size, &q, &k, &v));
    let wanted = attention::backward(size, &q, &k, &v, &dy);
    for ((got, want), map) in gradients.iter().zip(wanted).zip(maps) {
        // With one key all weights are 1, and the gradients of queries and keys 0 but for rounding.
        if size.keys > 1 || want.iter().any(|want| *want != 0.0) {
            worst.check(&what, &to_nchw(map, got), &want);
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
        let size = AttentionSize::full(batch, tokens, channels, heads);
        check::<E>(size, &mut rng, &mut worst);
    }
}

#[test]
pub(crate) fn attention_matches_the_oracle() {
    at_every_level(|| many::<f32>("attention"));
    many::<f64>("attention, f64");
}

/// Causal, with keys of other numbers than queries, and with fewer heads of keys.
fn masked_and_grouped<E: Checked>(name: &'static str)
where
    CpuExec: Kernels<E>,
{
    let (mut worst, mut rng) = (Worst::of(name), Rng(44));
    let full = AttentionSize::full;
    let causal = |size| AttentionSize { causal: true, ..size };
    let mut sizes = vec![
        causal(full(2, 1, 6, 2)),
        // Several blocks of queries: those of one see other numbers of keys than panels have columns.
        causal(full(1, 259, 34, 2)),
        causal(full(1, 600, 8, 1)),
        AttentionSize {
            keys: 1,
            ..full(2, 7, 6, 3)
        },
        AttentionSize {
            keys: 300,
            ..full(1, 150, 40, 2)
        },
        AttentionSize {
            key_heads: 2,
            ..causal(full(2, 270, 102, 6))
        },
    ];
    for _ in 0..30 {
        let (key_heads, group) = (rng.between(1, 3), rng.between(1, 3));
        let heads = key_heads * group;
        let depth = rng.one_of(&[1, 2, 3, 8, 15, 16, 17, 40]);
        let size = AttentionSize {
            key_heads,
            ..full(rng.between(1, 3), rng.between(1, 70), heads * depth, heads)
        };
        let keys = rng.between(1, 70);
        sizes.push(rng.one_of(&[causal(size), AttentionSize { keys, ..size }]));
    }
    for size in sizes {
        check::<E>(size, &mut rng, &mut worst);
    }
}

#[test]
pub(crate) fn masked_and_grouped_attention_matches_the_oracle() {
    at_every_level(|| masked_and_grouped::<f32>("attention, masked"));
    masked_and_grouped::<f64>("attention, masked, f64");
}

/// The last positions alone, with the keys of all, which may have room for more: the last rows of causal attention.
fn last_positions<E: Checked>(bound: f64)
where
    CpuExec: Kernels<E>,
{
    let mut rng = Rng(46);
    for (tokens, last, depth, key_heads, group) in
        [(9, 1, 5, 2, 3), (70, 1, 16, 1, 1), (130, 7, 34, 3, 2), (5, 5, 8, 1, 2)]
    {
        let heads = key_heads * group;
        let size = AttentionSize {
            key_heads,
            causal: true,
            ..AttentionSize::full(1, tokens, heads * depth, heads)
        };
        let q = rng.values::<E>(size.len());
        let [k, v] = [(); 2].map(|()| rng.values::<E>(size.key_len()));
        let all = cpu_of::<E>()
            .attention_forward(size, &buf(&q), &buf(&k), &buf(&v))
            .unwrap();
        let queries = &q[(tokens - last) * heads * depth..];
        let more = [k, v].map(|rows| buf(&[rows, rng.values::<E>(3 * key_heads * depth)].concat()));
        let next = AttentionSize { queries: last, ..size };
        let ours = cpu_of::<E>()
            .attention_to_past(next, &buf(queries), &more[0], &more[1])
            .unwrap();
        let theirs = &all[(tokens - last) * heads * depth..];
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(theirs) {
            let distance = (ours.wide() - theirs.wide()).abs();
            assert!(distance <= bound, "{tokens} tokens, {last} last: {ours:?} {theirs:?}");
        }
    }
}

#[test]
fn attention_of_the_last_positions_is_that_of_all() {
    at_every_level(|| last_positions::<f32>(2e-6));
    last_positions::<f64>(1e-14);
}

/// In causal attention the output at a position does not depend on later positions, not even in rounding, and neither do
/// the gradients of queries; what comes later gets no gradient from it.
#[test]
fn causal_attention_does_not_see_the_future() {
    at_every_level(|| {
        let size = AttentionSize {
            causal: true,
            ..AttentionSize::full(1, 300, 32, 2)
        };
        let (mut rng, changed) = (Rng(45), 123);
        let values = [(); 4].map(|()| rng.values::<f32>(size.len()));
        let other = values.each_ref().map(|values| {
            let later = values[changed * 32..].iter().map(|x| 5.0 * x - 1.0);
            values[..changed * 32].iter().copied().chain(later).collect::<Vec<_>>()
        });
        let run = |values: &[Vec<f32>; 4]| {
            let [q, k, v, dy] = values.each_ref().map(|values| buf(values));
            let y = cpu_of::<f32>().attention_forward(size, &q, &k, &v).unwrap();
            let [dq, ..] = cpu_of::<f32>().attention_backward(size, &q, &k, &v, &dy).unwrap();
            [y, dq].map(|values| values[..changed * 32].iter().map(|x| x.to_bits()).collect::<Vec<_>>())
        };
        assert!(run(&values) == run(&other));
        let [q, k, v, dy] = values.each_ref().map(|values| buf(values));
        let mut early = dy.clone();
        early[changed * 32..].fill(0.0);
        let [_, dk, dv] = cpu_of::<f32>().attention_backward(size, &q, &k, &v, &early).unwrap();
        assert!(
            [dk, dv]
                .iter()
                .all(|values| values[changed * 32..].iter().all(|x| *x == 0.0))
        );
    });
}

/// Scores up to some ten thousands: `exp` of them alone would be infinite, or zero for all keys.
#[test]
fn attention_survives_large_scores() {
    let size = AttentionSize::full(2, 33, 32, 2);
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
    let size = AttentionSize::full(1, 5, 3, 1);
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
