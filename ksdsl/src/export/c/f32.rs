//! Steps as calls in single precision.

use super::make::Maker;
use super::{Arg, Data, Unit, int};
use crate::steps::{Binary, Buffer, ConstantId, ConvSize, Function, Kind, Move, PoolSize, Program, Step};

pub(super) fn unit(program: &Program) -> Unit {
    let mut maker = Maker::new(program, "float", 4);
    maker.steps(program, |maker, at| {
        let step = &program.steps[at];
        calls(maker, program, step);
        if let Some(function) = step.act {
            let y = maker.buffer(step.output);
            let len = maker.extent(program.buffers[step.output]).len();
            apply(maker, step, function, (y.clone(), y), len);
        }
    });
    maker.unit
}

/// The numbers of a convolution's sizes, in the order of the struct.
pub(super) fn conv_numbers(size: &ConvSize) -> Vec<usize> {
    let ConvSize {
        input,
        output,
        kernel,
        stride,
        pad,
        dilation,
        groups,
    } = size;
    [&input[..], output, kernel, stride, pad, dilation, &[*groups]].concat()
}

/// The numbers of a pooling's sizes, in the order of the struct.
pub(super) fn pool_numbers(size: &PoolSize) -> Vec<usize> {
    let PoolSize {
        input,
        output,
        kernel,
        stride,
        pad,
        counted,
        ..
    } = size;
    [&input[..], output, kernel, stride, pad, counted].concat()
}

/// The numbers of a move, in the order of the struct.
pub(super) fn move_numbers(part: &Move) -> Vec<usize> {
    [&part.count[..], &part.from, &part.to].concat()
}

fn array(maker: &mut Maker, program: &Program, id: Option<ConstantId>) -> Arg {
    let Some(id) = id else { return Arg::Array(None) };
    let constant = &program.constants[id];
    let array = maker.array((id, ""), &constant.name, || Data::F32(constant.data.clone()));
    maker.of_channels(array)
}

fn apply(maker: &mut Maker, step: &Step, function: Function, (x, y): (Arg, Arg), len: usize) {
    let known = function.known;
    maker.unit.of_value.entry(known.name).or_insert(known);
    let mut args = vec![x, y, int(len)];
    args.extend(
        function.numbers[..known.numbers]
            .iter()
            .map(|number| Arg::Real(*number)),
    );
    maker.call(known.name, &step.place, args);
}

/// The buffers of a step as arguments, and their sizes.
struct Ends {
    x: Arg,
    y: Arg,
    input: Buffer,
    output: Buffer,
}

impl Ends {
    fn of(maker: &Maker, program: &Program, step: &Step) -> Self {
        let first = step.inputs.first();
        Ends {
            x: first.map_or(Arg::Array(None), |id| maker.buffer(*id)),
            y: maker.buffer(step.output),
            input: maker.extent(program.buffers[*first.unwrap_or(&step.output)]),
            output: maker.extent(program.buffers[step.output]),
        }
    }

    /// Positions and channels of the output.
    fn sizes(&self) -> [Arg; 2] {
        [int(self.output.positions), int(self.output.channels)]
    }
}

/// A kernel and its arguments.
type Called = (&'static str, Vec<Arg>);

fn calls(maker: &mut Maker, program: &Program, step: &Step) {
    let ends = Ends::of(maker, program, step);
    let (kernel, args) = match &step.kind {
        Kind::Function(function) => {
            return apply(maker, step, *function, (ends.x, ends.y), ends.output.len());
        }
        Kind::Conv { .. } | Kind::Affine { .. } | Kind::Prelu(_) | Kind::Plus(_) | Kind::Write { .. } => {
            of_weights(maker, program, step, ends)
        }
        Kind::LayerNorm { .. } | Kind::RmsNorm { .. } | Kind::GroupNorm { .. } => norm(maker, program, step, ends),
        Kind::Binary(op) => binary(maker, *op, step, ends),
        Kind::Pool(size) => {
            let kernel = if size.max { "ksn_max_pool" } else { "ksn_avg_pool" };
            (
                kernel,
                vec![maker.size("ksn_pool", &pool_numbers(size)), ends.x, ends.y],
            )
        }
        Kind::Softmax { log, of_positions } => softmax([*log, *of_positions], ends),
        Kind::Attend { .. } => attend(maker, program, step, ends),
        Kind::Move(part) => {
            let part = maker.size("ksn_move", &move_numbers(part));
            ("ksn_move", vec![part, ends.x, ends.y])
        }
        Kind::Zero => ("ksn_zero", vec![ends.y, int(ends.output.len())]),
    };
    maker.call(kernel, &step.place, args);
}

fn of_weights(maker: &mut Maker, program: &Program, step: &Step, ends: Ends) -> Called {
    let [positions, channels] = ends.sizes();
    match &step.kind {
        Kind::Conv {
            size,
            weight,
            scale,
            shift,
        } => {
            let kernel = if size.is_depthwise() {
                "ksn_depthwise"
            } else {
                "ksn_conv"
            };
            let size = maker.conv(*size);
            let [weight, scale, shift] = [Some(*weight), *scale, *shift].map(|id| array(maker, program, id));
            (kernel, vec![size, ends.x, weight, scale, shift, ends.y])
        }
        Kind::Affine { scale, shift } => {
            let [scale, shift] = [*scale, *shift].map(|id| array(maker, program, id));
            ("ksn_affine", vec![ends.x, scale, shift, ends.y, positions, channels])
        }
        Kind::Prelu(slopes) => {
            let slopes = array(maker, program, Some(*slopes));
            ("ksn_prelu", vec![ends.x, slopes, ends.y, positions, channels])
        }
        Kind::Write { constant, at } => {
            let count = int(program.constants[*constant].data.len());
            (
                "ksn_write",
                vec![array(maker, program, Some(*constant)), ends.y, int(*at), count, int(1)],
            )
        }
        kind => {
            let added = array(maker, program, kind.constants().next());
            (
                "ksn_add",
                vec![ends.x, added, ends.y, int(ends.output.len()), int(1), int(1)],
            )
        }
    }
}

fn norm(maker: &mut Maker, program: &Program, step: &Step, ends: Ends) -> Called {
    let [positions, channels] = ends.sizes();
    match &step.kind {
        Kind::RmsNorm { weight, heads, eps } => {
            let sizes = [ends.output.positions * heads, ends.output.channels / heads].map(int);
            let weight = array(maker, program, *weight);
            let args = [vec![ends.x, weight, ends.y], sizes.to_vec(), vec![Arg::Real(*eps)]];
            ("ksn_rms_norm", args.concat())
        }
        Kind::GroupNorm { affine, groups, eps } => {
            let [weight, bias] = [0, 1].map(|at| array(maker, program, affine.map(|affine| affine[at])));
            let args = vec![
                ends.x,
                weight,
                bias,
                ends.y,
                positions,
                channels,
                int(*groups),
                Arg::Real(*eps),
            ];
            ("ksn_group_norm", args)
        }
        kind => {
            let eps = if let Kind::LayerNorm { eps, .. } = kind {
                *eps
            } else {
                0.0
            };
            let mut weights = kind.constants();
            let [weight, bias] = [weights.next(), weights.next()].map(|id| array(maker, program, id));
            let args = vec![ends.x, weight, bias, ends.y, positions, channels, Arg::Real(eps)];
            ("ksn_layer_norm", args)
        }
    }
}

fn binary(maker: &Maker, op: Binary, step: &Step, ends: Ends) -> Called {
    let other = maker.buffer(step.inputs[1]);
    let [first, second] = [0, 1].map(|at| maker.distance(step.inputs[at]));
    let (len, both) = (vec![int(ends.output.len()), first, second], ends.sizes().to_vec());
    let (kernel, size) = match op {
        Binary::Add => ("ksn_add", len),
        Binary::Subtract => ("ksn_subtract", len),
        Binary::Multiply => ("ksn_multiply", len),
        Binary::Gate => ("ksn_gate", both),
        Binary::GatePositions => ("ksn_gate_positions", both),
    };
    (kernel, [vec![ends.x, other, ends.y], size].concat())
}

fn softmax([log, of_positions]: [bool; 2], ends: Ends) -> Called {
    let Buffer { positions, channels } = ends.input;
    let sizes = match of_positions {
        true => [channels, 1, positions, channels],
        false => [positions, channels, channels, 1],
    };
    let kernel = if log { "ksn_log_softmax" } else { "ksn_softmax" };
    (kernel, [vec![ends.x, ends.y], sizes.map(int).to_vec()].concat())
}

fn attend(maker: &Maker, program: &Program, step: &Step, ends: Ends) -> Called {
    let (heads, key_heads, causal) = match step.kind {
        Kind::Attend {
            heads,
            key_heads,
            causal,
        } => (heads, key_heads, causal),
        _ => (1, 1, false),
    };
    let [keys, values] = [1, 2].map(|at| maker.buffer(step.inputs[at]));
    let width = ends.output.channels / heads;
    let counts = [
        ends.output.positions,
        program.buffers[step.inputs[1]].positions,
        heads,
        key_heads,
        width,
        usize::from(causal),
    ];
    let scale = Arg::Real(1.0 / (width as f32).sqrt());
    let args = [
        vec![ends.x, keys, values, ends.y],
        counts.map(int).to_vec(),
        vec![scale],
    ];
    ("ksn_attend", args.concat())
}
