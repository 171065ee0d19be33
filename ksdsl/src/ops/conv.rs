//! Convolutions: dense, depthwise and pointwise, and the projection of residual connections.

use super::geometry::{conv_step, of_kernel, padding, reaches_zero, taps_first};
use super::linear::linear;
use super::prelude::*;
use super::standardize::Standardize;
use crate::steps::ConvSize;

/// A convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Input channels.
    pub inputs: u64,
    /// Output channels.
    pub outputs: u64,
    /// Height and width of the kernel.
    pub kernel: [u64; 2],
    /// Vertical and horizontal step.
    pub stride: [u64; 2],
    /// Zero rows above and below, zero columns left and right.
    pub pad: [u64; 4],
    /// Vertical and horizontal distance between taps.
    pub dilation: [u64; 2],
    /// Groups.
    pub groups: u64,
    /// Whether a bias is added.
    pub bias: bool,
    /// How the kernel is standardised, if it is.
    pub standardize: Option<Standardize>,
    /// The initial values of kernel and bias.
    pub init: [Init; 2],
}

impl Operation for Conv {
    fn call(&self) -> Call {
        let [top, bottom, left, right] = self.pad;
        let call = Call::new("conv")
            .with("inputs", self.inputs)
            .with("outputs", self.outputs)
            .with("kernel_height", self.kernel[0])
            .with("kernel_width", self.kernel[1])
            .with("stride_height", self.stride[0])
            .with("stride_width", self.stride[1])
            .with("pad_top", top)
            .with("pad_bottom", bottom)
            .with("pad_left", left)
            .with("pad_right", right)
            .with("dilation_height", self.dilation[0])
            .with("dilation_width", self.dilation[1])
            .with("groups", self.groups)
            .with("bias", self.bias)
            .with("standardize", self.standardize.is_some());
        match self.standardize {
            Some(Standardize { gain, eps }) => call.with("gain", gain).with("eps", eps),
            None => call,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            conv if conv.is_kind("depthwise") => "depthwise",
            conv if conv.is_kind("pointwise") => "pointwise",
            _ => "conv",
        }
    }

    /// Every depthwise or pointwise convolution is also a `conv`.
    fn is_kind(&self, kind: &str) -> bool {
        match kind {
            "conv" => true,
            "depthwise" => self.groups > 1 && self.groups == self.inputs,
            "pointwise" => self.kernel == [1, 1],
            _ => false,
        }
    }

    fn argument(&self, param: &'static str) -> &'static str {
        if param == "channels" { "outputs" } else { param }
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let (_, height, width) = map_of("conv", inputs[0])?;
        let along = |axis: usize, size: u64, pads: u64| {
            let window = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            match (size + pads).checked_sub(window) {
                Some(rest) => Ok(rest / self.stride[axis] + 1),
                None => Err(reaches_zero(axis, size, pads, window)),
            }
        };
        let [top, bottom, left, right] = self.pad;
        Ok(Shape::Map {
            channels: self.outputs,
            height: along(0, height, top + bottom)?,
            width: along(1, width, left + right)?,
        })
    }

    fn tensors(&self) -> Vec<Tensor> {
        let [height, width] = self.kernel;
        let shape = [self.outputs, self.inputs / self.groups.max(1), height, width];
        let mut tensors = Tensor::weight_and_bias(&shape, self.bias, self.init);
        let gain = || Tensor::new("gain", &shape[..1], Part::Kernel, Init::Constant(Real(1.0)));
        tensors.extend(self.has_gain().then(gain));
        tensors
    }

    /// Stride, padding, dilation and initialisation may differ.
    fn sharing(&self) -> Option<Sharing> {
        let sliced = match self.groups {
            1 => Some("convolution"),
            groups => (groups == self.inputs && groups == self.outputs).then_some("depthwise convolution"),
        };
        let sizes = of_kernel(self.kernel, [self.inputs, self.outputs], self.groups);
        if let Some(standardize) = self.standardize {
            return Some(standardize.sharing(sizes));
        }
        Some(Sharing {
            what: "convolution",
            sizes,
            transposed: Some(Transposed {
                of: Alike {
                    what: "transposed convolution",
                    sizes: of_kernel(self.kernel, [self.outputs, self.inputs], self.groups),
                },
                exchanged: false,
            }),
            sliced: sliced.map(|what| Alike {
                what,
                sizes: vec![("kernel size", self.kernel.to_vec())],
            }),
            ..Sharing::default()
        })
    }

    fn macs(&self, output: Shape) -> u128 {
        let taps = self.inputs / self.groups.max(1) * self.kernel[0] * self.kernel[1];
        u128::from(taps) * u128::from(output.elements())
    }

    fn details(&self) -> Vec<String> {
        let [top, bottom, left, right] = self.pad;
        let mut words = vec![format!("kernel {}", pair(self.kernel))];
        words.extend((self.stride != [1, 1]).then(|| format!("stride {}", pair(self.stride))));
        words.extend((self.pad != [0; 4]).then(|| match (top == bottom, left == right) {
            (true, true) => format!("pad {}", pair([top, left])),
            _ => format!("pad {top}+{bottom} x {left}+{right}"),
        }));
        words.extend((self.dilation != [1, 1]).then(|| format!("dilation {}", pair(self.dilation))));
        words.extend((self.groups > 1).then(|| format!("groups {}", self.groups)));
        words.extend(self.bias.then(|| "bias".to_owned()));
        words.extend(self.standardize.into_iter().flat_map(Standardize::details));
        words
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        let [top, bottom, left, right] = self.pad;
        let reach = self.dilation[1].saturating_mul(self.kernel[1].saturating_sub(1));
        match (self.kernel[0], self.stride, [top, bottom, right]) {
            (1, [1, 1], [0, 0, 0]) if left == reach => Ok(()),
            _ => Err("it sees later positions or leaves positions out: it needs `pad = causal` and stride 1"),
        }
    }

    fn rust(&self, to: &mut Rust) {
        let ([sy, sx], [dy, dx]) = (self.stride.map(rust::size), self.dilation.map(rust::size));
        let (pad, groups) = (self.pad.map(rust::size), rust::size(self.groups));
        let (mut weight, bias) = (to.tensor("weight"), to.tensor("bias"));
        if let Some(standardize) = self.standardize {
            weight = standardize.rust(&weight, to);
        }
        to.call_typed(quote! {
            rt::op::Conv::<
                rt::Stride<#sy, #sx>, rt::Pad<#(#pad),*>, rt::Dilation<#dy, #dx>, #groups,
            >::apply(x, #weight, #bias)
        });
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let [top, bottom, left, right] = self.pad;
        let (x, mut weight) = (to.x(), to.weight());
        if let Some(standardize) = self.standardize {
            let [height, width] = self.kernel;
            let shape = [self.outputs, self.inputs / self.groups.max(1), height, width];
            weight = standardize.onnx(&weight, shape, to);
        }
        let mut inputs = vec![x, weight];
        inputs.extend(to.bias_inside());
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let attributes = vec![
            onnx::sizes("kernel_shape", &self.kernel),
            onnx::sizes("strides", &self.stride),
            onnx::sizes("pads", &[top, left, bottom, right]),
            onnx::sizes("dilations", &self.dilation),
            onnx::int("group", self.groups),
        ];
        let y = to.node("Conv", &inputs, attributes);
        to.after(y, to.output())
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        if self.standardize.is_some() {
            return Err(Unsupported::with("its kernel is standardised"));
        }
        let [top, _, left, _] = self.pad;
        let size = ConvSize {
            input: lower::map(to.shape()),
            output: lower::map(to.output()),
            kernel: self.kernel.map(lower::count),
            stride: self.stride.map(lower::count),
            pad: [top, left].map(lower::count),
            dilation: self.dilation.map(lower::count),
            groups: lower::count(self.groups),
        };
        let weight = to.made(["weight"], "taps first", |[kernel]| taps_first(kernel, &size))?;
        Ok(conv_step(to, size, weight))
    }

    fn python(&self, to: &mut Python) {
        let [above, below, left, right] = self.pad;
        let even = above == below && left == right;
        if !even {
            to.call("F.pad", vec![format!("({left}, {right}, {above}, {below})")]);
        }
        let mut args = to.tensors(&["weight", "bias"]);
        if let Some(standardize) = self.standardize {
            args[0] = standardize.python(&args[0], to);
        }
        args.extend((self.stride != [1, 1]).then(|| format!("stride={}", python::sizes(self.stride))));
        args.extend((even && [above, left] != [0, 0]).then(|| format!("padding={}", python::sizes([above, left]))));
        args.extend((self.dilation != [1, 1]).then(|| format!("dilation={}", python::sizes(self.dilation))));
        args.extend((self.groups != 1).then(|| format!("groups={}", self.groups)));
        to.call("F.conv2d", args);
    }
}

impl Conv {
    fn has_gain(&self) -> bool {
        self.standardize.is_some_and(|of| of.gain)
    }
}

pub(super) const LAYERS: &[LayerDef] = &[CONV, DEPTHWISE, POINTWISE];

const CONV: LayerDef = LayerDef {
    name: "conv",
    doc: "2-d convolution",
    params: &[
        param("channels", ParamKind::Size, true),
        param("kernel", ParamKind::Sizes, true),
        param("stride", ParamKind::Sizes, false),
        param("pad", ParamKind::Padding, false),
        param("dilation", ParamKind::Sizes, false),
        param("groups", ParamKind::Size, false),
        param("bias", ParamKind::Flag, false),
        param("init", ParamKind::Init, false),
        param("bias_init", ParamKind::Init, false),
        param("standardize", ParamKind::Flag, false),
        param("gain", ParamKind::Flag, false),
        param("eps", ParamKind::Number { min: 0.0, max: 1.0 }, false),
    ],
    family: Family::Weights,
    resolve: Resolve::One(|args, input| {
        let (inputs, height, width) = map_of("conv", input)?;
        let spec = Spec {
            outputs: args.size("channels", 1),
            groups: args.size("groups", 1),
            kernel: args.sizes("kernel", [1, 1]),
            stride: args.sizes("stride", [1, 1]),
            bias: false,
            groups_param: Some("groups"),
        };
        conv(args, spec, inputs, [height, width]).map(|conv| Some(Op::new(conv)))
    }),
};

const DEPTHWISE: LayerDef = LayerDef {
    name: "depthwise",
    doc: "depthwise 2-d convolution",
    params: &[
        param("kernel", ParamKind::Sizes, true),
        param("stride", ParamKind::Sizes, false),
        param("pad", ParamKind::Padding, false),
        param("dilation", ParamKind::Sizes, false),
        param("multiplier", ParamKind::Size, false),
        param("bias", ParamKind::Flag, false),
        param("init", ParamKind::Init, false),
        param("bias_init", ParamKind::Init, false),
    ],
    family: Family::Weights,
    resolve: Resolve::One(|args, input| {
        let (inputs, height, width) = map_of("depthwise", input)?;
        let spec = Spec {
            outputs: inputs * args.size("multiplier", 1),
            groups: inputs,
            kernel: args.sizes("kernel", [1, 1]),
            stride: args.sizes("stride", [1, 1]),
            bias: false,
            groups_param: None,
        };
        conv(args, spec, inputs, [height, width]).map(|conv| Some(Op::new(conv)))
    }),
};

const POINTWISE: LayerDef = LayerDef {
    name: "pointwise",
    doc: "1x1 convolution",
    params: &[
        param("channels", ParamKind::Size, true),
        param("stride", ParamKind::Sizes, false),
        param("groups", ParamKind::Size, false),
        param("bias", ParamKind::Flag, false),
        param("init", ParamKind::Init, false),
        param("bias_init", ParamKind::Init, false),
    ],
    family: Family::Weights,
    resolve: Resolve::One(|args, input| {
        if let Shape::Tokens { features, .. } = input {
            return Ok(Some(linear(args, features, args.size("channels", 1), false)));
        }
        let (inputs, height, width) = map_of("pointwise", input)?;
        let spec = Spec {
            outputs: args.size("channels", 1),
            groups: args.size("groups", 1),
            kernel: [1, 1],
            stride: args.sizes("stride", [1, 1]),
            bias: false,
            groups_param: Some("groups"),
        };
        conv(args, spec, inputs, [height, width]).map(|conv| Some(Op::new(conv)))
    }),
};

/// What a convolution is, but for what every kind of it reads of its arguments.
pub(super) struct Spec {
    pub(super) outputs: u64,
    pub(super) groups: u64,
    pub(super) kernel: [u64; 2],
    pub(super) stride: [u64; 2],
    /// Whether there is a bias by default.
    pub(super) bias: bool,
    /// The parameter that `groups` is from.
    pub(super) groups_param: Option<&'static str>,
}

/// A convolution of `inputs` maps of this size.
pub(super) fn conv(args: &Args, spec: Spec, inputs: u64, size: [u64; 2]) -> Result<Conv, Problem> {
    let Spec {
        outputs,
        groups,
        kernel,
        stride,
        bias,
        groups_param,
    } = spec;
    groups_divide([inputs, outputs], groups, groups_param)?;
    let dilation = args.sizes("dilation", [1, 1]);
    if args.padding("pad") == Padding::Causal && kernel[0] > 1 {
        let text = "`pad = causal` is for signals, whose samples follow each other, and maps have rows";
        return Err(Problem::new(Code::OutOfRange, text)
            .at("pad")
            .help("use a kernel of one row, or write `pad(top = ..., left = ...)` before"));
    }
    let pad = padding(args.padding("pad"), size, kernel, stride, dilation);
    let fan = |channels: u64| (channels / groups) as f64 * kernel[0] as f64 * kernel[1] as f64;
    Ok(Conv {
        inputs,
        outputs,
        kernel,
        stride,
        pad,
        dilation,
        groups,
        bias: args.flag("bias", bias),
        standardize: Standardize::of(args)?,
        init: Init::of_kernel_and_bias(args, fan(inputs), fan(outputs)),
    })
}
