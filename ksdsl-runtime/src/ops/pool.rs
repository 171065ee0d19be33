//! Maximum and average pooling, over windows and over whole maps.

use super::window::{KernelArg, PadArg, StrideArg, output_size};
use crate::act::{Act, ActShape, Flat, Map};
use crate::backend::Backend;
use crate::geometry::{PoolKind, PoolSize, Window};
use crate::scalar::Scalar;
use dfdx::shapes::{Const, Dim};
use dfdx::tensor::Tape;
use std::marker::PhantomData;
use std::rc::Rc;

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
                let size = PoolSize {
                    input: x.shape.map_size(),
                    output: shape.map_size(),
                    window: Window {
                        kernel: K::KERNEL,
                        stride: S::STRIDE,
                        pad: P::BEFORE,
                        dilation: [1, 1],
                    },
                };
                pool(PoolKind::$kind, size, shape, x)
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

fn pool<S: ActShape, S2: ActShape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    kind: PoolKind,
    size: PoolSize,
    shape: S2,
    x: Act<S, E, D, T>,
) -> Result<Act<S2, E, D, T>, D::Err> {
    let x = x.ready()?;
    let y = x.context.device.pool_forward(kind, size, &x.data)?;
    let (input, grad) = (x.saved, x.grad);
    let backward = move |device: &D, dy: D::Buf| {
        let dx = device.pool_backward(kind, size, &*input.get(device)?, &dy)?;
        grad.add(device, dx)
    };
    Ok(Act::output(x.context, shape, Rc::new(y), backward))
}

fn global_pool<B: Dim, const C: usize, const H: usize, const W: usize, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    kind: PoolKind,
    x: Map<B, C, H, W, E, D, T>,
) -> Result<Flat<B, C, E, D, T>, D::Err> {
    const { assert!(H * W > 0, "there is nothing to pool") };
    let size = x.shape.map_size();
    let x = x.ready()?;
    let y = x.context.device.global_pool_forward(kind, size, &x.data)?;
    // The mean's gradient does not depend on the values.
    let input = (kind == PoolKind::Max).then_some(x.saved);
    let grad = x.grad;
    let backward = move |device: &D, dy: D::Buf| {
        let input = input.map(|saved| saved.get(device)).transpose()?;
        let dx = device.global_pool_backward(kind, size, input.as_deref(), &dy)?;
        grad.add(device, dx)
    };
    let shape = (x.shape.0, Const);
    Ok(Act::output(x.context, shape, Rc::new(y), backward))
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
