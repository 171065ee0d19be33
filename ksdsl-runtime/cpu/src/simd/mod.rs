//! Vectors of `f32`, and the choice of their width when the program runs.
//!
//! A kernel is an [`Operation`]: generic over the vector type, inlined whole into a function
//! compiled for the features of that type. Mark everything it calls `#[inline(always)]`.

mod plain;
#[cfg(target_arch = "x86_64")]
mod x86;

use super::scoped;
use plain::Plain;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
use std::cell::Cell;
use std::sync::OnceLock;
#[cfg(target_arch = "x86_64")]
use x86::{V8, V16};

/// Which instructions the kernels use; by default the best that this CPU has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Any CPU: eight lanes as an array, products and sums rounded apart.
    Portable,
    /// AVX2 and FMA: eight lanes, 16 registers.
    Avx2,
    /// AVX-512 (F, DQ, VL, BW): sixteen lanes, 32 registers.
    Avx512,
}

thread_local! {
    static FORCED: Cell<Option<Level>> = const { Cell::new(None) };
}

impl Level {
    /// All levels this CPU has, the best last.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut levels = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 {
                levels.push(Self::Avx2);
            }
            if avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512bw")
            {
                levels.push(Self::Avx512);
            }
        }
        levels
    }

    /// Runs `f`; kernels called from it, on this thread, use this level, or the best one below it
    /// that the CPU has. For tests and measurements, and to get the bits of a lesser CPU.
    pub fn with<R>(self, f: impl FnOnce() -> R) -> R {
        let best = Self::available().into_iter().filter(|&level| level <= self).max();
        best.unwrap_or(Self::Portable).scope(f)
    }

    /// As [`Level::with`] for a level that the CPU has.
    pub(crate) fn scope<R>(self, f: impl FnOnce() -> R) -> R {
        scoped::with_value(&FORCED, Some(self), f)
    }

    /// The level in force on this thread.
    pub(crate) fn current() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        let best = || *BEST.get_or_init(|| Self::available().pop().unwrap_or(Self::Portable));
        FORCED.get().unwrap_or_else(best)
    }

    /// Lanes of a vector at this level.
    pub(crate) fn lanes(self) -> usize {
        if self == Self::Avx512 { 16 } else { 8 }
    }

    /// Runs `operation` with the vectors of this level, which must be one of
    /// [`Level::available`].
    #[inline(always)]
    pub(crate) fn run(self, operation: impl Operation) {
        match self {
            // SAFETY: a level other than `Portable` comes from `available`, which detected it.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { avx2(operation) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { avx512(operation) },
            _ => operation.run::<Plain>(),
        }
    }

    /// Runs `f`, inlined, in a function compiled for the vectors of this level, which must be one
    /// of [`Level::available`]. Rust never contracts `a * b + c` nor reorders sums, so the results
    /// are the same bits whichever version runs.
    #[inline(always)]
    pub(crate) fn vectorised(self, f: impl FnOnce()) {
        match self {
            // SAFETY: as in [`Level::run`].
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { vectorised_avx2(f) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { vectorised_avx512(f) },
            _ => f(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw")]
fn vectorised_avx512(f: impl FnOnce()) {
    f();
}

// Without FMA, which nothing here may use by itself anyway.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn vectorised_avx2(f: impl FnOnce()) {
    f();
}

/// A kernel, for any vector type.
pub(crate) trait Operation {
    /// Runs it; mark the implementation `#[inline(always)]`.
    fn run<V: Lanes>(self);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(operation: impl Operation) {
    operation.run::<V8>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,fma")]
fn avx512(operation: impl Operation) {
    operation.run::<V16>();
}

/// A vector of [`Lanes::LANES`] values.
///
/// # Safety
/// All methods need the CPU features of the type: call them only below [`Level::run`]. The
/// pointers must be good for `LANES` values; they need no alignment.
pub(crate) trait Lanes: Copy {
    /// Values per vector.
    const LANES: usize;
    /// Whether there are 32 registers rather than 16.
    const MANY: bool;
    /// Whether a vector is one register.
    const WHOLE: bool;
    /// Whether [`Lanes::entries`] is a single fast instruction.
    const TABLES: bool;
    /// Zeros.
    unsafe fn zero() -> Self;
    /// The values at `from`.
    unsafe fn load(from: *const f32) -> Self;
    /// The bf16 values at `from`.
    unsafe fn load_bf16(from: *const u16) -> Self;
    /// The integers at `from`.
    unsafe fn load_i8(from: *const i8) -> Self;
    /// Writes the values to `to`.
    unsafe fn store(self, to: *mut f32);
    /// `self * factor + sum`.
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self;
    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;
    /// `self - other`.
    unsafe fn sub(self, other: Self) -> Self;
    /// `self * other`.
    unsafe fn mul(self, other: Self) -> Self;
    /// `self / other`.
    unsafe fn div(self, other: Self) -> Self;
    /// `value` in every lane.
    unsafe fn splat(value: f32) -> Self;
    /// The greater of both; `other` where one is a NaN.
    unsafe fn max(self, other: Self) -> Self;
    /// The lesser of both; `other` where one is a NaN.
    unsafe fn min(self, other: Self) -> Self;
    /// `value` where `self > 0`, zero elsewhere, also where `self` is a NaN.
    unsafe fn where_positive(self, value: Self) -> Self;
    /// Zero where `self <= 0`, `value` elsewhere, also where `self` is a NaN.
    unsafe fn unless_negative(self, value: Self) -> Self;
    /// Without the sign.
    unsafe fn abs(self) -> Self;
    /// The greater of both, which have no signs; a NaN is greater than all other values.
    unsafe fn greater_bits(self, other: Self) -> Self;
    /// The nearest whole value, for values below 2^22.
    unsafe fn round(self) -> Self;
    /// For each lane the entry of `table` that its lowest four bits choose.
    unsafe fn entries(self, table: &[f32; 16]) -> Self;
    /// Adds the values to those at `to`.
    unsafe fn add_to(self, to: *mut f64);
    /// `2^self` for whole values from -126 to 127.
    unsafe fn power_of_two(self) -> Self;
    /// The first `count < LANES` values at `from`, zeros in the other lanes.
    unsafe fn load_some(from: *const f32, count: usize) -> Self;
    /// Writes the first `count < LANES` values to `to`.
    unsafe fn store_some(self, to: *mut f32, count: usize);
}

/// Asks for the line at `at` to be in the L2 cache; any address will do, nothing is read.
#[inline(always)]
pub(crate) fn prefetch_to_l2(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint that never faults, of SSE, which every x86-64 has.
    unsafe {
        _mm_prefetch::<_MM_HINT_T1>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Asks for the line of the cache at `at`; any address will do, nothing is read.
#[inline(always)]
pub(crate) fn prefetch(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint that never faults, of SSE, which every x86-64 has.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
