//! Average pooling to a fixed size.

use super::prelude::*;
use crate::steps::{Kind, PoolSize};

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "adaptive_avg_pool",
    doc: "average pooling to maps of a fixed size",
    params: &[
        param("height", ParamKind::Size, true),
        param("width", ParamKind::Size, false),
    ],
    family: Family::Other,
    resolve: Resolve::One(|args, input| {
        map_of("adaptive_avg_pool", input)?;
        let first = args.size("height", 1);
        // Of a signal the one size is the length.
        let height = if matches!(input, Shape::Signal { .. }) {
            1
        } else {
            first
        };
        let width = args.size("width", first);
        Ok(Some(Op::new(AdaptiveAvgPool { height, width })))
    }),
}];

/// Averages over windows that cover a map evenly.
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveAvgPool {
    height: u64,
    width: u64,
}

/// For each of so many outputs the factors of the inputs, the mean of a window of which begins and ends where it does in
/// PyTorch.
fn means(inputs: u64, outputs: u64) -> Vec<f64> {
    let window = |at: u64| at * inputs / outputs..((at + 1) * inputs).div_ceil(outputs);
    let factors = |window: std::ops::Range<u64>| {
        let factor = 1.0 / (window.end - window.start) as f64;
        (0..inputs).map(move |input| if window.contains(&input) { factor } else { 0.0 })
    };
    (0..outputs).flat_map(|at| factors(window(at))).collect()
}

impl Operation for AdaptiveAvgPool {
    fn call(&self) -> Call {
        Call::new("adaptive_avg_pool")
            .with("height", self.height)
            .with("width", self.width)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let (channels, ..) = map_of(self.word(), inputs[0])?;
        Ok(Shape::Map {
            channels,
            height: self.height,
            width: self.width,
        })
    }

    fn details(&self) -> Vec<String> {
        vec![format!("size {}x{}", self.height, self.width)]
    }

    fn rust(&self, to: &mut Rust) {
        let (height, width) = (rust::size(self.height), rust::size(self.width));
        to.composed(quote!(rt::op::AdaptiveAvgPool { height: #height, width: #width }), &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let x = to.x();
        let Shape::Map { height, width, .. } = to.shape() else {
            return x;
        };
        if height.is_multiple_of(self.height) && width.is_multiple_of(self.width) {
            let window = [height / self.height, width / self.width];
            let attributes = vec![onnx::sizes("kernel_shape", &window), onnx::sizes("strides", &window)];
            return to.node("AveragePool", &[&x], attributes);
        }
        // Windows of different sizes: the rows and columns of the output are weighted sums of those of the input.
        let rows = to.reals(&[self.height, height], means(height, self.height));
        let columns = to.reals(&[self.width, width], means(width, self.width));
        let columns = to.transpose(&columns, &[1, 0]);
        let y = to.apply("MatMul", &[&rows, &x]);
        to.apply("MatMul", &[&y, &columns])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let (input @ [height, width, _], output) =
            (lower::map(to.shape()), [self.height, self.width].map(lower::count));
        if height % output[0] != 0 || width % output[1] != 0 {
            return Err(Unsupported::with(format!(
                "its windows differ: {height}x{width} is not divisible by {}x{}",
                self.height, self.width
            )));
        }
        let kernel = [height / output[0], width / output[1]];
        let size = PoolSize {
            max: false,
            input,
            output,
            kernel,
            stride: kernel,
            pad: [0, 0],
            counted: [0, 0],
        };
        let x = to.x();
        Ok(to.step(Kind::Pool(size), &[x]))
    }

    fn python(&self, to: &mut Python) {
        to.call(
            "F.adaptive_avg_pool2d",
            vec![format!("({}, {})", self.height, self.width)],
        );
    }
}
