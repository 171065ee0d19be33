//! Vectors for any CPU.

use super::Lanes;

/// Eight lanes without any intrinsics.
#[derive(Clone, Copy)]
pub(crate) struct Plain([f32; 8]);

impl Lanes for Plain {
    const LANES: usize = 8;
    const MANY: bool = false;
    const WHOLE: bool = false;
    const TABLES: bool = false;
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
    unsafe fn load_bf16(from: *const u16) -> Self {
        // SAFETY: the caller vouches for eight values.
        let halves = unsafe { from.cast::<[u16; 8]>().read() };
        Self(halves.map(|half| f32::from_bits(u32::from(half) << 16)))
    }
    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        // SAFETY: the caller vouches for eight values.
        Self(unsafe { from.cast::<[i8; 8]>().read() }.map(f32::from))
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
    unsafe fn greater_bits(self, other: Self) -> Self {
        let greater = |a: f32, b: f32| f32::from_bits(a.to_bits().max(b.to_bits()));
        Self(std::array::from_fn(|lane| greater(self.0[lane], other.0[lane])))
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        // Adding it leaves no bits for a fraction.
        const ROUND: f32 = 12_582_912.0;
        Self(self.0.map(|value| (value + ROUND) - ROUND))
    }
    #[inline(always)]
    unsafe fn entries(self, table: &[f32; 16]) -> Self {
        Self(self.0.map(|lane| table[(lane.to_bits() & 15) as usize]))
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
