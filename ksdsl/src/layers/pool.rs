//! Pooling.

use super::conv::reaches_zero;
use super::{Args, LayerDef, ParamDef, ParamKind, Problem, Resolve, map_of};
use crate::diag::Code;
use crate::ir::{Op, PoolKind, Shape};

const WINDOW: &[ParamDef] = &[
    ParamDef {
        name: "kernel",
        kind: ParamKind::Sizes,
        required: true,
    },
    ParamDef {
        name: "stride",
        kind: ParamKind::Sizes,
        required: false,
    },
    ParamDef {
        name: "pad",
        kind: ParamKind::Zeros,
        required: false,
    },
];

pub(super) const AVG_POOL: LayerDef = LayerDef {
    name: "avg_pool",
    doc: "average pooling, padding included",
    params: WINDOW,
    resolve: Resolve::One(|args, input| pool("avg_pool", PoolKind::Average, args, input)),
};

pub(super) const MAX_POOL: LayerDef = LayerDef {
    name: "max_pool",
    doc: "max pooling",
    params: WINDOW,
    resolve: Resolve::One(|args, input| pool("max_pool", PoolKind::Max, args, input)),
};

pub(super) const GLOBAL_AVG_POOL: LayerDef = LayerDef {
    name: "global_avg_pool",
    doc: "global average pooling: feature maps to a vector",
    params: &[],
    resolve: Resolve::One(|_, input| map_of("global_avg_pool", input).map(|_| Op::GlobalPool(PoolKind::Average))),
};

pub(super) const GLOBAL_MAX_POOL: LayerDef = LayerDef {
    name: "global_max_pool",
    doc: "global max pooling: feature maps to a vector",
    params: &[],
    resolve: Resolve::One(|_, input| map_of("global_max_pool", input).map(|_| Op::GlobalPool(PoolKind::Max))),
};

fn pool(name: &str, kind: PoolKind, args: &Args, input: Shape) -> Result<Op, Problem> {
    map_of(name, input)?;
    let kernel = args.sizes("kernel", [1, 1]);
    let pad = args.sizes("pad", [0, 0]);
    // Beyond half a window some windows would lie in the padding alone (PyTorch's rule as well).
    if let Some(axis) = (0..2).find(|&axis| pad[axis] * 2 > kernel[axis]) {
        let (pad, kernel) = (pad[axis], kernel[axis]);
        return Err(Problem::new(
            Code::OutOfRange,
            format!("padding of {pad} is more than half the window of {kernel}"),
        )
        .at("pad")
        .help(format!("use at most {}", kernel / 2)));
    }
    Ok(Op::Pool {
        kind,
        kernel,
        stride: args.sizes("stride", kernel),
        pad,
    })
}

/// The output of pooling over maps of this size.
pub(super) fn output(
    kernel: [u64; 2],
    stride: [u64; 2],
    pad: [u64; 2],
    channels: u64,
    height: u64,
    width: u64,
) -> Result<Shape, Problem> {
    let along = |axis: usize, size: u64| match (size + 2 * pad[axis]).checked_sub(kernel[axis]) {
        Some(rest) => Ok(rest / stride[axis] + 1),
        None => Err(reaches_zero(
            if axis == 0 { "height" } else { "width" },
            size,
            2 * pad[axis],
            kernel[axis],
        )),
    };
    Ok(Shape::Map {
        channels,
        height: along(0, height)?,
        width: along(1, width)?,
    })
}
