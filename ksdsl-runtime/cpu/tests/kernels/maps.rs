//! Pooling, gates, joins, dropout and layout.

use crate::support::{Checked, Kernels, Rng, Worst, at_every_level, buf, cpu, wide};
use ksdsl_cpu::CpuExec;
use ksdsl_engine::exec::Exec;
use ksdsl_engine::size::{MapSize, PoolKind, PoolSize, Window};
use ksdsl_oracle::combine::{self, to_nchw, to_nhwc};
use ksdsl_oracle::{outputs_along, pool};

/// A random pooling; padding is at most half the window, so that none lies in it altogether.
fn random_pool(rng: &mut Rng) -> Option<PoolSize> {
    let input = rng.map_size();
    let kernel = [rng.between(1, 5), rng.between(1, 5)];
    let window = Window {
        kernel,
        stride: [rng.between(1, 3), rng.between(1, 3)],
        pad: [rng.between(0, kernel[0] / 2), rng.between(0, kernel[1] / 2)],
        dilation: [1, 1],
    };
    let output = MapSize {
        height: outputs_along(&window, 0, input.height)?,
        width: outputs_along(&window, 1, input.width)?,
        ..input
    };
    Some(PoolSize { input, output, window })
}

fn check_pools<E: Checked>(name: &'static str)
where
    CpuExec: Kernels<E>,
{
    let (mut rng, mut worst) = (Rng(7), Worst::of(name));
    for kind in [PoolKind::Max, PoolKind::Average] {
        let sizes: Vec<PoolSize> = (0..90).filter_map(|_| random_pool(&mut rng)).collect();
        for size in sizes {
            let (x, dy) = (rng.ties::<E>(size.input.len()), rng.values::<E>(size.output.len()));
            let nhwc = buf(&to_nhwc(size.input, &x));
            let y = cpu().pool_forward(kind, size, &nhwc).unwrap();
            worst.check(&size, &to_nchw(size.output, &y), &pool::forward(kind, size, &wide(&x)));
            let dy_nhwc = buf(&to_nhwc(size.output, &dy));
            let dx = cpu().pool_backward(kind, size, &nhwc, &dy_nhwc).unwrap();
            let want = pool::backward(kind, size, &wide(&x), &wide(&dy));
            worst.check(&size, &to_nchw(size.input, &dx), &want);

            let map = size.input;
            let dy = rng.values::<E>(map.batch * map.channels);
            let y = cpu().global_pool_forward(kind, map, &nhwc).unwrap();
            worst.check(&size, &y, &pool::global_forward(kind, map, &wide(&x)));
            let dx = cpu().global_pool_backward(kind, map, Some(&nhwc), &buf(&dy)).unwrap();
            let want = pool::global_backward(kind, map, &wide(&x), &wide(&dy));
            worst.check(&size, &to_nchw(map, &dx), &want);
        }
    }
}

#[test]
pub(crate) fn pools_match_the_oracle() {
    at_every_level(|| check_pools::<f32>("pooling"));
    check_pools::<f64>("pooling, f64");
}

fn check_combinations<E: Checked>(name: &'static str)
where
    CpuExec: Kernels<E>,
{
    let (mut rng, mut worst) = (Rng(8), Worst::of(name));
    for case in 0..40 {
        let mut size = rng.map_size();
        if case % 10 == 0 {
            size = MapSize {
                batch: 3,
                height: 30,
                width: 29,
                ..size
            };
        }
        let (a, b) = (rng.values::<E>(size.len()), rng.values::<E>(size.len()));
        let gate = rng.values::<E>(size.batch * size.channels);
        let (wa, wb, wgate) = (wide(&a), wide(&b), wide(&gate));
        let (na, nb) = (buf(&to_nhwc(size, &a)), buf(&to_nhwc(size, &b)));

        worst.check(&size, &cpu().nchw_to_nhwc(size, &buf(&a)).unwrap(), &wide(&na));
        worst.check(&size, &cpu().nhwc_to_nchw(size, &na).unwrap(), &wa);
        worst.check(&size, &cpu().add(buf(&a), &buf(&b)).unwrap(), &combine::add(&wa, &wb));
        let got = cpu().multiply(buf(&a), &buf(&b)).unwrap();
        worst.check(&size, &got, &combine::multiply(&wa, &wb));

        let y = cpu().gate_forward(size, &na, &buf(&gate), None, None).unwrap();
        worst.check(&size, &to_nchw(size, &y), &combine::gate(size, &wa, &wgate));
        let (dx, dgate, _) = cpu()
            .gate_backward(size, &na, &buf(&gate), None, nb.clone(), false)
            .unwrap();
        let want = combine::gate_backward(size, &wa, &wgate, &wb);
        worst.check(&size, &to_nchw(size, &dx), &want.0);
        worst.check(&size, &dgate, &want.1);
        check_join(size, rng.between(1, 20), &a, &mut rng, &mut worst);
    }
}

fn check_join<E: Checked>(left: MapSize, right: usize, a: &[E], rng: &mut Rng, worst: &mut Worst)
where
    CpuExec: Kernels<E>,
{
    let right = MapSize {
        channels: right,
        ..left
    };
    let both = MapSize {
        channels: left.channels + right.channels,
        ..left
    };
    let b = rng.values::<E>(right.len());
    let (na, nb) = (buf(&to_nhwc(left, a)), buf(&to_nhwc(right, &b)));
    let y = cpu()
        .concat(left.rows(), left.channels, right.channels, &na, &nb)
        .unwrap();
    let pixels = left.height * left.width;
    let widths = [left.channels, right.channels];
    let want = combine::concat(left.batch, pixels, widths, &wide(a), &wide(&b));
    worst.check(&both, &to_nchw(both, &y), &want);
    let halves = cpu().split(left.rows(), left.channels, right.channels, &y).unwrap();
    let want = combine::split(left.batch, pixels, widths, &want);
    worst.check(&both, &to_nchw(left, &halves.0), &want.0);
    worst.check(&both, &to_nchw(right, &halves.1), &want.1);
}

#[test]
pub(crate) fn combinations_match_the_oracle() {
    at_every_level(|| check_combinations::<f32>("gates, sums, products, joins"));
    check_combinations::<f64>("combinations, f64");
}

#[test]
fn dropout_matches_the_oracle_and_keeps_the_mean() {
    let ones = vec![1.0_f32; 100_000];
    let dropout = |p, seed| Exec::<f32>::dropout(&cpu(), p, seed, buf(&ones)).unwrap();
    for (p, seed) in [(0.1, 0), (0.5, 1), (0.9, u64::MAX)] {
        let y = dropout(p, seed);
        let want = combine::dropout(p, seed, &wide(&ones));
        Worst::of("dropout").check(&p, &y, &want);
        let kept = y.iter().filter(|y| **y != 0.0).count() as f64 / 1e5;
        // Five standard deviations of the share kept.
        assert!((kept - (1.0 - p)).abs() < 5.0 * (p * (1.0 - p) / 1e5).sqrt(), "{kept}");
    }
    assert!(dropout(1.0, 3).iter().all(|y| *y == 0.0));
    assert!(dropout(0.0, 3).iter().all(|y| *y == 1.0));
}

#[test]
fn dropout_of_neighbouring_seeds_differs_everywhere() {
    let ones = vec![1.0_f32; 4096];
    let mask = |seed| Exec::<f32>::dropout(&cpu(), 0.5, seed, buf(&ones)).unwrap();
    let (a, b) = (mask(10), mask(11));
    let equal = a.iter().zip(b.iter()).filter(|(a, b)| a == b).count();
    // Half agree by chance; the standard deviation of the count is 32.
    assert!(equal.abs_diff(2048) < 160, "{equal}");
}
