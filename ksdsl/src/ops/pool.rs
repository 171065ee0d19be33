//! Pooling over windows.

use super::geometry::reaches_zero;
use super::prelude::*;
use crate::steps::{Kind, PoolSize};

const KERNEL: ParamDef = param("kernel", ParamKind::Sizes, true);
const STRIDE: ParamDef = param("stride", ParamKind::Sizes, false);
const PAD: ParamDef = param("pad", ParamKind::Zeros, false);
const CEIL: ParamDef = param("ceil", ParamKind::Flag, false);
const COUNT_PAD: ParamDef = param("count_include_pad", ParamKind::Flag, false);

pub(super) const LAYERS: &[LayerDef] = &[
    LayerDef {
        name: "avg_pool",
        doc: "average pooling, padding included or not",
        params: &[KERNEL, STRIDE, PAD, CEIL, COUNT_PAD],
        family: Family::Other,
        resolve: Resolve::One(|args, input| pool(PoolKind::Average, args, input)),
    },
    LayerDef {
        name: "max_pool",
        doc: "max pooling",
        params: &[KERNEL, STRIDE, PAD, CEIL],
        family: Family::Other,
        resolve: Resolve::One(|args, input| pool(PoolKind::Max, args, input)),
    },
    LayerDef {
        name: "subsample",
        doc: "each stride-th row and column",
        params: &[param("stride", ParamKind::Sizes, true)],
        family: Family::Other,
        // Windows of one pixel: nothing is averaged.
        resolve: Resolve::One(|args, input| pool(PoolKind::Average, args, input)),
    },
];

/// Maximum or average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// Maximum.
    Max,
    /// Average.
    Average,
}

impl PoolKind {
    /// ONNX's reduction of whole axes.
    pub(super) fn onnx_reduction(self) -> &'static str {
        match self {
            PoolKind::Max => "ReduceMax",
            PoolKind::Average => "ReduceMean",
        }
    }
}

/// Pooling over windows.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// Maximum or average.
    pub kind: PoolKind,
    /// Height and width of the window.
    pub kernel: [u64; 2],
    /// Vertical and horizontal step.
    pub stride: [u64; 2],
    /// Padding above and below, left and right.
    pub pad: [u64; 2],
    /// Rows below the padding and columns to its right that the last windows reach.
    pub beyond: [u64; 2],
    /// Whether padding counts, where windows are averaged.
    pub count_pad: bool,
}

fn pool(kind: PoolKind, args: &Args, input: Shape) -> Result<Option<Op>, Problem> {
    let kernel = args.sizes("kernel", [1, 1]);
    let mut pool = Pool {
        kind,
        kernel,
        stride: args.sizes("stride", kernel),
        pad: args.sizes("pad", [0, 0]),
        beyond: [0, 0],
        count_pad: true,
    };
    let (_, height, width) = map_of(pool.word(), input)?;
    // Beyond half a window some windows would lie in the padding alone (PyTorch's rule as well).
    if let Some(axis) = (0..2).find(|&axis| pool.pad[axis] * 2 > kernel[axis]) {
        let (pad, kernel) = (pool.pad[axis], kernel[axis]);
        return Err(Problem::new(
            Code::OutOfRange,
            format!("padding of {pad} is more than half the window of {kernel}"),
        )
        .at("pad")
        .help(format!("use at most {}", kernel / 2)));
    }
    if args.flag("ceil", false) {
        pool.beyond = [pool.beyond(0, height), pool.beyond(1, width)];
    }
    // Without padding there is nothing to count.
    pool.count_pad = args.flag("count_include_pad", true) || pool.pad == [0, 0];
    Ok(Some(Op::new(pool)))
}

impl Pool {
    /// Whether all pixels of all windows count.
    fn counts_all(&self) -> bool {
        self.count_pad && !self.reaches_beyond()
    }

    /// Whether last windows reach beyond the padding.
    fn reaches_beyond(&self) -> bool {
        self.beyond != [0, 0]
    }

    /// How far one more window reaches beyond the padding, if that is less than a stride and it begins in the map or in
    /// the padding before it (PyTorch's rule); otherwise 0.
    fn beyond(&self, axis: usize, size: u64) -> u64 {
        let (kernel, stride, pad) = (self.kernel[axis], self.stride[axis], self.pad[axis]);
        let Some(rest) = (size + 2 * pad).checked_sub(kernel) else {
            let beyond = kernel - (size + 2 * pad);
            return if beyond < stride { beyond } else { 0 };
        };
        let next = (rest / stride + 1) * stride;
        match rest % stride != 0 && next < size + pad {
            true => next - rest,
            false => 0,
        }
    }
}

impl Operation for Pool {
    fn call(&self) -> Call {
        let name = match self.kind {
            PoolKind::Max => "max_pool",
            PoolKind::Average if self.counts_all() => "avg_pool",
            PoolKind::Average => "avg_pool_ceil",
        };
        let call = Call::new(name)
            .with("kernel_height", self.kernel[0])
            .with("kernel_width", self.kernel[1])
            .with("stride_height", self.stride[0])
            .with("stride_width", self.stride[1])
            .with("pad_height", self.pad[0])
            .with("pad_width", self.pad[1]);
        let call = match self.counts_all() || self.kind == PoolKind::Max {
            true => call,
            false => call
                .with("count_pad", self.count_pad)
                .with("ceil", self.reaches_beyond()),
        };
        match self.beyond {
            [0, 0] => call,
            [below, right] => call.with("below", below).with("right", right),
        }
    }

    fn word(&self) -> &'static str {
        match self.kind {
            PoolKind::Max => "max_pool",
            PoolKind::Average => "avg_pool",
        }
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let (channels, height, width) = map_of(self.word(), inputs[0])?;
        let along = |axis: usize, size: u64| {
            let pads = 2 * self.pad[axis] + self.beyond[axis];
            match (size + pads).checked_sub(self.kernel[axis]) {
                Some(rest) => Ok(rest / self.stride[axis] + 1),
                None => Err(reaches_zero(axis, size, pads, self.kernel[axis])),
            }
        };
        Ok(Shape::Map {
            channels,
            height: along(0, height)?,
            width: along(1, width)?,
        })
    }

    fn details(&self) -> Vec<String> {
        let mut words = vec![
            format!("kernel {}", pair(self.kernel)),
            format!("stride {}", pair(self.stride)),
        ];
        words.extend((self.pad != [0, 0]).then(|| format!("pad {}", pair(self.pad))));
        words.extend(self.reaches_beyond().then(|| "ceil".to_owned()));
        words.extend((!self.count_pad).then(|| "padding not counted".to_owned()));
        words
    }

    fn rust(&self, to: &mut Rust) {
        let ([ky, kx], [sy, sx]) = (self.kernel.map(rust::size), self.stride.map(rust::size));
        let [py, px] = self.pad.map(rust::size);
        let [below, right] = [0, 1].map(|axis| rust::size(self.pad[axis] + self.beyond[axis]));
        let name = match self.kind {
            PoolKind::Max => quote!(MaxPool),
            PoolKind::Average if self.counts_all() => quote!(AvgPool),
            PoolKind::Average => {
                let (count_pad, ceil) = (self.count_pad, self.reaches_beyond());
                let operation = quote! {
                    rt::op::AvgPoolCeil {
                        kernel_height: #ky,
                        kernel_width: #kx,
                        stride_height: #sy,
                        stride_width: #sx,
                        pad_height: #py,
                        pad_width: #px,
                        count_pad: #count_pad,
                        ceil: #ceil,
                    }
                };
                return to.composed(operation, &[]);
            }
        };
        to.call_typed(quote! {
            rt::op::#name::<
                rt::Kernel<#ky, #kx>, rt::Stride<#sy, #sx>, rt::Pad<#py, #below, #px, #right>,
            >::apply(x)
        });
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (mut x, [mut py, mut px], [below, right]) = (to.x(), self.pad, self.beyond);
        let mut attributes = vec![
            onnx::sizes("kernel_shape", &self.kernel),
            onnx::sizes("strides", &self.stride),
        ];
        let op = match self.kind {
            PoolKind::Max => "MaxPool",
            PoolKind::Average => "AveragePool",
        };
        // What is beyond the padding never counts, and the node leaves out all of its padding or none.
        if self.kind == PoolKind::Average && self.count_pad && self.reaches_beyond() && self.pad != [0, 0] {
            x = to.pad(&x, &[0, 0, py, px, 0, 0, py, px]);
            [py, px] = [0, 0];
        }
        attributes.push(onnx::sizes("pads", &[py, px, py + below, px + right]));
        if self.kind == PoolKind::Average {
            attributes.push(onnx::int("count_include_pad", self.counts_all().into()));
        }
        to.node(op, &[&x], attributes)
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let [height, width, _] = lower::map(to.output());
        let size = PoolSize {
            max: self.kind == PoolKind::Max,
            input: lower::map(to.shape()),
            output: [height, width],
            kernel: self.kernel.map(lower::count),
            stride: self.stride.map(lower::count),
            pad: self.pad.map(lower::count),
            counted: if self.count_pad { self.pad } else { [0, 0] }.map(lower::count),
        };
        let x = to.x();
        Ok(to.step(Kind::Pool(size), &[x]))
    }

    fn python(&self, to: &mut Python) {
        let name = match self.kind {
            PoolKind::Max => "F.max_pool2d",
            PoolKind::Average => "F.avg_pool2d",
        };
        let mut args = vec![python::sizes(self.kernel)];
        args.extend((self.stride != self.kernel).then(|| format!("stride={}", python::sizes(self.stride))));
        args.extend((self.pad != [0, 0]).then(|| format!("padding={}", python::sizes(self.pad))));
        args.extend(self.reaches_beyond().then(|| "ceil_mode=True".to_owned()));
        args.extend((!self.count_pad).then(|| "count_include_pad=False".to_owned()));
        to.call(name, args);
    }
}
