//! Which algorithm a convolution runs on.

use super::winograd;
use crate::geometry::{ConvSize, LinearSize};
use crate::scalar::Scalar;
use std::any::TypeId;
use std::cell::Cell;

/// How a convolution is computed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Method {
    /// As a linear layer over the pixels.
    Pointwise(LinearSize),
    /// One channel at a time.
    Depthwise,
    /// As a matrix product with the unrolled input.
    Unrolled,
    /// 3x3 by F(4x4, 3x3).
    Winograd,
}

/// What to do with convolutions that Winograd's algorithm can take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WinogradChoice {
    /// Use it where it is measured to pay, in `f32` only.
    #[default]
    WhereItPays,
    /// Use it wherever it can be used, also in `f64`.
    Always,
    /// Unroll instead.
    Never,
}

thread_local! {
    static CHOICE: Cell<WinogradChoice> = const { Cell::new(WinogradChoice::WhereItPays) };
}

/// Runs `f`; convolutions called from it, on this thread, follow `choice`. For tests and
/// measurements.
pub fn with_winograd<R>(choice: WinogradChoice, f: impl FnOnce() -> R) -> R {
    /// Puts the former choice back, after a panic too.
    struct Restore(WinogradChoice);
    impl Drop for Restore {
        fn drop(&mut self) {
            CHOICE.set(self.0);
        }
    }
    let _restore = Restore(CHOICE.replace(choice));
    f()
}

/// The algorithm for the convolution and for both its gradients.
pub(super) fn method<E: Scalar>(size: &ConvSize) -> Method {
    let window = &size.window;
    let same_map = (size.input.height, size.input.width) == (size.output.height, size.output.width);
    let unit = window.kernel == [1, 1] && window.stride == [1, 1] && window.pad == [0, 0];
    if size.groups == 1 && unit && same_map {
        return Method::Pointwise(LinearSize {
            rows: size.input.rows(),
            inputs: size.input.channels,
            outputs: size.output.channels,
        });
    }
    if size.groups == size.input.channels && size.groups == size.output.channels {
        return Method::Depthwise;
    }
    let winograd = match CHOICE.get() {
        WinogradChoice::WhereItPays => TypeId::of::<E>() == TypeId::of::<f32>() && winograd_pays(size),
        WinogradChoice::Always => true,
        WinogradChoice::Never => false,
    };
    if winograd && winograd::takes(size) {
        return Method::Winograd;
    }
    Method::Unrolled
}

/// Whether F(4x4, 3x3) is faster than unrolling.
fn winograd_pays(size: &ConvSize) -> bool {
    size.input.channels.min(size.output.channels) >= 32
}
