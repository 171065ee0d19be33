//! Convolutions: dense, depthwise and pointwise, and the projection of residual connections.

use super::{Args, InitChoice, LayerDef, Padding, ParamDef, ParamKind, Problem, Resolve, map_of};
use crate::diag::Code;
use crate::ir::{Algorithm, Conv, Init, Op, Real, Shape};

const fn param(name: &'static str, kind: ParamKind, required: bool) -> ParamDef {
    ParamDef { name, kind, required }
}

/// The words of [`Algorithm`].
const ALGORITHM: ParamKind = ParamKind::Word(&[
    Algorithm::Auto.word(),
    Algorithm::Direct.word(),
    Algorithm::Winograd.word(),
    Algorithm::ToomCook.word(),
]);

pub(super) const CONV: LayerDef = LayerDef {
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
        param("algorithm", ALGORITHM, false),
    ],
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
        conv(args, spec, inputs, [height, width])
    }),
};

pub(super) const DEPTHWISE: LayerDef = LayerDef {
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
        param("algorithm", ALGORITHM, false),
    ],
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
        conv(args, spec, inputs, [height, width])
    }),
};

pub(super) const POINTWISE: LayerDef = LayerDef {
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
    resolve: Resolve::One(|args, input| {
        let (inputs, height, width) = map_of("pointwise", input)?;
        let spec = Spec {
            outputs: args.size("channels", 1),
            groups: args.size("groups", 1),
            kernel: [1, 1],
            stride: args.sizes("stride", [1, 1]),
            bias: false,
            groups_param: Some("groups"),
        };
        conv(args, spec, inputs, [height, width])
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
pub(super) fn conv(args: &Args, spec: Spec, inputs: u64, size: [u64; 2]) -> Result<Op, Problem> {
    let Spec {
        outputs,
        groups,
        kernel,
        stride,
        bias,
        groups_param,
    } = spec;
    for (count, which) in [(inputs, "input"), (outputs, "output")] {
        if count % groups != 0 {
            let problem = Problem::new(
                Code::GroupsDoNotDivide,
                format!("{count} {which} channels cannot be split into {groups} groups"),
            )
            .help(format!(
                "{groups} must divide both {inputs} input and {outputs} output channels"
            ));
            return Err(match groups_param {
                Some(name) => problem.at(name),
                None => problem,
            });
        }
    }
    let dilation = args.sizes("dilation", [1, 1]);
    let pad = padding(args.padding("pad"), size, kernel, stride, dilation);
    let fan = |channels: u64| (channels / groups) as f64 * kernel[0] as f64 * kernel[1] as f64;
    let word = args.word("algorithm", Algorithm::Auto.word());
    let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.word() == word);
    let conv = Conv {
        inputs,
        outputs,
        kernel,
        stride,
        pad,
        dilation,
        groups,
        bias: args.flag("bias", bias),
        init: inits(args, fan(inputs), fan(outputs)),
        algorithm: algorithm.unwrap_or_default(),
    };
    match cannot(&conv) {
        Some(reason) => Err(Problem::new(
            Code::AlgorithmDoesNotApply,
            format!("`{word}` does not support this convolution: {reason}"),
        )
        .at("algorithm")
        .help("use `direct`, or remove `algorithm`")),
        None => Ok(Op::Conv(conv)),
    }
}

/// Why the algorithm that was chosen for a convolution cannot compute it.
fn cannot(conv: &Conv) -> Option<String> {
    let pair = |[y, x]: [u64; 2]| format!("{y}x{x}");
    let stride =
        (conv.stride != [1, 1]).then(|| format!("it requires stride 1, but this one has {}", pair(conv.stride)));
    match conv.algorithm {
        Algorithm::Auto | Algorithm::Direct => None,
        Algorithm::Winograd if conv.groups > 1 => Some(format!(
            "it requires groups = 1, but this one has {} groups",
            conv.groups
        )),
        Algorithm::Winograd if conv.kernel != [3, 3] => Some(format!(
            "it requires a 3x3 kernel, but this one is {}",
            pair(conv.kernel)
        )),
        Algorithm::Winograd => stride
            .or_else(|| {
                let dilated = conv.dilation != [1, 1];
                dilated.then(|| format!("it requires dilation 1, but this one has {}", pair(conv.dilation)))
            })
            .or_else(|| {
                let wide = conv.pad.iter().max().filter(|pad| **pad > 2)?;
                Some(format!("it requires padding of at most 2, but this one has {wide}"))
            }),
        Algorithm::ToomCook if [conv.inputs, conv.outputs] != [conv.groups; 2] => {
            Some("it requires a depthwise convolution with one output channel per input channel".to_owned())
        }
        Algorithm::ToomCook => stride.or_else(|| {
            let [_, along] = conv.dilation;
            (along != 1).then(|| format!("it requires dilation 1 along the rows, but this one has {along}"))
        }),
    }
}

/// The initial values of kernel and bias. The default is that of PyTorch's convolutions and linear layers: uniform
/// within `1 / sqrt(fan_in)` for both (Kaiming uniform with `a = sqrt(5)`). It also applies to the projections of
/// attention, where `nn.MultiheadAttention` uses Xavier uniform and zero biases.
pub(super) fn inits(args: &Args, fan_in: f64, fan_out: f64) -> [Init; 2] {
    ["init", "bias_init"].map(|param| init(args.init(param), fan_in, fan_out))
}

/// The initial value of a parameter of these fans.
pub(super) fn init(choice: Option<InitChoice>, fan_in: f64, fan_out: f64) -> Init {
    let fans = fan_in + fan_out;
    match choice {
        None => Init::Uniform(Real(1.0 / fan_in.sqrt())),
        Some(InitChoice::KaimingNormal) => Init::Normal(Real((2.0 / fan_in).sqrt())),
        Some(InitChoice::KaimingUniform) => Init::Uniform(Real((6.0 / fan_in).sqrt())),
        Some(InitChoice::XavierNormal) => Init::Normal(Real((2.0 / fans).sqrt())),
        Some(InitChoice::XavierUniform) => Init::Uniform(Real((6.0 / fans).sqrt())),
        Some(InitChoice::Constant(value)) => Init::Constant(Real(value)),
        Some(InitChoice::Normal(value)) => Init::Normal(Real(value)),
        Some(InitChoice::Uniform(value)) => Init::Uniform(Real(value)),
    }
}

/// Padding above, below, left and right. `same` makes the output `ceil(input / stride)`; where the
/// total is odd, the extra zeros go below and to the right, as in TensorFlow and PyTorch (which refuses `same` with
/// strides).
fn padding(padding: Padding, size: [u64; 2], kernel: [u64; 2], stride: [u64; 2], dilation: [u64; 2]) -> [u64; 4] {
    let sides = |axis: usize| match padding {
        Padding::Zeros(pad) => [pad[axis], pad[axis]],
        Padding::Same => {
            let outputs = size[axis].div_ceil(stride[axis]);
            let needed = (outputs.max(1) - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1;
            let total = needed.saturating_sub(size[axis]);
            [total / 2, total - total / 2]
        }
    };
    let ([top, bottom], [left, right]) = (sides(0), sides(1));
    [top, bottom, left, right]
}

/// The output of a convolution over maps of this size.
pub fn conv_output(conv: &Conv, height: u64, width: u64) -> Result<Shape, Problem> {
    let along = |axis: usize, size: u64, pads: u64| {
        let window = conv.dilation[axis] * (conv.kernel[axis] - 1) + 1;
        match (size + pads).checked_sub(window) {
            Some(rest) => Ok(rest / conv.stride[axis] + 1),
            None => Err(reaches_zero(
                if axis == 0 { "height" } else { "width" },
                size,
                pads,
                window,
            )),
        }
    };
    let [top, bottom, left, right] = conv.pad;
    Ok(Shape::Map {
        channels: conv.outputs,
        height: along(0, height, top + bottom)?,
        width: along(1, width, left + right)?,
    })
}

/// The problem that a window does not fit into a map.
pub(super) fn reaches_zero(axis: &str, size: u64, pads: u64, window: u64) -> Problem {
    let padded = match pads {
        0 => String::new(),
        _ => format!(" (with {pads} of padding)"),
    };
    Problem::new(
        Code::SizeReachesZero,
        format!("the {axis} reaches zero: a window of {window} does not fit into {size}{padded}"),
    )
    .help("use a smaller kernel, more padding, or fewer strides before this layer")
}

/// The 1x1 convolution that takes a residual's input to the shape of its main way, if there is
/// one: its stride is what takes one spatial size to the other.
pub fn projection(input: Shape, output: Shape) -> Option<Conv> {
    let (
        Shape::Map {
            channels: inputs,
            height,
            width,
        },
        Shape::Map {
            channels: outputs,
            height: out_height,
            width: out_width,
        },
    ) = (input, output)
    else {
        return None;
    };
    // The smallest stride s with ceil(size / s) == out; none for an output larger than the input.
    let stride = |size: u64, out: u64| {
        let stride = size.div_ceil(out);
        (size.div_ceil(stride) == out).then_some(stride)
    };
    Some(Conv {
        inputs,
        outputs,
        kernel: [1, 1],
        stride: [stride(height, out_height)?, stride(width, out_width)?],
        pad: [0; 4],
        dilation: [1, 1],
        groups: 1,
        bias: false,
        init: inits(&Args::default(), inputs as f64, outputs as f64),
        algorithm: Algorithm::Auto,
    })
}
