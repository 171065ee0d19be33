//! Initial values.

use super::Planned;
use crate::graph::walk::size;
use crate::ir::Init;
use rand::Rng;
use rand_chacha::ChaCha12Rng;
use rand_distr::{Distribution, StandardNormal};

/// The initial values of a tensor, as the runtime draws them with a device's generator (rand's `StdRng`).
pub(super) fn initial(tensor: &Planned, rng: &mut ChaCha12Rng) -> Vec<f32> {
    let len = tensor.shape.iter().copied().map(size).product();
    let mut values =
        |value: &mut dyn FnMut(&mut ChaCha12Rng) -> f64| -> Vec<f32> { (0..len).map(|_| value(rng) as f32).collect() };
    match tensor.init {
        Init::Constant(value) => values(&mut |_| value.0),
        Init::Uniform(bound) => values(&mut |rng| bound.0 * (2.0 * rng.r#gen::<f64>() - 1.0)),
        Init::Normal(deviation) => values(&mut |rng| deviation.0 * Distribution::<f64>::sample(&StandardNormal, rng)),
    }
}
