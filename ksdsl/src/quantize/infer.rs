//! Runs a quantised program: plain loops on integers, the same that the C has.

use super::{ArrayId, Finish, Integers, Kind, Quantized, Scale, Step, TABLE_BITS, TABLE_END, TABLE_STEPS};
use crate::steps::{PoolSize, moved, sums, windows};

/// A sum before it is shifted is between minus this and this afterwards.
const MOST: i64 = 1 << 30;

/// The outputs for inputs of integers, as PyTorch lays them out.
pub fn infer(of: &Quantized, inputs: &[&[i8]]) -> Vec<Vec<i8>> {
    let program = &of.program;
    let mut left = program.uses_of_buffers();
    let mut values: Vec<Vec<i8>> = vec![Vec::new(); program.buffers.len()];
    for (port, input) in program.inputs.iter().zip(inputs) {
        values[port.buffer] = input.to_vec();
    }
    for step in &of.steps {
        let mut y = std::mem::take(&mut values[step.output]);
        y.resize(program.buffers[step.output].len(), 0);
        run(of, step, &values, &mut y);
        values[step.output] = y;
        for &id in &step.inputs {
            left[id] -= 1;
            if left[id] == 0 {
                values[id] = Vec::new();
            }
        }
    }
    let outputs = program.outputs.iter();
    outputs.map(|port| std::mem::take(&mut values[port.buffer])).collect()
}

/// The nearest integers to some numbers, halves away from 0.
pub fn quantized(values: &[f32], scale: Scale) -> Vec<i8> {
    let unit = scale.scale as f32;
    let one = |value: &f32| {
        let integer = (value / unit).round() + f32::from(scale.zero);
        integer.clamp(-128.0, 127.0) as i8
    };
    values.iter().map(one).collect()
}

/// `v / 2^n` to the nearest, halves up.
fn shift(v: i64, n: u8) -> i64 {
    let half = if n > 0 { 1 << (n - 1) } else { 0 };
    ((v + half) >> n).clamp(-MOST, MOST)
}

impl Quantized {
    fn i16s(&self, id: Option<ArrayId>) -> Option<&[i16]> {
        match &self.arrays[id?].data {
            Integers::I16(data) => Some(data),
            Integers::I8(_) | Integers::I32(_) => None,
        }
    }

    fn i8s(&self, id: ArrayId) -> &[i8] {
        match &self.arrays[id].data {
            Integers::I8(data) => data,
            Integers::I16(_) | Integers::I32(_) => &[],
        }
    }

    fn finish(&self, finish: &Finish, sum: i64) -> i8 {
        let mut y = shift(sum, finish.after);
        if let Some(Integers::I32(table)) = finish.table.map(|id| &self.arrays[id].data) {
            y = shift(looked_up(table, finish.identity, y) * i64::from(finish.c), finish.last);
        }
        (y + i64::from(finish.y)).clamp(finish.low.into(), finish.high.into()) as i8
    }

    /// The sum with the factor and the addition of its channel.
    fn with_channel(&self, step: &Step, sum: i64, channel: usize) -> i64 {
        let (factors, additions) = match step.kind {
            Kind::Conv { factors, additions, .. } => (Some(factors), additions),
            Kind::Affine { factors, additions } => (factors, additions),
            _ => (None, None),
        };
        let factor = self.i16s(factors).map(|factors| i64::from(factors[channel]));
        let addition = self
            .i16s(additions)
            .map_or(0, |additions| i64::from(additions[channel]));
        let sum = factor.map_or(sum, |factor| shift(sum * factor, step.finish.before));
        sum * i64::from(step.finish.a) + addition * i64::from(step.finish.b)
    }
}

/// The value of a function between the two nearest entries of its table.
fn looked_up(table: &[i32], identity: bool, y: i64) -> i64 {
    let end = i64::from(TABLE_END) << TABLE_BITS;
    let bits = TABLE_BITS - TABLE_STEPS.trailing_zeros() as u8;
    if y < -end {
        return table[0].into();
    }
    if y >= end {
        return if identity { y } else { table[table.len() - 1].into() };
    }
    let (at, rest) = ((y + end) >> bits, (y + end) & ((1 << bits) - 1));
    let [from, to] = [0, 1].map(|more| i64::from(table[at as usize + more]));
    from + shift((to - from) * rest, bits)
}

fn run(of: &Quantized, step: &Step, values: &[Vec<i8>], y: &mut [i8]) {
    let finish = &step.finish;
    let input = |at: usize| values[step.inputs[at]].as_slice();
    let channels = of.program.buffers[step.output].channels;
    let first = |at: usize| i64::from(input(0)[at]) - i64::from(finish.x);
    let other = |at: usize| i64::from(input(1)[at]) - i64::from(finish.other);
    let a = i64::from(finish.a);
    match &step.kind {
        Kind::Conv { size, kernel, .. } => {
            let kernel = of.i8s(*kernel);
            sums(size, |at, channel, taps| {
                let mut sum = 0;
                taps.each(|x, w| sum += first(x) * i64::from(kernel[w]));
                y[at] = of.finish(finish, of.with_channel(step, sum, channel));
            });
        }
        Kind::Affine { .. } => {
            for (at, y) in y.iter_mut().enumerate() {
                *y = of.finish(finish, of.with_channel(step, first(at), at % channels));
            }
        }
        Kind::Add => {
            let sum = |at: usize| first(at) * a + other(at) * i64::from(finish.b);
            y.iter_mut()
                .enumerate()
                .for_each(|(at, y)| *y = of.finish(finish, sum(at)));
        }
        Kind::Multiply | Kind::Gate | Kind::GatePositions => {
            for (at, y) in y.iter_mut().enumerate() {
                let factor = other(match step.kind {
                    Kind::Gate => at % channels,
                    Kind::GatePositions => at / channels,
                    _ => at,
                });
                *y = of.finish(finish, first(at) * factor * a);
            }
        }
        Kind::MaxPool(size) => max(size, input(0), y),
        Kind::AvgPool(size) => windows(size, |at, places, _| {
            let sum: i64 = places.iter().map(|place| first(*place)).sum();
            y[at] = of.finish(finish, sum * a);
        }),
        Kind::Move(part) => moved(part, |from, to| y[to] = of.finish(finish, first(from) * a)),
        Kind::Zero => y.fill(finish.y),
    }
}

fn max(size: &PoolSize, x: &[i8], y: &mut [i8]) {
    windows(size, |at, places, _| {
        y[at] = places.iter().map(|place| x[*place]).max().unwrap_or(0);
    });
}

#[cfg(test)]
mod tests {
    use super::{looked_up, shift};

    /// Floors of `v / 2^n + 1/2`.
    #[test]
    fn shifts_round_halves_up() {
        let found = [-5, -3, -2, -1, 0, 1, 2, 3, 5].map(|v| shift(v, 1));
        assert_eq!(found, [-2, -1, -1, 0, 0, 1, 1, 2, 3]);
        assert_eq!(shift(7, 0), 7);
        assert_eq!(shift(i64::MAX / 4, 1), 1 << 30);
    }

    #[test]
    fn tables_end_in_their_tails() {
        let table: Vec<i32> = (-256..=256).map(|step: i32| step.max(0) * 2048).collect();
        assert_eq!(looked_up(&table, true, 100 << 16), 100 << 16);
        assert_eq!(looked_up(&table, false, 100 << 16), 8 << 16);
        assert_eq!(looked_up(&table, true, -100 << 16), 0);
        // 1.3 between two entries of ReLU.
        assert_eq!(looked_up(&table, true, 85_197), 85_197);
    }
}
