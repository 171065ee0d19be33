//! Noise: drawn numbers that are added.

use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Loops, View, operand};
use crate::memo;
use crate::real::Real;
use crate::tape::Tape;
use std::ops::Range;
use std::rc::Rc;

/// Standard deviations at which the distribution is cut.
const CUT: f64 = 3.0;
/// 2^64 divided by the golden ratio, SplitMix64's step.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Adds numbers of the normal distribution with a standard deviation of `std`, cut at three of them. With a seed, as in
/// training, every value of the batch gets its own; without one they are a function of position and channel, the same for
/// every item.
///
/// # Errors
/// If the executor fails.
pub fn noise<E: Real, X: Exec<E>, T: Tape<E, X>>(
    std: f64,
    seed: Option<u64>,
    x: Act<E, X, T>,
) -> Result<Act<E, X, T>, X::Err> {
    let size = x.size;
    let x = x.ready()?;
    let item = size.height * size.width * size.channels;
    let first = x.context.position() * size.channels;
    let added = match seed {
        Some(seed) => drawn_all(std, seed, 0..item * size.batch),
        None => {
            let key = ("noise", [std.to_bits(), first as u64, item as u64, 0, 0]);
            memo::table(key, || drawn_all::<E>(std, 0, first..first + item)).to_vec()
        }
    };
    let exec = &x.context.exec;
    let added = exec.upload(added)?;
    let of_item = if seed.is_some() { item } else { 0 };
    let loops = Loops {
        output: vec![size.batch, item],
        summed: Vec::new(),
        views: vec![View::steps([item, 1]), View::steps([of_item, 1])],
        value: operand(0) + operand(1),
    };
    let y = exec.compute(&loops, &[&x.data, &added])?;
    drop(x.saved);
    let grad = x.grad;
    Ok(Act::output(x.context, size, Rc::new(y), move |exec, dy| {
        grad.add(exec, dy)
    }))
}

fn drawn_all<E: Real>(std: f64, seed: u64, indices: Range<usize>) -> Vec<E> {
    indices.map(|index| E::of(std * drawn(seed, index as u64))).collect()
}

/// The number that a seed has for an index, of the standard normal distribution cut at [`CUT`]: Box & Muller's transform
/// (1958) of two uniform numbers, drawn again where it lies outside. Every index has a SplitMix64 generator of its own. The
/// compiler has the same lines for tables in exported models (`ksdsl/src/ops/noise.rs`).
fn drawn(seed: u64, index: u64) -> f64 {
    let key = mix(seed ^ 0xbb67_ae85_84ca_a73b);
    let mut state = mix(key.wrapping_add((index + 1).wrapping_mul(GOLDEN)));
    let mut uniform = || {
        state = state.wrapping_add(GOLDEN);
        // The upper 53 bits, as a fraction of one.
        (mix(state) >> 11) as f64 / (1_u64 << 53) as f64
    };
    loop {
        let [u, v] = [1.0 - uniform(), uniform()];
        let z = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        if z.abs() <= CUT {
            return z;
        }
    }
}

/// The finaliser of SplitMix64 (Steele et al. 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::drawn;

    /// With the density f and the probability p of |z| < 3 of the normal distribution: variance 1 - 6 f(3) / p, fourth moment
    /// three times that less 54 f(3) / p, P(|z| < 1) = erf(sqrt(1/2)) / p, P(z > 2) = (p - erf(sqrt(2))) / 2 p.
    #[test]
    fn numbers_are_of_the_normal_distribution_cut_at_three() {
        let count = 400_000;
        let all: Vec<f64> = (0..count).map(|index| drawn(7, index)).collect();
        let mean = |of: &dyn Fn(f64) -> f64| all.iter().map(|z| of(*z)).sum::<f64>() / count as f64;
        // Within five standard errors, which are sqrt(variance / 400,000).
        for (found, expected, error) in [
            (mean(&|z| z), 0.0, 0.0016),
            (mean(&|z| z * z), 0.97334, 0.0021),
            (mean(&|z| z.powi(4)), 2.68004, 0.012),
            (mean(&|z| f64::from(z.abs() < 1.0)), 0.68454, 0.00074),
            (mean(&|z| f64::from(z > 2.0)), 0.02146, 0.00023),
        ] {
            assert!((found - expected).abs() < 5.0 * error, "{found} is not {expected}");
        }
        assert!(all.iter().all(|z| z.abs() <= 3.0));
        // Neighbours do not depend on each other, nor do seeds.
        let product = |other: &dyn Fn(u64) -> f64| {
            let pairs = all.iter().zip(0..);
            pairs.map(|(z, index)| z * other(index)).sum::<f64>() / count as f64
        };
        for found in [product(&|index| drawn(7, index + 1)), product(&|index| drawn(8, index))] {
            assert!(found.abs() < 5.0 * 0.0016, "{found}");
        }
    }
}
