//! Steps as calls in single precision.

use super::{Arg, Data, Maker, Unit, int};
use crate::steps::{Binary, ConstantId, ConvSize, Function, Kind, Move, PoolSize, Program, Step};

pub(super) fn unit(program: &Program) -> Unit {
    let mut maker = Maker::new(program, "float", 4);
    for step in &program.steps {
        calls(&mut maker, program, step);
        if let Some(function) = step.act {
            let y = maker.buffer(step.output);
            apply(
                &mut maker,
                step,
                function,
                (y.clone(), y),
                program.buffers[step.output].len(),
            );
        }
    }
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
    maker.array((id, ""), &constant.name, || Data::F32(constant.data.clone()))
}

fn apply(maker: &mut Maker, step: &Step, function: Function, (x, y): (Arg, Arg), len: usize) {
    let known = function.known();
    let mut args = vec![x, y, int(len)];
    args.extend(
        function.numbers[..known.numbers]
            .iter()
            .map(|number| Arg::Real(*number)),
    );
    maker.call(known.name, &step.place, args);
}

fn calls(maker: &mut Maker, program: &Program, step: &Step) {
    let x = step.inputs.first().map(|id| maker.buffer(*id));
    let x = x.unwrap_or(Arg::Array(None));
    let y = maker.buffer(step.output);
    let buffer = program.buffers[step.output];
    let (len, channels) = (int(buffer.len()), int(buffer.channels));
    let input = step.inputs.first().map_or(buffer, |id| program.buffers[*id]);
    let (kernel, args) = match &step.kind {
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
            let size = maker.size("ksn_conv", &conv_numbers(size));
            let [weight, scale, shift] = [Some(*weight), *scale, *shift].map(|id| array(maker, program, id));
            (kernel, vec![size, x, weight, scale, shift, y])
        }
        Kind::Affine { scale, shift } => {
            let [scale, shift] = [*scale, *shift].map(|id| array(maker, program, id));
            ("ksn_affine", vec![x, scale, shift, y, int(buffer.positions), channels])
        }
        Kind::Function(function) => return apply(maker, step, *function, (x, y), buffer.len()),
        Kind::Prelu(slopes) => {
            let slopes = array(maker, program, Some(*slopes));
            ("ksn_prelu", vec![x, slopes, y, int(buffer.positions), channels])
        }
        Kind::Binary(op) => {
            let other = maker.buffer(step.inputs[1]);
            let (kernel, size) = match op {
                Binary::Add => ("ksn_add", vec![len]),
                Binary::Subtract => ("ksn_subtract", vec![len]),
                Binary::Multiply => ("ksn_multiply", vec![len]),
                Binary::Gate => ("ksn_gate", vec![int(buffer.positions), channels]),
                Binary::GatePositions => ("ksn_gate_positions", vec![int(buffer.positions), channels]),
            };
            (kernel, [vec![x, other, y], size].concat())
        }
        Kind::Plus(added) => {
            let added = array(maker, program, Some(*added));
            ("ksn_add", vec![x, added, y, len])
        }
        Kind::Pool(size) => {
            let kernel = if size.max { "ksn_max_pool" } else { "ksn_avg_pool" };
            let size = maker.size("ksn_pool", &pool_numbers(size));
            (kernel, vec![size, x, y])
        }
        Kind::Softmax { log, of_positions } => {
            let sizes = match of_positions {
                true => [input.channels, 1, input.positions, input.channels],
                false => [input.positions, input.channels, input.channels, 1],
            };
            let kernel = if *log { "ksn_log_softmax" } else { "ksn_softmax" };
            (kernel, [vec![x, y], sizes.map(int).to_vec()].concat())
        }
        Kind::LayerNorm { weight, bias, eps } => {
            let [weight, bias] = [*weight, *bias].map(|id| array(maker, program, Some(id)));
            let sizes = [int(buffer.positions), channels, Arg::Real(*eps)];
            ("ksn_layer_norm", [vec![x, weight, bias, y], sizes.to_vec()].concat())
        }
        Kind::RmsNorm { weight, heads, eps } => {
            let weight = array(maker, program, Some(*weight));
            let sizes = [
                int(buffer.positions * heads),
                int(buffer.channels / heads),
                Arg::Real(*eps),
            ];
            ("ksn_rms_norm", [vec![x, weight, y], sizes.to_vec()].concat())
        }
        Kind::GroupNorm { affine, groups, eps } => {
            let [weight, bias] = [0, 1].map(|at| array(maker, program, affine.map(|affine| affine[at])));
            let sizes = [int(buffer.positions), channels, int(*groups), Arg::Real(*eps)];
            ("ksn_group_norm", [vec![x, weight, bias, y], sizes.to_vec()].concat())
        }
        Kind::Attend {
            heads,
            key_heads,
            causal,
        } => {
            let [keys, values] = [1, 2].map(|at| maker.buffer(step.inputs[at]));
            let counts = [
                buffer.positions,
                program.buffers[step.inputs[1]].positions,
                *heads,
                *key_heads,
                buffer.channels / heads,
                usize::from(*causal),
            ];
            let width = Arg::Real(1.0 / ((buffer.channels / heads) as f32).sqrt());
            let args = [vec![x, keys, values, y], counts.map(int).to_vec(), vec![width]];
            ("ksn_attend", args.concat())
        }
        Kind::Move(part) => {
            let part = maker.size("ksn_move", &move_numbers(part));
            ("ksn_move", vec![part, x, y])
        }
        Kind::Write { constant, at } => {
            let data = array(maker, program, Some(*constant));
            let count = int(program.constants[*constant].data.len());
            ("ksn_write", vec![data, y, int(*at), count])
        }
        Kind::Zero => ("ksn_zero", vec![y, len]),
    };
    maker.call(kernel, &step.place, args);
}
