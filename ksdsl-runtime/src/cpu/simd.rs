//! Vectors of `f32`, and the choice of their width when the program runs.
//!
//! A kernel is an [`Operation`]: generic over the vector type, inlined whole into a function
//! compiled for the features of that type. Mark everything it calls `#[inline(always)]`.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::sync::OnceLock;

/// What the kernels may use of this CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Any CPU: eight lanes as an array, products and sums rounded apart.
    Portable,
    /// AVX2 and FMA: eight lanes, 16 registers.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512F: sixteen lanes, 32 registers.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// All levels this CPU has, the best last.
    pub(super) fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut levels = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                levels.push(Self::Avx2);
            }
            if is_x86_feature_detected!("avx512f") {
                levels.push(Self::Avx512);
            }
        }
        levels
    }

    /// The best level of this CPU.
    pub(super) fn best() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| Self::available().pop().unwrap_or(Self::Portable))
    }

    /// Lanes of a vector at this level.
    pub(super) fn lanes(self) -> usize {
        match self {
            Self::Portable => Plain::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => V8::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => V16::LANES,
        }
    }

    /// Runs `operation` with the vectors of this level, which must be one of
    /// [`Level::available`].
    #[inline(always)]
    pub(super) fn run(self, operation: impl Operation) {
        match self {
            Self::Portable => operation.run::<Plain>(),
            // SAFETY: a level other than `Portable` comes from `available`, which detected it.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { avx2(operation) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { avx512(operation) },
        }
    }
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
#[target_feature(enable = "avx512f")]
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
}

#[cfg(target_arch = "x86_64")]
macro_rules! vector {
    ($(#[$doc:meta])* $name:ident($raw:ty), $lanes:literal, $many:literal,
     $zero:ident, $load:ident, $store:ident, $mul_add:ident, $add:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(super) struct $name($raw);

        impl Lanes for $name {
            const LANES: usize = $lanes;
            const MANY: bool = $many;
            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the caller vouches for the CPU's features.
                Self(unsafe { $zero() })
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the caller vouches for the features and the pointer.
                Self(unsafe { $load(from) })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: the caller vouches for the features and the pointer.
                unsafe { $store(to, self.0) }
            }
            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
                // SAFETY: the caller vouches for the CPU's features.
                Self(unsafe { $mul_add(self.0, factor.0, sum.0) })
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: the caller vouches for the CPU's features.
                Self(unsafe { $add(self.0, other.0) })
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
vector!(
    /// Eight lanes of AVX2.
    V8(__m256), 8, false,
    _mm256_setzero_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps, _mm256_add_ps
);
#[cfg(target_arch = "x86_64")]
vector!(
    /// Sixteen lanes of AVX-512.
    V16(__m512), 16, true,
    _mm512_setzero_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps, _mm512_add_ps
);
