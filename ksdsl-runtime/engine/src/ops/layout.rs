//! The order of a map's values.

use crate::exec::Exec;
use crate::real::Real;
use crate::size::MapSize;

/// Reorders NCHW to NHWC.
///
/// # Errors
/// If the executor fails.
pub fn to_nhwc<E: Real, X: Exec<E>>(exec: &X, size: MapSize, x: X::Buf) -> Result<X::Buf, X::Err> {
    if size.has_one_layout() {
        return Ok(x);
    }
    exec.nchw_to_nhwc(size, &x)
}

/// Reorders NHWC to NCHW.
///
/// # Errors
/// If the executor fails.
pub fn to_nchw<E: Real, X: Exec<E>>(exec: &X, size: MapSize, x: X::Buf) -> Result<X::Buf, X::Err> {
    if size.has_one_layout() {
        return Ok(x);
    }
    exec.nhwc_to_nchw(size, &x)
}
