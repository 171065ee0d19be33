//! Linear layers.

use super::geometry::conv_step;
use super::prelude::*;
use crate::steps::ConvSize;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "linear",
    doc: "linear layer",
    params: &[
        param("features", ParamKind::Size, true),
        param("bias", ParamKind::Flag, false),
        param("init", ParamKind::Init, false),
        param("bias_init", ParamKind::Init, false),
    ],
    family: Family::Weights,
    resolve: Resolve::One(|args, input| match input {
        Shape::Flat(inputs) => Ok(Some(linear(args, inputs, args.size("features", 1), true))),
        Shape::Tokens { features, .. } => Ok(Some(linear(args, features, args.size("features", 1), true))),
        Shape::Ids { .. } => Err(super::not_taken("linear", input)),
        Shape::Map { .. } | Shape::Signal { .. } => Err(Problem::new(
            Code::WrongInput,
            format!("`linear` expects a vector, but its input has the shape {input}"),
        )
        .help("add `global_avg_pool` or `flatten` before it, or write `pointwise`, a linear layer at each position")),
    }),
}];

pub(super) fn linear(args: &Args, inputs: u64, outputs: u64, bias: bool) -> Op {
    Op::new(Linear {
        inputs,
        outputs,
        bias: args.flag("bias", bias),
        init: Init::of_kernel_and_bias(args, inputs as f64, outputs as f64),
    })
}

/// A linear layer.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// Input features.
    pub inputs: u64,
    /// Output features.
    pub outputs: u64,
    /// Whether a bias is added.
    pub bias: bool,
    /// The initial values of kernel and bias.
    pub init: [Init; 2],
}

impl Operation for Linear {
    fn call(&self) -> Call {
        Call::new("linear")
            .with("inputs", self.inputs)
            .with("outputs", self.outputs)
            .with("bias", self.bias)
    }

    fn argument(&self, param: &'static str) -> &'static str {
        if param == "features" { "outputs" } else { param }
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Ok(inputs[0].with_channels(self.outputs))
    }

    fn tensors(&self) -> Vec<Tensor> {
        Tensor::weight_and_bias(&[self.outputs, self.inputs], self.bias, self.init)
    }

    fn sharing(&self) -> Option<Sharing> {
        let alike = |sizes| Alike {
            what: "linear layer",
            sizes,
        };
        let between = |inputs, outputs| {
            alike(vec![
                ("number of input channels", vec![inputs]),
                ("number of output channels", vec![outputs]),
            ])
        };
        let Alike { what, sizes } = between(self.inputs, self.outputs);
        Some(Sharing {
            what,
            sizes,
            transposed: Some(Transposed {
                of: between(self.outputs, self.inputs),
                exchanged: true,
            }),
            sliced: Some(alike(Vec::new())),
            ..Sharing::default()
        })
    }

    fn macs(&self, output: Shape) -> u128 {
        u128::from(self.inputs) * u128::from(output.elements())
    }

    fn details(&self) -> Vec<String> {
        (!self.bias).then(|| "no bias".to_owned()).into_iter().collect()
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let (weight, bias) = (to.tensor("weight"), to.tensor("bias"));
        to.call(match to.output() {
            Shape::Tokens { .. } => quote!(rt::op::linear_at(x, #weight, #bias)),
            _ => quote!(rt::op::linear(x, #weight, #bias)),
        });
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (mut x, shape) = (to.x(), to.shape());
        let is_sequence = matches!(shape, Shape::Tokens { .. });
        if is_sequence {
            x = to.reshape(&x, &[-1, onnx::long(self.inputs)]);
        }
        // `Gemm` takes the kernel as it is stored, whichever way that is.
        let mut inputs = vec![x, to.weight()];
        inputs.extend(to.bias_inside());
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let stored = onnx::int("transB", u64::from(!to.is_exchanged()));
        let y = to.node("Gemm", &inputs, vec![stored]);
        let mut y = to.after(y, Shape::Flat(self.outputs));
        if is_sequence {
            y = to.reshape(&y, &[-1, onnx::long(shape.pixels()), onnx::long(self.outputs)]);
        }
        y
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let [input, output] = [to.shape(), to.output()].map(lower::map);
        let size = ConvSize {
            input,
            output,
            kernel: [1, 1],
            stride: [1, 1],
            pad: [0, 0],
            dilation: [1, 1],
            groups: 1,
        };
        let weight = to.needed("weight")?;
        Ok(conv_step(to, size, weight))
    }

    fn python(&self, to: &mut Python) {
        to.call("F.linear", to.tensors(&["weight", "bias"]));
    }
}
