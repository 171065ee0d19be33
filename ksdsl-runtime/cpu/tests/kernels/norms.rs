//! Batch and layer normalisation.

use crate::support::{Checked, Kernels, Plain, Rng, Worst, at_every_level, buf, cpu, cpu_of, wide};
use ksdsl_cpu::CpuExec;
use ksdsl_engine::exec::Exec;
use ksdsl_engine::size::{MapSize, RowSize};
use ksdsl_oracle::combine::{to_nchw, to_nhwc};
use ksdsl_oracle::norm;

const EPS: f64 = 1e-5;

/// `values + before`: kernels add gradients to what is there.
fn plus(values: &[f64], before: &[f64]) -> Vec<f64> {
    values
        .iter()
        .zip(before)
        .map(|(value, before)| value + before)
        .collect()
}

fn check_batch_norm<E: Checked>(size: MapSize, rng: &mut Rng, worst: &mut Worst)
where
    CpuExec: Kernels<E>,
{
    let rows = RowSize {
        rows: size.rows(),
        channels: size.channels,
    };
    let mut x = rng.values::<E>(size.len());
    x.iter_mut().for_each(|x| *x = *x * E::of(2.0) + E::of(3.0));
    let dy = rng.values::<E>(size.len());
    let (scale, shift) = (rng.values::<E>(size.channels), rng.values::<E>(size.channels));
    let (nhwc_x, nhwc_dy) = (buf(&to_nhwc(size, &x)), buf(&to_nhwc(size, &dy)));
    let (wx, wdy, wscale, wshift) = (wide(&x), wide(&dy), wide(&scale), wide(&shift));
    let (scale, shift) = (buf(&scale), buf(&shift));

    let got = cpu()
        .plain_batch_norm_train(rows, &nhwc_x, &scale, &shift, EPS)
        .unwrap();
    let want = norm::batch_norm_train(size, &wx, &wscale, &wshift, EPS);
    worst.check(&size, &to_nchw(size, &got.output), &want.output);
    worst.check(&size, &got.mean, &want.mean);
    worst.check(&size, &got.variance, &want.variance);

    let (mut dscale, mut dshift) = (scale.clone(), shift.clone());
    let (mean, variance) = (&got.mean, &got.variance);
    let dx = cpu()
        .plain_batch_norm_backward(
            rows,
            &nhwc_x,
            mean,
            variance,
            &scale,
            EPS,
            &nhwc_dy,
            &mut dscale,
            &mut dshift,
        )
        .unwrap();
    let back = norm::batch_norm_backward(size, &wx, &wscale, EPS, &wdy);
    // With few rows the terms of dx nearly cancel, and what is left is rounding.
    if size.rows() > 4 {
        worst.check(&size, &to_nchw(size, &dx), &back.dx);
    }
    worst.check(&size, &dscale, &plus(&back.dscale, &wscale));
    worst.check(&size, &dshift, &plus(&back.dshift, &wshift));

    let y = cpu().plain_batch_norm_infer(rows, nhwc_x, &shift, mean, &scale, &shift, EPS);
    let wvariance = wide(mean);
    let want = norm::batch_norm_infer(size, &wx, &wshift, &wvariance, &wscale, &wshift, EPS);
    worst.check(&size, &to_nchw(size, &y.unwrap()), &want);
    let got = cpu().blend_statistics(&shift, variance, 0.1, 1.25).unwrap();
    worst.check(
        &size,
        &got,
        &norm::blend_statistics(&wshift, &wide(variance), 0.1, 1.25),
    );
}

fn check_layer_norm<E: Checked>(size: RowSize, rng: &mut Rng, worst: &mut Worst)
where
    CpuExec: Kernels<E>,
{
    let (x, dy) = (
        rng.values::<E>(size.rows * size.channels),
        rng.values(size.rows * size.channels),
    );
    let (scale, shift) = (rng.values::<E>(size.channels), rng.values::<E>(size.channels));
    let (wscale, wshift) = (wide(&scale), wide(&shift));
    let (x, dy, scale, shift) = (buf(&x), buf(&dy), buf(&scale), buf(&shift));
    let got = cpu().layer_norm_forward(size, &x, &scale, &shift, EPS).unwrap();
    let want = norm::layer_norm(size, &wide(&x), &wscale, &wshift, EPS);
    worst.check(&size, &got.output, &want);
    let (mut dscale, mut dshift) = (scale.clone(), shift.clone());
    let (mean, inverse) = (&got.mean, &got.inverse_std);
    let dx = cpu()
        .layer_norm_backward(size, &x, mean, inverse, &scale, &dy, &mut dscale, &mut dshift)
        .unwrap();
    let back = norm::layer_norm_backward(size, &wide(&x), &wscale, EPS, &wide(&dy));
    // As above, with few channels.
    if size.channels > 4 {
        worst.check(&size, &dx, &back.dx);
    }
    worst.check(&size, &dscale, &plus(&back.dscale, &wscale));
    worst.check(&size, &dshift, &plus(&back.dshift, &wshift));
}

fn many<E: Checked>(names: [&'static str; 2])
where
    CpuExec: Kernels<E>,
{
    let mut rng = Rng(5);
    let (mut batch, mut layer) = (Worst::of(names[0]), Worst::of(names[1]));
    for case in 0..60 {
        let mut size = rng.map_size();
        if case % 12 == 0 {
            // Enough rows for several parts.
            size = MapSize {
                batch: 4,
                height: 40,
                width: 31,
                ..size
            };
        }
        check_batch_norm::<E>(size, &mut rng, &mut batch);
        let rows = RowSize {
            rows: size.rows(),
            channels: size.channels,
        };
        check_layer_norm::<E>(rows, &mut rng, &mut layer);
    }
}

#[test]
pub(crate) fn norms_match_the_oracle() {
    at_every_level(|| many::<f32>(["batch norm", "layer norm"]));
    many::<f64>(["batch norm, f64", "layer norm, f64"]);
}

/// A mean of 1000 standard deviations must not spoil the variance.
#[test]
fn batch_norm_survives_a_large_mean() {
    let size = MapSize {
        batch: 4,
        height: 8,
        width: 8,
        channels: 3,
    };
    let rows = RowSize {
        rows: size.rows(),
        channels: 3,
    };
    let x: Vec<f32> = Rng(6).values::<f32>(size.len()).iter().map(|x| x + 1000.0).collect();
    let ones = buf(&[1.0_f32; 3]);
    let got = cpu_of::<f32>()
        .plain_batch_norm_train(rows, &buf(&to_nhwc(size, &x)), &ones, &ones, EPS)
        .unwrap();
    let want = norm::batch_norm_train(size, &wide(&x), &[1.0; 3], &[1.0; 3], EPS);
    Worst::of("variance at mean 1000").check(&size, &got.variance, &want.variance);
}
