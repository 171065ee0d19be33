//! Batch and layer normalisation.
//!
//! Batch normalisation works per channel `c` over the `batch * height * width` pixels of an NCHW
//! map, layer normalisation per row of a `[rows][channels]` matrix. With `xhat = (x - mean) / std`
//! and `std = sqrt(variance + eps)`, variance biased: `y = xhat * scale + shift`, and, with
//! `g = dy * scale`, `dx = (g - mean(g) - xhat * mean(g * xhat)) / std`.

use ksdsl_engine::Real;
use ksdsl_engine::size::{MapSize, RowSize};

/// The output of batch normalisation in training, with its statistics per channel.
pub struct BatchNorm<E> {
    /// The normalised, scaled and shifted map, NCHW.
    pub output: Vec<E>,
    /// Mean per channel.
    pub mean: Vec<E>,
    /// Biased variance per channel.
    pub variance: Vec<E>,
}

/// Gradients of a normalisation.
pub struct NormGradients<E> {
    /// With respect to the input.
    pub dx: Vec<E>,
    /// With respect to the scale.
    pub dscale: Vec<E>,
    /// With respect to the shift.
    pub dshift: Vec<E>,
}

/// The elements of channel `c` of an NCHW map.
fn channel(size: MapSize, c: usize) -> impl Iterator<Item = usize> + Clone {
    let pixels = size.height * size.width;
    (0..size.batch).flat_map(move |n| (0..pixels).map(move |p| (n * size.channels + c) * pixels + p))
}

fn mean_of<E: Real>(values: impl Iterator<Item = E>) -> E {
    let (sum, count) = values.fold((E::zero(), 0), |(sum, count), value| (sum + value, count + 1));
    sum / E::of(f64::from(count))
}

/// Mean and biased variance, in two passes.
fn moments<E: Real>(values: impl Iterator<Item = E> + Clone) -> (E, E) {
    let mean = mean_of(values.clone());
    (mean, mean_of(values.map(|value| (value - mean) * (value - mean))))
}

/// Batch normalisation with the statistics of the batch.
pub fn batch_norm_train<E: Real>(size: MapSize, x: &[E], scale: &[E], shift: &[E], eps: f64) -> BatchNorm<E> {
    let (mean, variance): (Vec<E>, Vec<E>) = (0..size.channels)
        .map(|c| moments(channel(size, c).map(|at| x[at])))
        .unzip();
    let output = batch_norm_infer(size, x, &mean, &variance, scale, shift, eps);
    BatchNorm { output, mean, variance }
}

/// Batch normalisation with given statistics.
pub fn batch_norm_infer<E: Real>(
    size: MapSize,
    x: &[E],
    mean: &[E],
    variance: &[E],
    scale: &[E],
    shift: &[E],
    eps: f64,
) -> Vec<E> {
    let mut y = vec![E::zero(); x.len()];
    for c in 0..size.channels {
        let std = (variance[c] + E::of(eps)).sqrt();
        for at in channel(size, c) {
            y[at] = (x[at] - mean[c]) / std * scale[c] + shift[c];
        }
    }
    y
}

/// The gradients of [`batch_norm_train`].
pub fn batch_norm_backward<E: Real>(size: MapSize, x: &[E], scale: &[E], eps: f64, dy: &[E]) -> NormGradients<E> {
    let mut dx = vec![E::zero(); x.len()];
    let (mut dscale, mut dshift) = (Vec::new(), Vec::new());
    for c in 0..size.channels {
        let (mean, variance) = moments(channel(size, c).map(|at| x[at]));
        let std = (variance + E::of(eps)).sqrt();
        let xhat = |at: usize| (x[at] - mean) / std;
        let mean_g = mean_of(channel(size, c).map(|at| dy[at] * scale[c]));
        let mean_gx = mean_of(channel(size, c).map(|at| dy[at] * scale[c] * xhat(at)));
        for at in channel(size, c) {
            dx[at] = (dy[at] * scale[c] - mean_g - xhat(at) * mean_gx) / std;
        }
        dscale.push(channel(size, c).map(|at| dy[at] * xhat(at)).sum());
        dshift.push(channel(size, c).map(|at| dy[at]).sum());
    }
    NormGradients { dx, dscale, dshift }
}

/// The running statistics after a batch: `running * (1 - momentum) + batch * factor * momentum`.
pub fn blend_statistics<E: Real>(running: &[E], batch: &[E], momentum: f64, factor: f64) -> Vec<E> {
    let blend =
        |(&running, &batch): (&E, &E)| running * E::of(1.0 - momentum) + batch * E::of(factor) * E::of(momentum);
    running.iter().zip(batch).map(blend).collect()
}

/// Layer normalisation of each row.
pub fn layer_norm<E: Real>(size: RowSize, x: &[E], scale: &[E], shift: &[E], eps: f64) -> Vec<E> {
    let mut y = Vec::new();
    for row in x.chunks(size.channels) {
        let (mean, variance) = moments(row.iter().copied());
        let std = (variance + E::of(eps)).sqrt();
        for (c, &x) in row.iter().enumerate() {
            y.push((x - mean) / std * scale[c] + shift[c]);
        }
    }
    y
}

/// The gradients of [`layer_norm`].
pub fn layer_norm_backward<E: Real>(size: RowSize, x: &[E], scale: &[E], eps: f64, dy: &[E]) -> NormGradients<E> {
    let mut dx = Vec::new();
    let (mut dscale, mut dshift) = (vec![E::zero(); size.channels], vec![E::zero(); size.channels]);
    for (x, dy) in x.chunks(size.channels).zip(dy.chunks(size.channels)) {
        let (mean, variance) = moments(x.iter().copied());
        let std = (variance + E::of(eps)).sqrt();
        let xhat = |c: usize| (x[c] - mean) / std;
        let mean_g = mean_of((0..size.channels).map(|c| dy[c] * scale[c]));
        let mean_gx = mean_of((0..size.channels).map(|c| dy[c] * scale[c] * xhat(c)));
        for c in 0..size.channels {
            dx.push((dy[c] * scale[c] - mean_g - xhat(c) * mean_gx) / std);
            dscale[c] += dy[c] * xhat(c);
            dshift[c] += dy[c];
        }
    }
    NormGradients { dx, dscale, dshift }
}
