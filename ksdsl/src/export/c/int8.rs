//! Steps as calls in integers.

use super::f32::{move_numbers, pool_numbers};
use super::make::Maker;
use super::{Arg, Data, Unit, int};
use crate::quantize::{Finish, Integers, Kind, Quantized, Scale, Step};
use crate::steps::Port;
use std::fmt::Write;

/// Units whose calls all need these functions but for those of copies, maxima and zeros.
const FINISH: [&str; 2] = ["ksn_shift", "ksn_finished"];

pub(super) fn unit(of: &Quantized) -> Unit {
    let mut maker = Maker::new(&of.program, "int8_t", 1);
    maker.steps(&of.program, |maker, at| {
        let step = &of.steps[at];
        let (kernel, args) = call(maker, of, step);
        maker.call(kernel, &step.place, args);
    });
    let mut unit = maker.unit;
    let kernels: Vec<&str> = unit.calls().map(|call| call.kernel).collect();
    if kernels
        .iter()
        .any(|kernel| !matches!(*kernel, "ksn_max_pool" | "ksn_write" | "ksn_zero"))
    {
        unit.helpers.extend(FINISH);
    }
    if kernels
        .iter()
        .any(|kernel| matches!(*kernel, "ksn_conv" | "ksn_depthwise" | "ksn_affine"))
    {
        unit.helpers.push("ksn_channel");
    }
    ports(&mut unit, of);
    unit
}

/// How the integers of inputs and outputs stand for numbers, and functions that convert them.
fn ports(unit: &mut Unit, of: &Quantized) {
    let upper = unit.name.to_uppercase();
    let sides = [
        (&of.program.inputs, unit.inputs.clone(), true),
        (&of.program.outputs, unit.outputs.clone(), false),
    ];
    for (ports, names, is_input) in sides {
        for (port, (name, len)) in ports.iter().zip(&names) {
            let Scale { scale, zero } = of.scales[port.buffer];
            let macros = format!("{upper}_{}", name.to_uppercase());
            unit.header.push(format!("#define {macros}_SCALE {:?}f", scale as f32));
            unit.header.push(format!("#define {macros}_ZERO ({zero})"));
            unit.functions
                .push(converter(&unit.name, (ports, port), (name, *len, &macros), is_input));
        }
    }
}

fn converter(
    unit: &str,
    (ports, port): (&[Port], &Port),
    (name, len, macros): (&str, usize, &str),
    is_input: bool,
) -> (String, String) {
    let more = if ports.len() > 1 {
        format!("_{}", super::word(&port.name))
    } else {
        String::new()
    };
    let declaration = match is_input {
        true => format!("void {unit}_quantize{more}(const float *values, int8_t *{name})"),
        false => format!("void {unit}_dequantize{more}(const int8_t *{name}, float *values)"),
    };
    let mut text = format!("{declaration}\n{{\n    uint32_t i;\n    for (i = 0; i < {len}; i++) {{\n");
    let body = match is_input {
        true => format!(
            "        const float v = values[i] / {macros}_SCALE;\n        \
             int32_t q = v > -1000 && v < 1000 ? (int32_t)v : v > 0 ? 1000 : -1000;\n        \
             const float rest = v - (float)q;\n        \
             q += {macros}_ZERO + (rest >= 0.5f) - (rest <= -0.5f);\n        \
             {name}[i] = (int8_t)(q < -128 ? -128 : q > 127 ? 127 : q);\n"
        ),
        false => format!("        values[i] = (float)({name}[i] - {macros}_ZERO) * {macros}_SCALE;\n"),
    };
    let _ = write!(text, "{body}    }}\n}}\n");
    (declaration, text)
}

fn array(maker: &mut Maker, of: &Quantized, id: Option<usize>) -> Arg {
    let Some(id) = id else { return Arg::Array(None) };
    let array = &of.arrays[id];
    maker.array((id, ""), &array.name, || match &array.data {
        Integers::I8(data) => Data::I8(data.clone()),
        Integers::I16(data) => Data::I16(data.clone()),
        Integers::I32(data) => Data::I32(data.clone()),
    })
}

/// An array with something for each channel.
fn of_channels(maker: &mut Maker, of: &Quantized, id: Option<usize>) -> Arg {
    let array = array(maker, of, id);
    maker.of_channels(array)
}

/// The numbers of a finish, in the order of the struct.
fn numbers(finish: &Finish) -> Vec<i64> {
    let Finish {
        a,
        b,
        c,
        before,
        after,
        last,
        x,
        other,
        y,
        low,
        high,
        identity,
        table: _,
    } = *finish;
    let factors = [a, b, c].map(i64::from);
    let shifts = [before, after, last].map(i64::from);
    let zeros = [x, other, y, low, high].map(i64::from);
    [&factors[..], &shifts, &zeros, &[i64::from(identity)]].concat()
}

fn call(maker: &mut Maker, of: &Quantized, step: &Step) -> (&'static str, Vec<Arg>) {
    let x = step.inputs.first().map(|id| maker.buffer(*id));
    let (x, y) = (x.unwrap_or(Arg::Array(None)), maker.buffer(step.output));
    let buffer = maker.extent(of.program.buffers[step.output]);
    let finish = |maker: &mut Maker| maker.integers("ksn_finish", &numbers(&step.finish));
    match &step.kind {
        Kind::Conv { .. } | Kind::Affine { .. } => of_weights(maker, of, step, [x, y]),
        Kind::Zero => ("ksn_zero", vec![y, int(buffer.len()), Arg::Int(step.finish.y.into())]),
        Kind::MaxPool(size) => ("ksn_max_pool", vec![maker.size("ksn_pool", &pool_numbers(size)), x, y]),
        Kind::AvgPool(size) => {
            let size = maker.size("ksn_pool", &pool_numbers(size));
            ("ksn_avg_pool", vec![size, finish(maker), x, y])
        }
        Kind::Move(part) => {
            let part = maker.size("ksn_move", &move_numbers(part));
            ("ksn_move", vec![part, finish(maker), x, y])
        }
        Kind::Add | Kind::Multiply | Kind::Gate | Kind::GatePositions => {
            let (other, table) = (maker.buffer(step.inputs[1]), array(maker, of, step.finish.table));
            let both = vec![int(buffer.positions), int(buffer.channels)];
            let [first, second] = [0, 1].map(|at| maker.distance(step.inputs[at]));
            let all = vec![int(buffer.len()), first, second];
            let (name, size) = match &step.kind {
                Kind::Add => ("ksn_add", all),
                Kind::Gate => ("ksn_gate", both),
                Kind::GatePositions => ("ksn_gate_positions", both),
                _ => ("ksn_multiply", all),
            };
            (name, [vec![finish(maker), x, other, table, y], size].concat())
        }
    }
}

fn of_weights(maker: &mut Maker, of: &Quantized, step: &Step, [x, y]: [Arg; 2]) -> (&'static str, Vec<Arg>) {
    let finish = maker.integers("ksn_finish", &numbers(&step.finish));
    let table = array(maker, of, step.finish.table);
    match &step.kind {
        Kind::Conv {
            size,
            kernel,
            factors,
            additions,
        } => {
            let name = if size.is_depthwise() {
                "ksn_depthwise"
            } else {
                "ksn_conv"
            };
            let size = maker.conv(*size);
            let arrays = [Some(*kernel), Some(*factors), *additions].map(|id| of_channels(maker, of, id));
            (name, [vec![size, finish, x], arrays.to_vec(), vec![table, y]].concat())
        }
        kind => {
            let (factors, additions) = match kind {
                Kind::Affine { factors, additions } => (*factors, *additions),
                _ => (None, None),
            };
            let arrays = [factors, additions].map(|id| of_channels(maker, of, id));
            let buffer = maker.extent(of.program.buffers[step.output]);
            let sizes = [buffer.positions, buffer.channels].map(int);
            (
                "ksn_affine",
                [vec![finish, x], arrays.to_vec(), vec![table, y], sizes.to_vec()].concat(),
            )
        }
    }
}
