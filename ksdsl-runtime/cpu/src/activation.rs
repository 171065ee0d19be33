//! Activations, in place, with the kind chosen outside the loop, by the functions of `fused::function`.

use super::CpuBuf;
use super::fused::function;
use super::par::{ELEMENTS_PER_TASK, for_rows};
use super::simd::Level;
use crate::real::CpuReal;
use ksdsl_engine::size::Activation;

/// Replaces each `dy` by `f(saved, dy)`. Mark longer closures `#[inline(always)]`: a call would keep the
/// loop from becoming vectors.
#[inline(always)]
fn map_with<E: CpuReal>(saved: &CpuBuf<E>, mut dy: CpuBuf<E>, f: impl Fn(E, E) -> E + Sync) -> CpuBuf<E> {
    for_rows(
        &mut dy,
        1,
        ELEMENTS_PER_TASK,
        #[inline(always)]
        |first, part| {
            let saved = &saved[first..first + part.len()];
            for (dy, &saved) in part.iter_mut().zip(saved) {
                *dy = f(saved, *dy);
            }
        },
    );
    dy
}

pub(super) fn activation_forward<E: CpuReal>(kind: Activation, mut x: CpuBuf<E>) -> CpuBuf<E> {
    for_rows(&mut x, 1, ELEMENTS_PER_TASK, |_, part| {
        let start = part.as_mut_ptr();
        // SAFETY: one slice, in place.
        unsafe { function::values(Level::current(), kind, start, start, part.len(), start) };
    });
    x
}

/// Multiplies each `dy` by the derivative at its `x`.
fn multiply_by_slopes<E: CpuReal>(kind: Activation, x: &CpuBuf<E>, mut dy: CpuBuf<E>) -> CpuBuf<E> {
    assert_eq!(x.len(), dy.len(), "maps of another length");
    for_rows(&mut dy, 1, ELEMENTS_PER_TASK, |first, part| {
        let x = x[first..first + part.len()].as_ptr();
        // SAFETY: both slices are as long.
        unsafe { function::multiply_by_slopes(Level::current(), kind, x, part.as_mut_ptr(), part.len()) };
    });
    dy
}

pub(super) fn activation_backward<E: CpuReal>(kind: Activation, saved: &CpuBuf<E>, dy: CpuBuf<E>) -> CpuBuf<E> {
    let (zero, one) = (E::zero(), E::one());
    match kind {
        Activation::Relu => map_with(saved, dy, |y, dy| if y <= zero { zero } else { dy }),
        Activation::Relu6 => {
            let six = E::of(6.0);
            map_with(
                saved,
                dy,
                #[inline(always)]
                |y, dy| if y <= zero || y >= six { zero } else { dy },
            )
        }
        Activation::Sigmoid => map_with(saved, dy, |y, dy| dy * y * (one - y)),
        Activation::Gelu | Activation::GeluTanh | Activation::Silu | Activation::HardSwish => {
            multiply_by_slopes(kind, saved, dy)
        }
    }
}
