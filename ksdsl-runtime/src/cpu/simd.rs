//! Vectors of `f32`, and the choice of their width when the program runs.
//!
//! A kernel is an [`Operation`]: generic over the vector type, inlined whole into a function
//! compiled for the features of that type. Mark everything it calls `#[inline(always)]`.
#![allow(dead_code)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::cell::Cell;
use std::sync::OnceLock;

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
    pub(super) fn scope<R>(self, f: impl FnOnce() -> R) -> R {
        /// Puts the former level back, after a panic too.
        struct Restore(Option<Level>);
        impl Drop for Restore {
            fn drop(&mut self) {
                FORCED.set(self.0);
            }
        }
        let _restore = Restore(FORCED.replace(Some(self)));
        f()
    }

    /// The level in force on this thread.
    pub(super) fn current() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        let best = || *BEST.get_or_init(|| Self::available().pop().unwrap_or(Self::Portable));
        FORCED.get().unwrap_or_else(best)
    }

    /// Lanes of a vector at this level.
    pub(super) fn lanes(self) -> usize {
        if self == Self::Avx512 { 16 } else { 8 }
    }

    /// Runs `operation` with the vectors of this level, which must be one of
    /// [`Level::available`].
    #[inline(always)]
    pub(super) fn run(self, operation: impl Operation) {
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
    pub(super) fn vectorised(self, f: impl FnOnce()) {
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
pub(super) trait Operation {
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
pub(super) trait Lanes: Copy {
    /// Values per vector.
    const LANES: usize;
    /// Whether there are 32 registers rather than 16.
    const MANY: bool;
    /// Whether a vector is one register.
    const WHOLE: bool;
    /// Zeros.
    unsafe fn zero() -> Self;
    /// The values at `from`.
    unsafe fn load(from: *const f32) -> Self;
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
    /// The nearest whole value, for values below 2^22.
    unsafe fn round(self) -> Self;
    /// Adds the values to those at `to`.
    unsafe fn add_to(self, to: *mut f64);
    /// `2^self` for whole values from -126 to 127.
    unsafe fn power_of_two(self) -> Self;
    /// The first `count < LANES` values at `from`, zeros in the other lanes.
    unsafe fn load_some(from: *const f32, count: usize) -> Self;
    /// Writes the first `count < LANES` values to `to`.
    unsafe fn store_some(self, to: *mut f32, count: usize);
}

/// Asks for the line of the cache at `at`; any address will do, nothing is read.
#[inline(always)]
pub(super) fn prefetch(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint that never faults, of SSE, which every x86-64 has.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Eight lanes without any intrinsics.
#[derive(Clone, Copy)]
pub(super) struct Plain([f32; 8]);

impl Lanes for Plain {
    const LANES: usize = 8;
    const MANY: bool = false;
    const WHOLE: bool = false;
    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; 8])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for eight values; an array of `f32` is aligned as one is.
        Self(unsafe { from.cast::<[f32; 8]>().read() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe { to.cast::<[f32; 8]>().write(self.0) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] * factor.0[lane] + sum.0[lane]))
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] + other.0[lane]))
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] - other.0[lane]))
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] * other.0[lane]))
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] / other.0[lane]))
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 8])
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        let greater = |a, b| if a > b { a } else { b };
        Self(std::array::from_fn(|lane| greater(self.0[lane], other.0[lane])))
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        let lesser = |a, b| if a < b { a } else { b };
        Self(std::array::from_fn(|lane| lesser(self.0[lane], other.0[lane])))
    }
    #[inline(always)]
    unsafe fn where_positive(self, value: Self) -> Self {
        let choose = |by, value| if by > 0.0 { value } else { 0.0 };
        Self(std::array::from_fn(|lane| choose(self.0[lane], value.0[lane])))
    }
    #[inline(always)]
    unsafe fn unless_negative(self, value: Self) -> Self {
        let choose = |by, value| if by <= 0.0 { 0.0 } else { value };
        Self(std::array::from_fn(|lane| choose(self.0[lane], value.0[lane])))
    }
    #[inline(always)]
    unsafe fn abs(self) -> Self {
        Self(self.0.map(f32::abs))
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        // Adding it leaves no bits for a fraction.
        const ROUND: f32 = 12_582_912.0;
        Self(self.0.map(|value| (value + ROUND) - ROUND))
    }
    #[inline(always)]
    unsafe fn add_to(self, to: *mut f64) {
        for (lane, &value) in self.0.iter().enumerate() {
            // SAFETY: the caller vouches for eight values.
            unsafe { *to.add(lane) += f64::from(value) };
        }
    }
    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        Self(self.0.map(|n| f32::from_bits((((n as i32) + 127) << 23) as u32)))
    }
    #[inline(always)]
    unsafe fn load_some(from: *const f32, count: usize) -> Self {
        let mut lanes = [0.0; 8];
        for (lane, value) in lanes.iter_mut().enumerate().take(count) {
            // SAFETY: the caller vouches for `count` values.
            *value = unsafe { from.add(lane).read() };
        }
        Self(lanes)
    }
    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, count: usize) {
        for (lane, &value) in self.0.iter().enumerate().take(count) {
            // SAFETY: the caller vouches for `count` values.
            unsafe { to.add(lane).write(value) };
        }
    }
}

/// The methods of a vector type that are one intrinsic each.
#[cfg(target_arch = "x86_64")]
macro_rules! intrinsics {
    ($($name:ident($($argument:ident),*) = $intrinsic:ident;)*) => {
        $(
            #[inline(always)]
            unsafe fn $name(self, $($argument: Self),*) -> Self {
                // SAFETY: the caller vouches for the CPU's features.
                Self(unsafe { $intrinsic(self.0, $($argument.0),*) })
            }
        )*
    };
}

/// Eight lanes of AVX2.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct V8(__m256);

#[cfg(target_arch = "x86_64")]
impl V8 {
    /// A mask of the first `count < 8` lanes.
    #[inline(always)]
    unsafe fn first(count: usize) -> __m256i {
        const MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        debug_assert!(count <= 8);
        // SAFETY: eight values from index `8 - count` on; the caller vouches for the features.
        unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(8 - count).cast()) }
    }
}

#[cfg(target_arch = "x86_64")]
impl Lanes for V8 {
    const LANES: usize = 8;
    const MANY: bool = false;
    const WHOLE: bool = true;
    intrinsics! {
        mul_add(factor, sum) = _mm256_fmadd_ps;
        add(other) = _mm256_add_ps;
        sub(other) = _mm256_sub_ps;
        mul(other) = _mm256_mul_ps;
        div(other) = _mm256_div_ps;
        max(other) = _mm256_max_ps;
        min(other) = _mm256_min_ps;
    }
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller vouches for the CPU's features.
        Self(unsafe { _mm256_setzero_ps() })
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_set1_ps(value) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for the features and the pointer.
        Self(unsafe { _mm256_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for the features and the pointer.
        unsafe { _mm256_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    unsafe fn where_positive(self, value: Self) -> Self {
        // SAFETY: the caller vouches for the CPU's features.
        Self(unsafe { _mm256_and_ps(value.0, _mm256_cmp_ps::<_CMP_GT_OQ>(self.0, _mm256_setzero_ps())) })
    }
    #[inline(always)]
    unsafe fn unless_negative(self, value: Self) -> Self {
        // SAFETY: the caller vouches for the CPU's features.
        Self(unsafe { _mm256_and_ps(value.0, _mm256_cmp_ps::<_CMP_NLE_UQ>(self.0, _mm256_setzero_ps())) })
    }
    #[inline(always)]
    unsafe fn abs(self) -> Self {
        // SAFETY: the caller vouches for the CPU's features.
        Self(unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0) })
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        // SAFETY: the caller vouches for the CPU's features.
        Self(unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0) })
    }
    #[inline(always)]
    unsafe fn add_to(self, to: *mut f64) {
        // SAFETY: the caller vouches for the features and the pointer.
        unsafe {
            let lower = _mm256_cvtps_pd(_mm256_castps256_ps128(self.0));
            let upper = _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(self.0));
            _mm256_storeu_pd(to, _mm256_add_pd(_mm256_loadu_pd(to), lower));
            _mm256_storeu_pd(to.add(4), _mm256_add_pd(_mm256_loadu_pd(to.add(4)), upper));
        }
    }
    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        // SAFETY: the caller vouches for the CPU's features.
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(self.0), _mm256_set1_epi32(127));
            Self(_mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent)))
        }
    }
    #[inline(always)]
    unsafe fn load_some(from: *const f32, count: usize) -> Self {
        // SAFETY: lanes beyond the mask are not read; the caller vouches for the rest.
        unsafe { Self(_mm256_maskload_ps(from, Self::first(count))) }
    }
    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, count: usize) {
        // SAFETY: lanes beyond the mask are not written; the caller vouches for the rest.
        unsafe { _mm256_maskstore_ps(to, Self::first(count), self.0) }
    }
}

/// Sixteen lanes of AVX-512.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct V16(__m512);

#[cfg(target_arch = "x86_64")]
impl Lanes for V16 {
    const LANES: usize = 16;
    const MANY: bool = true;
    const WHOLE: bool = true;
    intrinsics! {
        mul_add(factor, sum) = _mm512_fmadd_ps;
        add(other) = _mm512_add_ps;
        sub(other) = _mm512_sub_ps;
        mul(other) = _mm512_mul_ps;
        div(other) = _mm512_div_ps;
        max(other) = _mm512_max_ps;
        min(other) = _mm512_min_ps;
    }
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller vouches for the CPU's features.
        Self(unsafe { _mm512_setzero_ps() })
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_set1_ps(value) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for the features and the pointer.
        Self(unsafe { _mm512_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for the features and the pointer.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    unsafe fn where_positive(self, value: Self) -> Self {
        // SAFETY: the caller vouches for the CPU's features.
        unsafe {
            let positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, _mm512_setzero_ps());
            Self(_mm512_maskz_mov_ps(positive, value.0))
        }
    }
    #[inline(always)]
    unsafe fn unless_negative(self, value: Self) -> Self {
        // SAFETY: the caller vouches for the CPU's features.
        unsafe {
            let kept = _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(self.0, _mm512_setzero_ps());
            Self(_mm512_maskz_mov_ps(kept, value.0))
        }
    }
    #[inline(always)]
    unsafe fn abs(self) -> Self {
        // SAFETY: the caller vouches for the CPU's features.
        Self(unsafe { _mm512_abs_ps(self.0) })
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        // SAFETY: the caller vouches for the CPU's features.
        Self(unsafe { _mm512_roundscale_ps::<0>(self.0) })
    }
    #[inline(always)]
    unsafe fn add_to(self, to: *mut f64) {
        // SAFETY: the caller vouches for the features and the pointer.
        unsafe {
            let lower = _mm512_cvtps_pd(_mm512_castps512_ps256(self.0));
            let upper = _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(self.0));
            _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), lower));
            _mm512_storeu_pd(to.add(8), _mm512_add_pd(_mm512_loadu_pd(to.add(8)), upper));
        }
    }
    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        // SAFETY: the caller vouches for the CPU's features.
        unsafe {
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(self.0), _mm512_set1_epi32(127));
            Self(_mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent)))
        }
    }
    #[inline(always)]
    unsafe fn load_some(from: *const f32, count: usize) -> Self {
        // SAFETY: lanes beyond the mask are not read; the caller vouches for the rest.
        unsafe { Self(_mm512_maskz_loadu_ps((1_u16 << count) - 1, from)) }
    }
    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, count: usize) {
        // SAFETY: lanes beyond the mask are not written; the caller vouches for the rest.
        unsafe { _mm512_mask_storeu_ps(to, (1_u16 << count) - 1, self.0) }
    }
}
