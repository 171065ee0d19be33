//! Random numbers, the devices, comparisons.

use ksdsl_cuda::CudaExec;
use ksdsl_engine::{Exec, Real};
use ksdsl_runtime::backend::Backend;
use ksdsl_runtime::cuda;
use ksdsl_runtime::dfdx::tensor::Cuda;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A GPU and the right to use it alone, since settings and counts are the process's.
pub(crate) struct Gpu {
    pub(crate) device: Cuda,
    pub(crate) exec: CudaExec,
    _alone: MutexGuard<'static, ()>,
}

/// The GPU, with a generator at this seed.
pub(crate) fn gpu(seed: u64) -> Gpu {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = cuda::device_with_seed(0, seed).unwrap();
    let exec = Backend::<f32>::exec(&device).unwrap();
    Gpu {
        device,
        exec,
        _alone: alone,
    }
}

/// SplitMix64: small, and the same on every machine.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.between(0, choices.len() - 1)]
    }

    /// Values in [-1, 1) that are exact in `f32`.
    pub(crate) fn values(&mut self, len: usize) -> Vec<f64> {
        let unit = |bits: u64| (bits >> 40) as f64 / f64::from(1 << 23) - 1.0;
        (0..len).map(|_| unit(self.next())).collect()
    }

    /// Small integers, so that many are equal.
    pub(crate) fn ties(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| self.between(0, 6) as f64 - 3.0).collect()
    }
}

/// Named values: what a device computed.
pub(crate) type Outcome = Vec<(String, Vec<f64>)>;

/// A buffer of these values.
pub(crate) fn up<E: Real, X: Exec<E>>(exec: &X, values: &[f64]) -> X::Buf {
    exec.upload(values.iter().map(|&value| E::of(value)).collect()).unwrap()
}

/// The values of a buffer.
pub(crate) fn down<E: Real, X: Exec<E>>(exec: &X, buf: X::Buf, len: usize) -> Vec<f64> {
    let values = exec.download(&buf).unwrap();
    assert_eq!(values.len(), len);
    values.into_iter().map(E::wide).collect()
}

/// The greatest difference, relative to the greatest wanted value or to `least`, if that is greater: some
/// gradients are zero but for rounding, such as that of a bias before a norm.
pub(crate) fn distance(got: &[f64], want: &[f64], least: f64) -> f64 {
    assert_eq!(got.len(), want.len(), "lengths");
    let greatest = want.iter().filter(|value| value.is_finite());
    let greatest = greatest.fold(0.0_f64, |most, value| most.max(value.abs()));
    let unit = if greatest > least {
        greatest
    } else {
        least.max(f64::MIN_POSITIVE)
    };
    got.iter().zip(want).fold(0.0, |most, (got, want)| {
        let apart = if got == want { 0.0 } else { (got - want).abs() / unit };
        // A NaN must stay: it fails every comparison.
        if apart <= most || f64::is_nan(most) {
            most
        } else {
            apart
        }
    })
}

/// Checks all values of one device against another's, and returns the greatest [`distance`].
pub(crate) fn assert_agree(got: &Outcome, want: &Outcome, least: f64, tolerance: f64) -> f64 {
    assert_eq!(got.len(), want.len());
    let mut worst = 0.0_f64;
    for ((name, got), (same, want)) in got.iter().zip(want) {
        assert_eq!(name, same);
        let distance = distance(got, want, least);
        assert!(distance <= tolerance, "{name}: {distance:e} off\n{got:?}\n{want:?}");
        worst = worst.max(distance);
    }
    worst
}
