//! Transposed convolutions.

use super::geometry::of_kernel;
use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "conv_transpose",
    doc: "transposed 2-d convolution (Zeiler et al. 2010)",
    params: &[
        param("channels", ParamKind::Size, true),
        param("kernel", ParamKind::Sizes, true),
        param("stride", ParamKind::Sizes, false),
        param("pad", ParamKind::Zeros, false),
        param("output_pad", ParamKind::Zeros, false),
        param("groups", ParamKind::Size, false),
        param("bias", ParamKind::Flag, false),
        param("init", ParamKind::Init, false),
        param("bias_init", ParamKind::Init, false),
    ],
    family: Family::Weights,
    resolve: Resolve::One(|args, input| conv_transpose(args, input).map(|op| Some(Op::new(op)))),
}];

/// A transposed convolution.
#[derive(Clone, Copy, Debug)]
pub struct ConvTranspose {
    inputs: u64,
    outputs: u64,
    kernel: [u64; 2],
    stride: [u64; 2],
    pad: [u64; 2],
    output_pad: [u64; 2],
    groups: u64,
    bias: bool,
    init: [Init; 2],
}

fn conv_transpose(args: &Args, input: Shape) -> Result<ConvTranspose, Problem> {
    let (inputs, ..) = map_of("conv_transpose", input)?;
    let (outputs, groups) = (args.size("channels", 1), args.size("groups", 1));
    groups_divide([inputs, outputs], groups, Some("groups"))?;
    let (kernel, stride) = (args.sizes("kernel", [1, 1]), args.sizes("stride", [1, 1]));
    let output_pad = args.sizes("output_pad", [0, 0]);
    if let Some(axis) = (0..2).find(|&axis| output_pad[axis] >= stride[axis]) {
        let (more, stride) = (output_pad[axis], stride[axis]);
        let text = format!("`output_pad` cannot be {more} with a stride of {stride}");
        return Err(Problem::new(Code::OutOfRange, text)
            .at("output_pad")
            .help(format!("use at most {}", stride - 1)));
    }
    // PyTorch takes the second axis of the kernel for the inputs, which here is that of the outputs.
    let fan = |channels: u64| (channels / groups) as f64 * kernel[0] as f64 * kernel[1] as f64;
    Ok(ConvTranspose {
        inputs,
        outputs,
        kernel,
        stride,
        pad: args.sizes("pad", [0, 0]),
        output_pad,
        groups,
        bias: args.flag("bias", false),
        init: Init::of_kernel_and_bias(args, fan(outputs), fan(inputs)),
    })
}

impl ConvTranspose {
    /// The size of the output along an axis; none if nothing is left of it.
    fn along(&self, axis: usize, size: u64) -> Option<u64> {
        let full = (size - 1) * self.stride[axis] + self.kernel[axis] + self.output_pad[axis];
        full.checked_sub(2 * self.pad[axis]).filter(|size| *size > 0)
    }

    /// Kernel elements that each element of the input is multiplied by.
    fn taps(&self) -> u64 {
        self.outputs / self.groups.max(1) * self.kernel[0] * self.kernel[1]
    }
}

impl Operation for ConvTranspose {
    fn call(&self) -> Call {
        Call::new("conv_transpose")
            .with("inputs", self.inputs)
            .with("channels", self.outputs)
            .with("kernel_height", self.kernel[0])
            .with("kernel_width", self.kernel[1])
            .with("stride_height", self.stride[0])
            .with("stride_width", self.stride[1])
            .with("pad_height", self.pad[0])
            .with("pad_width", self.pad[1])
            .with("output_pad_height", self.output_pad[0])
            .with("output_pad_width", self.output_pad[1])
            .with("groups", self.groups)
            .with("bias", self.bias)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let (_, height, width) = map_of(self.word(), inputs[0])?;
        let along = |axis: usize, size| {
            self.along(axis, size).ok_or_else(|| {
                let (name, pad) = (["height", "width"][axis], self.pad[axis]);
                let text = format!("the {name} reaches zero: {pad} of padding on both sides cut off all of it");
                Problem::new(Code::SizeReachesZero, text).help("use less padding or a larger kernel")
            })
        };
        Ok(Shape::Map {
            channels: self.outputs,
            height: along(0, height)?,
            width: along(1, width)?,
        })
    }

    fn tensors(&self) -> Vec<Tensor> {
        let [height, width] = self.kernel;
        let shape = [self.inputs, self.outputs / self.groups.max(1), height, width];
        let [of_weight, of_bias] = self.init;
        let mut tensors = vec![Tensor::new("weight", &shape, Part::Kernel, of_weight)];
        tensors.extend(
            self.bias
                .then(|| Tensor::new("bias", &[self.outputs], Part::Bias, of_bias)),
        );
        tensors
    }

    /// Stride, padding and initialisation may differ.
    fn sharing(&self) -> Option<Sharing> {
        Some(Sharing {
            what: "transposed convolution",
            sizes: of_kernel(self.kernel, [self.inputs, self.outputs], self.groups),
            transposed: Some(Transposed {
                of: Alike {
                    what: "convolution",
                    sizes: of_kernel(self.kernel, [self.outputs, self.inputs], self.groups),
                },
                exchanged: false,
            }),
            no_rows: Some("the kernel of a transposed convolution has no row for each output channel"),
            ..Sharing::default()
        })
    }

    /// Each element of the input is multiplied by its taps.
    fn macs(&self, output: Shape) -> u128 {
        let sizes = output.sizes();
        let input = |axis: usize| {
            let full = sizes.get(axis + 1).copied().unwrap_or(1) + 2 * self.pad[axis];
            let window = self.kernel[axis] + self.output_pad[axis];
            full.saturating_sub(window) / self.stride[axis].max(1) + 1
        };
        u128::from(self.taps()) * u128::from(self.inputs) * u128::from(input(0)) * u128::from(input(1))
    }

    fn details(&self) -> Vec<String> {
        let mut words = vec![format!("kernel {}", pair(self.kernel))];
        words.extend((self.stride != [1, 1]).then(|| format!("stride {}", pair(self.stride))));
        words.extend((self.pad != [0, 0]).then(|| format!("pad {}", pair(self.pad))));
        words.extend((self.output_pad != [0, 0]).then(|| format!("output pad {}", pair(self.output_pad))));
        words.extend((self.groups > 1).then(|| format!("groups {}", self.groups)));
        words.extend(self.bias.then(|| "bias".to_owned()));
        words
    }

    fn rust(&self, to: &mut Rust) {
        let [ky, kx] = self.kernel.map(rust::size);
        let [sy, sx] = self.stride.map(rust::size);
        let [py, px] = self.pad.map(rust::size);
        let [oy, ox] = self.output_pad.map(rust::size);
        let (channels, groups) = (rust::size(self.outputs), rust::size(self.groups));
        let (weight, bias) = (to.tensor("weight"), to.tensor("bias"));
        to.call_typed(quote! {
            rt::op::conv_transpose(
                rt::op::ConvTranspose {
                    channels: #channels,
                    kernel_height: #ky,
                    kernel_width: #kx,
                    stride_height: #sy,
                    stride_width: #sx,
                    pad_height: #py,
                    pad_width: #px,
                    output_pad_height: #oy,
                    output_pad_width: #ox,
                    groups: #groups,
                },
                x,
                #weight,
                #bias,
            )
        });
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let [height, width] = self.pad;
        let mut inputs = vec![to.x(), to.weight()];
        inputs.extend(to.tensor("bias"));
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let attributes = vec![
            onnx::sizes("kernel_shape", &self.kernel),
            onnx::sizes("strides", &self.stride),
            onnx::sizes("pads", &[height, width, height, width]),
            onnx::sizes("output_padding", &self.output_pad),
            onnx::int("group", self.groups),
        ];
        to.node("ConvTranspose", &inputs, attributes)
    }

    fn python(&self, to: &mut Python) {
        let mut args = to.tensors(&["weight", "bias"]);
        args.extend((self.stride != [1, 1]).then(|| format!("stride={}", python::sizes(self.stride))));
        args.extend((self.pad != [0, 0]).then(|| format!("padding={}", python::sizes(self.pad))));
        let more = || format!("output_padding={}", python::sizes(self.output_pad));
        args.extend((self.output_pad != [0, 0]).then(more));
        args.extend((self.groups != 1).then(|| format!("groups={}", self.groups)));
        to.call("F.conv_transpose2d", args);
    }
}
