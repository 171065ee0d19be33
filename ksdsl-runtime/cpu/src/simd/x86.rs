//! Vectors of AVX2 and AVX-512.

use super::Lanes;
use std::arch::x86_64::*;

/// The methods of a vector type that are one intrinsic each.
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
#[derive(Clone, Copy)]
pub(crate) struct V8(__m256);

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

impl Lanes for V8 {
    const LANES: usize = 8;
    const MANY: bool = false;
    const WHOLE: bool = true;
    const TABLES: bool = false;
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
    unsafe fn load_bf16(from: *const u16) -> Self {
        // SAFETY: the caller vouches for the features and eight values.
        unsafe {
            let halves = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            Self(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(halves)))
        }
    }
    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        // SAFETY: the caller vouches for the features and eight values.
        unsafe { Self(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast())))) }
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
    unsafe fn greater_bits(self, other: Self) -> Self {
        // SAFETY: the caller vouches for the CPU's features.
        unsafe {
            let (bits, others) = (_mm256_castps_si256(self.0), _mm256_castps_si256(other.0));
            Self(_mm256_castsi256_ps(_mm256_max_epu32(bits, others)))
        }
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        // SAFETY: the caller vouches for the CPU's features.
        Self(unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0) })
    }
    #[inline(always)]
    unsafe fn entries(self, table: &[f32; 16]) -> Self {
        // SAFETY: the caller vouches for the features; the indices are below 16.
        unsafe {
            let index = _mm256_and_si256(_mm256_castps_si256(self.0), _mm256_set1_epi32(15));
            Self(_mm256_i32gather_ps::<4>(table.as_ptr(), index))
        }
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
#[derive(Clone, Copy)]
pub(crate) struct V16(__m512);

impl Lanes for V16 {
    const LANES: usize = 16;
    const MANY: bool = true;
    const WHOLE: bool = true;
    const TABLES: bool = true;
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
    unsafe fn load_bf16(from: *const u16) -> Self {
        // SAFETY: the caller vouches for the features and sixteen values.
        unsafe {
            let halves = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            Self(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(halves)))
        }
    }
    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        // SAFETY: the caller vouches for the features and sixteen values.
        unsafe { Self(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast())))) }
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
    unsafe fn greater_bits(self, other: Self) -> Self {
        // SAFETY: the caller vouches for the CPU's features.
        unsafe {
            let (bits, others) = (_mm512_castps_si512(self.0), _mm512_castps_si512(other.0));
            Self(_mm512_castsi512_ps(_mm512_max_epu32(bits, others)))
        }
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        // SAFETY: the caller vouches for the CPU's features.
        Self(unsafe { _mm512_roundscale_ps::<0>(self.0) })
    }
    #[inline(always)]
    unsafe fn entries(self, table: &[f32; 16]) -> Self {
        // SAFETY: the caller vouches for the features; the table is one vector.
        unsafe {
            let table = _mm512_loadu_ps(table.as_ptr());
            Self(_mm512_permutexvar_ps(_mm512_castps_si512(self.0), table))
        }
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
