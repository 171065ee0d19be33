//! Pooling over windows.

use super::conv::reaches_zero;
use super::prelude::*;

const WINDOW: &[ParamDef] = &[
    param("kernel", ParamKind::Sizes, true),
    param("stride", ParamKind::Sizes, false),
    param("pad", ParamKind::Zeros, false),
];

pub(super) const LAYERS: &[LayerDef] = &[
    LayerDef {
        name: "avg_pool",
        doc: "average pooling, padding included",
        params: WINDOW,
        family: Family::Other,
        resolve: Resolve::One(|args, input| pool(PoolKind::Average, args, input)),
    },
    LayerDef {
        name: "max_pool",
        doc: "max pooling",
        params: WINDOW,
        family: Family::Other,
        resolve: Resolve::One(|args, input| pool(PoolKind::Max, args, input)),
    },
];

/// Maximum or average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// Maximum.
    Max,
    /// Average, padding counted.
    Average,
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
}

fn pool(kind: PoolKind, args: &Args, input: Shape) -> Result<Option<Op>, Problem> {
    let kernel = args.sizes("kernel", [1, 1]);
    let pool = Pool {
        kind,
        kernel,
        stride: args.sizes("stride", kernel),
        pad: args.sizes("pad", [0, 0]),
    };
    map_of(pool.word(), input)?;
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
    Ok(Some(Op::new(pool)))
}

impl Operation for Pool {
    fn call(&self) -> Call {
        let name = match self.kind {
            PoolKind::Max => "max_pool",
            PoolKind::Average => "avg_pool",
        };
        Call::new(name)
            .with("kernel_height", self.kernel[0])
            .with("kernel_width", self.kernel[1])
            .with("stride_height", self.stride[0])
            .with("stride_width", self.stride[1])
            .with("pad_height", self.pad[0])
            .with("pad_width", self.pad[1])
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let (channels, height, width) = map_of(self.word(), inputs[0])?;
        let along = |axis: usize, size: u64| match (size + 2 * self.pad[axis]).checked_sub(self.kernel[axis]) {
            Some(rest) => Ok(rest / self.stride[axis] + 1),
            None => Err(reaches_zero(axis, size, 2 * self.pad[axis], self.kernel[axis])),
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
        words
    }

    fn rust(&self, to: &mut Rust) {
        let name = match self.kind {
            PoolKind::Max => quote!(MaxPool),
            PoolKind::Average => quote!(AvgPool),
        };
        let ([ky, kx], [sy, sx]) = (self.kernel.map(rust::size), self.stride.map(rust::size));
        let [py, px] = self.pad.map(rust::size);
        to.call_typed(quote! {
            rt::op::#name::<
                rt::Kernel<#ky, #kx>, rt::Stride<#sy, #sx>, rt::Pad<#py, #py, #px, #px>,
            >::apply(x)
        });
    }

    fn python(&self, to: &mut Python) {
        let name = match self.kind {
            PoolKind::Max => "F.max_pool2d",
            PoolKind::Average => "F.avg_pool2d",
        };
        let mut args = vec![python::sizes(self.kernel)];
        args.extend((self.stride != self.kernel).then(|| format!("stride={}", python::sizes(self.stride))));
        args.extend((self.pad != [0, 0]).then(|| format!("padding={}", python::sizes(self.pad))));
        to.call(name, args);
    }
}
