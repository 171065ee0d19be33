//! Maximum and average pooling, over windows and over whole maps.

use super::window::{KernelArg, PadArg, StrideArg, output_size};
use crate::act::{Flat, Map};
use crate::backend::Backend;
use crate::scalar::Scalar;
use dfdx::shapes::{Const, Dim};
use dfdx::tensor::Tape;
use ksdsl_engine::ops::{self, Operation};
use ksdsl_engine::size::{PoolKind, Window};
use std::marker::PhantomData;

macro_rules! window_pool {
    ($(#[$doc:meta])* $name:ident => $kind:ident) => {
        $(#[$doc])*
        pub struct $name<K, S, P>(PhantomData<(K, S, P)>);

        impl<K: KernelArg, S: StrideArg, P: PadArg> $name<K, S, P> {
            /// Pools each channel of `x`.
            #[allow(clippy::type_complexity)]
            pub fn apply<
                B: Dim,
                const C: usize,
                const H: usize,
                const W: usize,
                const HO: usize,
                const WO: usize,
                E: Scalar,
                D: Backend<E>,
                T: Tape<E, D>,
            >(
                x: Map<B, C, H, W, E, D, T>,
            ) -> Result<Map<B, C, HO, WO, E, D, T>, D::Err> {
                const {
                    check_pool::<K, S, P>([H, W], [HO, WO]);
                }
                let shape: (B, Const<C>, Const<HO>, Const<WO>) = (x.shape.0, Const, Const, Const);
                let pool = ops::Pool {
                    kind: PoolKind::$kind,
                    window: Window {
                        kernel: K::KERNEL,
                        stride: S::STRIDE,
                        pad: P::BEFORE,
                        dilation: [1, 1],
                    },
                    pad_after: P::AFTER,
                };
                x.then(shape, |x| pool.run([x], []))
            }
        }
    };
}

window_pool! {
    /// Maximum over windows of size `K`, stride `S`, padding `P` (which never wins): PyTorch's
    /// `max_pool2d`.
    MaxPool => Max
}

window_pool! {
    /// Average over windows of size `K`, stride `S`, padding `P` (which counts as zeros):
    /// PyTorch's `avg_pool2d`.
    AvgPool => Average
}

/// Checks a pooling's sizes at compile time.
const fn check_pool<K: KernelArg, S: StrideArg, P: PadArg>(input: [usize; 2], output: [usize; 2]) {
    let mut axis = 0;
    while axis < 2 {
        let (kernel, before, after) = (K::KERNEL[axis], P::BEFORE[axis], P::AFTER[axis]);
        assert!(
            before < kernel && after < kernel,
            "a pooling window must not lie in the padding alone"
        );
        let expected = output_size(input[axis], before + after, kernel, S::STRIDE[axis], 1);
        assert!(
            output[axis] == expected,
            "the pooling's output size does not follow from its input"
        );
        axis += 1;
    }
}

fn global_pool<B: Dim, const C: usize, const H: usize, const W: usize, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    kind: PoolKind,
    x: Map<B, C, H, W, E, D, T>,
) -> Result<Flat<B, C, E, D, T>, D::Err> {
    const { assert!(H * W > 0, "there is nothing to pool") };
    let shape = (x.shape.0, Const);
    x.then(shape, |x| ops::GlobalPool(kind).run([x], []))
}

/// The mean of each channel.
pub fn global_avg_pool<
    B: Dim,
    const C: usize,
    const H: usize,
    const W: usize,
    E: Scalar,
    D: Backend<E>,
    T: Tape<E, D>,
>(
    x: Map<B, C, H, W, E, D, T>,
) -> Result<Flat<B, C, E, D, T>, D::Err> {
    global_pool(PoolKind::Average, x)
}

/// The maximum of each channel.
pub fn global_max_pool<
    B: Dim,
    const C: usize,
    const H: usize,
    const W: usize,
    E: Scalar,
    D: Backend<E>,
    T: Tape<E, D>,
>(
    x: Map<B, C, H, W, E, D, T>,
) -> Result<Flat<B, C, E, D, T>, D::Err> {
    global_pool(PoolKind::Max, x)
}
