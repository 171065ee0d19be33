//! Runs steps in single precision, by plain loops: the reference of what is written in C, and the source of ranges.

use super::{Binary, BufferId, ConstantId, ConvSize, Kind, PoolSize, Program, Step};

/// The outputs for these inputs. `seen` gets each buffer whenever something was written to it.
pub fn run(program: &Program, inputs: &[&[f32]], mut seen: impl FnMut(BufferId, &[f32])) -> Vec<Vec<f32>> {
    let mut left = program.uses_of_buffers();
    let mut values: Vec<Vec<f32>> = vec![Vec::new(); program.buffers.len()];
    for (port, input) in program.inputs.iter().zip(inputs) {
        values[port.buffer] = input.to_vec();
        seen(port.buffer, input);
    }
    for step in &program.steps {
        let mut y = std::mem::take(&mut values[step.output]);
        y.resize(program.buffers[step.output].len(), 0.0);
        of_step(program, step, &values, &mut y);
        if let Some(function) = step.act {
            y.iter_mut().for_each(|value| *value = function.at(*value));
        }
        seen(step.output, &y);
        values[step.output] = y;
        for &id in &step.inputs {
            left[id] -= 1;
            if left[id] == 0 {
                values[id] = Vec::new();
            }
        }
    }
    program
        .outputs
        .iter()
        .map(|port| std::mem::take(&mut values[port.buffer]))
        .collect()
}

/// The constants of a program.
#[derive(Clone, Copy)]
struct Constants<'p>(&'p Program);

impl<'p> Constants<'p> {
    fn get(self, id: ConstantId) -> &'p [f32] {
        &self.0.constants[id].data
    }

    /// A number of a constant, or another where there is none.
    fn number(self, id: Option<ConstantId>, at: usize, other: f32) -> f32 {
        id.map_or(other, |id| self.get(id)[at])
    }
}

/// One step without its activation.
pub(crate) fn of_step(program: &Program, step: &Step, values: &[Vec<f32>], y: &mut [f32]) {
    let constants = Constants(program);
    let input = |at: usize| values[step.inputs[at]].as_slice();
    let channels = program.buffers[step.output].channels;
    match &step.kind {
        Kind::Conv { .. } => conv(constants, &step.kind, input(0), y),
        Kind::Affine { scale, shift } => {
            for (at, (y, x)) in y.iter_mut().zip(input(0)).enumerate() {
                let channel = at % channels;
                *y = x * constants.number(*scale, channel, 1.0) + constants.number(*shift, channel, 0.0);
            }
        }
        Kind::Function(function) => y.iter_mut().zip(input(0)).for_each(|(y, x)| *y = function.at(*x)),
        Kind::Prelu(slopes) => {
            for (at, (y, x)) in y.iter_mut().zip(input(0)).enumerate() {
                *y = if *x > 0.0 {
                    *x
                } else {
                    x * constants.get(*slopes)[at % channels]
                };
            }
        }
        Kind::Binary(op) => binary(*op, [input(0), input(1)], y, channels),
        Kind::Plus(added) => {
            let both = input(0).iter().zip(constants.get(*added));
            y.iter_mut().zip(both).for_each(|(y, (x, added))| *y = x + added);
        }
        Kind::Pool(size) => pool(size, input(0), y),
        Kind::Softmax { log, of_positions } => softmax(input(0), y, channels, [*log, *of_positions]),
        Kind::LayerNorm { .. } | Kind::RmsNorm { .. } | Kind::GroupNorm { .. } => {
            norm(constants, &step.kind, (input(0), y), channels);
        }
        Kind::Attend {
            heads,
            key_heads,
            causal,
        } => attend(
            [input(0), input(1), input(2)],
            y,
            channels,
            ([*heads, *key_heads], *causal),
        ),
        Kind::Move(part) => moved(part, |from, to| y[to] = input(0)[from]),
        Kind::Write { constant, at } => {
            let data = constants.get(*constant);
            y[*at..at + data.len()].copy_from_slice(data);
        }
        Kind::Zero => y.fill(0.0),
    }
}

fn conv(constants: Constants<'_>, kind: &Kind, x: &[f32], y: &mut [f32]) {
    let Kind::Conv {
        size,
        weight,
        scale,
        shift,
    } = kind
    else {
        return;
    };
    let kernel = constants.get(*weight);
    sums(size, |at, channel, taps| {
        let mut sum = 0.0;
        taps.each(|x_at, w_at| sum += x[x_at] * kernel[w_at]);
        y[at] = sum * constants.number(*scale, channel, 1.0) + constants.number(*shift, channel, 0.0);
    });
}

fn binary(op: Binary, [a, b]: [&[f32]; 2], y: &mut [f32], channels: usize) {
    for (at, y) in y.iter_mut().enumerate() {
        *y = match op {
            Binary::Add => a[at] + b[at],
            Binary::Subtract => a[at] - b[at],
            Binary::Multiply => a[at] * b[at],
            Binary::Gate => a[at] * b[at % channels],
            Binary::GatePositions => a[at] * b[at / channels],
        };
    }
}

fn norm(constants: Constants<'_>, kind: &Kind, (x, y): (&[f32], &mut [f32]), channels: usize) {
    y.copy_from_slice(x);
    match kind {
        Kind::RmsNorm { weight, heads, eps } => {
            y.chunks_mut(channels / heads).for_each(|row| {
                let squares: f32 = row.iter().map(|value| value * value).sum();
                let factor = 1.0 / (squares / row.len() as f32 + eps).sqrt();
                for (at, value) in row.iter_mut().enumerate() {
                    *value *= factor * constants.number(*weight, at, 1.0);
                }
            });
        }
        Kind::LayerNorm { weight, bias, eps } => {
            y.chunks_mut(channels).for_each(|row| {
                let [mean, factor] = moments(row.iter().copied(), *eps);
                for (at, value) in row.iter_mut().enumerate() {
                    let [weight, bias] = [(weight, 1.0), (bias, 0.0)].map(|(of, none)| constants.number(*of, at, none));
                    *value = (*value - mean) * factor * weight + bias;
                }
            });
        }
        Kind::GroupNorm { affine, groups, eps } => {
            let of_group = channels / groups;
            let [weight, bias] = [0, 1].map(|of| affine.map(|affine| affine[of]));
            for group in 0..*groups {
                let inside = |at: &usize| at % channels / of_group == group;
                let [mean, factor] = moments((0..x.len()).filter(inside).map(|at| x[at]), *eps);
                for at in (0..x.len()).filter(inside) {
                    let (channel, value) = (at % channels, (x[at] - mean) * factor);
                    y[at] = value * constants.number(weight, channel, 1.0) + constants.number(bias, channel, 0.0);
                }
            }
        }
        _ => {}
    }
}

/// The taps of one output that lie in the input.
pub(crate) struct Taps<'s> {
    size: &'s ConvSize,
    row: usize,
    column: usize,
    channel: usize,
}

impl Taps<'_> {
    /// The places of the factors in the input and in the kernel, in the order in which C adds their products.
    pub(crate) fn each(&self, mut each: impl FnMut(usize, usize)) {
        let size = self.size;
        let [height, width, channels] = size.input;
        let inputs = channels / size.groups;
        let depthwise = size.is_depthwise();
        let first = self.channel / (size.output[2] / size.groups) * inputs;
        for ky in 0..size.kernel[0] {
            let Some(y) = inside(self.row * size.stride[0] + ky * size.dilation[0], size.pad[0], height) else {
                continue;
            };
            for kx in 0..size.kernel[1] {
                let Some(x) = inside(self.column * size.stride[1] + kx * size.dilation[1], size.pad[1], width) else {
                    continue;
                };
                let (at, tap) = ((y * width + x) * channels, ky * size.kernel[1] + kx);
                if depthwise {
                    each(at + self.channel, tap * channels + self.channel);
                    continue;
                }
                let kernel = (self.channel * size.kernel[0] * size.kernel[1] + tap) * inputs;
                (0..inputs).for_each(|input| each(at + first + input, kernel + input));
            }
        }
    }
}

fn inside(at: usize, pad: usize, size: usize) -> Option<usize> {
    at.checked_sub(pad).filter(|at| *at < size)
}

/// Each output of a convolution: its place, its channel and its taps.
pub(crate) fn sums(size: &ConvSize, mut each: impl FnMut(usize, usize, Taps<'_>)) {
    let [height, width, channels] = size.output;
    for at in 0..height * width * channels {
        let (position, channel) = (at / channels, at % channels);
        let taps = Taps {
            size,
            row: position / width,
            column: position % width,
            channel,
        };
        each(at, channel, taps);
    }
}

/// Each window of pooling: the place of the output, the values of its channel in the input, and how many count.
pub(crate) fn windows(size: &PoolSize, mut each: impl FnMut(usize, &[usize], usize)) {
    let [height, width, channels] = size.input;
    let mut places = Vec::new();
    for at in 0..size.output[0] * size.output[1] * channels {
        let (position, channel) = (at / channels, at % channels);
        let start = [position / size.output[1], position % size.output[1]];
        let along = |axis: usize, len: usize| {
            let (from, counted) = (start[axis] * size.stride[axis], size.counted[axis]);
            let (to, pad) = (from + size.kernel[axis], size.pad[axis]);
            let counts = to.min(len + pad + counted) - from.max(pad - counted);
            (from.max(pad) - pad..to.min(len + pad).max(from.max(pad)) - pad, counts)
        };
        let ((rows, counted_rows), (columns, counted_columns)) = (along(0, height), along(1, width));
        places.clear();
        for row in rows {
            places.extend(
                columns
                    .clone()
                    .map(|column| (row * width + column) * channels + channel),
            );
        }
        each(at, &places, counted_rows * counted_columns);
    }
}

fn pool(size: &PoolSize, x: &[f32], y: &mut [f32]) {
    windows(size, |at, places, counted| {
        let values = places.iter().map(|place| x[*place]);
        y[at] = match size.max {
            true => values.fold(f32::NEG_INFINITY, f32::max),
            false => values.sum::<f32>() / counted as f32,
        };
    });
}

/// Each copy of a move: from where to where.
pub(crate) fn moved(part: &super::Move, mut each: impl FnMut(usize, usize)) {
    let at = |of: &[usize; 4], i: [usize; 3]| of[0] + i[0] * of[1] + i[1] * of[2] + i[2] * of[3];
    for i in 0..part.count[0] {
        for j in 0..part.count[1] {
            for k in 0..part.count[2] {
                each(at(&part.from, [i, j, k]), at(&part.to, [i, j, k]));
            }
        }
    }
}

fn moments(values: impl Iterator<Item = f32> + Clone, eps: f32) -> [f32; 2] {
    let count = values.clone().count() as f32;
    let mean = values.clone().sum::<f32>() / count;
    let variance = values.map(|value| (value - mean) * (value - mean)).sum::<f32>() / count;
    [mean, 1.0 / (variance + eps).sqrt()]
}

fn softmax(x: &[f32], y: &mut [f32], channels: usize, [log, of_positions]: [bool; 2]) {
    let positions = x.len() / channels;
    let (rows, len) = if of_positions {
        (channels, positions)
    } else {
        (positions, channels)
    };
    for row in 0..rows {
        let place = |at: usize| {
            if of_positions {
                at * channels + row
            } else {
                row * channels + at
            }
        };
        let most = (0..len).map(|at| x[place(at)]).fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = (0..len).map(|at| (x[place(at)] - most).exp()).sum();
        for at in 0..len {
            let value = x[place(at)] - most;
            y[place(at)] = if log { value - sum.ln() } else { value.exp() / sum };
        }
    }
}

fn attend([q, k, v]: [&[f32]; 3], y: &mut [f32], channels: usize, ([heads, key_heads], causal): ([usize; 2], bool)) {
    let width = channels / heads;
    let of_key = width * key_heads;
    let keys = k.len() / of_key;
    let scale = 1.0 / (width as f32).sqrt();
    for query in 0..q.len() / channels {
        let seen = if causal { (query + 1).min(keys) } else { keys };
        for head in 0..heads {
            let (at, first) = (query * channels + head * width, head / (heads / key_heads) * width);
            let score = |key: usize| {
                let both = q[at..at + width].iter().zip(&k[key * of_key + first..]);
                both.map(|(q, k)| q * k).sum::<f32>() * scale
            };
            let scores: Vec<f32> = (0..seen).map(score).collect();
            let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let shares: Vec<f32> = scores.iter().map(|score| (score - most).exp()).collect();
            let sum: f32 = shares.iter().sum();
            for channel in 0..width {
                let values = shares.iter().enumerate();
                let value = values.map(|(key, share)| share * v[key * of_key + first + channel]);
                y[at + channel] = value.sum::<f32>() / sum;
            }
        }
    }
}
