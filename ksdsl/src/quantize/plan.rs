//! From ranges to integers.

use super::scales::{integer, rows, scales};
use super::{
    Array, ArrayId, Finish, Integers, Kind, Quantized, Ranges, Scale, Step, TABLE_BITS, TABLE_END, TABLE_STEPS,
};
use crate::steps::{self, Binary, ConstantId, ConvSize, Function, Program, Tail};
use std::collections::HashMap;
use std::fmt;

/// Why a program cannot be quantised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The layer.
    pub place: String,
    /// What is in the way, in words.
    pub what: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` cannot be quantised: {}", self.place, self.what)
    }
}

impl std::error::Error for Error {}

/// Products in a sum of 32 bits.
const MOST_TAPS: usize = 65_535;
/// Factors of channels are between minus this and this.
const MOST_FACTOR: f64 = 32_767.0;

/// Quantises a program to these ranges.
///
/// # Errors
/// If a step has no integer form, or a range is not finite.
pub fn quantize(program: &Program, ranges: &Ranges) -> Result<Quantized, Error> {
    let overflows = |step: &&steps::Step| !ranges.0[step.output].iter().all(|end| end.is_finite());
    if let Some(step) = program.steps.iter().find(overflows) {
        return Err(Error {
            place: step.place.clone(),
            what: "its outputs overflow in single precision".to_owned(),
        });
    }
    let mut planner = Planner {
        program,
        scales: scales(program, ranges),
        arrays: Vec::new(),
        known: HashMap::new(),
    };
    let steps = program.steps.iter().map(|step| planner.step(step));
    let steps = steps.collect::<Result<_, _>>()?;
    Ok(Quantized {
        program: program.clone(),
        scales: planner.scales,
        arrays: planner.arrays,
        steps,
    })
}

/// Two factors in fixed point, and the shift that takes them back: the larger has 30 bits.
fn fixed(factors: [f64; 2]) -> ([i32; 2], u8) {
    let most = factors.iter().fold(0.0, |most: f64, factor| most.max(factor.abs()));
    let limit = f64::from(1 << 30);
    let mut shift = 0u8;
    while shift < 62 && most > 0.0 && most * f64::from(shift + 1).exp2() < limit {
        shift += 1;
    }
    let one = |factor: f64| (factor * f64::from(shift).exp2()).round().clamp(-limit, limit) as i32;
    (factors.map(one), shift)
}

/// What an activation is in integers.
enum Act {
    Clamp([f64; 2]),
    Table(Function),
}

/// What an array is made of: constants, and what for.
type ArrayKey = (Vec<Option<ConstantId>>, &'static str);

struct Planner<'p> {
    program: &'p Program,
    scales: Vec<Scale>,
    arrays: Vec<Array>,
    known: HashMap<ArrayKey, (ArrayId, f64)>,
}

impl Planner<'_> {
    fn step(&mut self, step: &steps::Step) -> Result<Step, Error> {
        let fails = |what: String| Error {
            place: step.place.clone(),
            what,
        };
        let (kind, sums) = self.sums(step).map_err(fails)?;
        let function = match &step.kind {
            steps::Kind::Function(function) => Some(*function),
            _ => step.act,
        };
        let act = match function {
            None => Act::Clamp([f64::NEG_INFINITY, f64::INFINITY]),
            Some(function) => {
                let name = function.known.name;
                of_function(function).ok_or_else(|| fails(format!("the function `{name}` is not in 8 bits")))?
            }
        };
        Ok(Step {
            place: step.place.clone(),
            kind,
            inputs: step.inputs.clone(),
            output: step.output,
            finish: self.finish(step, sums, &act),
        })
    }

    /// What a step sums up; an error in words if that is nothing in integers.
    fn sums(&mut self, step: &steps::Step) -> Result<(Kind, Sums), String> {
        Ok(match &step.kind {
            steps::Kind::Conv { size, .. } if size.taps() > MOST_TAPS => {
                let taps = size.taps();
                return Err(format!("its sums have {taps} products, of at most {MOST_TAPS}"));
            }
            steps::Kind::Conv {
                size,
                weight,
                scale,
                shift,
            } => self.conv(step, size, (*weight, *scale, *shift)),
            steps::Kind::Affine { scale, shift } => self.affine(step, *scale, *shift),
            steps::Kind::Function(_) => self.affine(step, None, None),
            steps::Kind::Binary(op) => self.binary(step, *op),
            steps::Kind::Pool(size) if size.max => (Kind::MaxPool(*size), self.of_input(step, 1.0)),
            steps::Kind::Pool(size) => match size.same_count() {
                None => return Err("its windows at the border count fewer values".to_owned()),
                Some(count) if count > MOST_TAPS => {
                    return Err(format!("its windows have {count} values, of at most {MOST_TAPS}"));
                }
                Some(count) => (Kind::AvgPool(*size), self.of_input(step, 1.0 / count as f64)),
            },
            steps::Kind::Move(part) => (Kind::Move(*part), self.of_input(step, 1.0)),
            steps::Kind::Zero => (Kind::Zero, Sums::default()),
            other => return Err(format!("{} not in 8 bits", word(other))),
        })
    }

    fn input(&self, step: &steps::Step, at: usize) -> Scale {
        self.scales[step.inputs[at]]
    }

    /// What a sum of the first input's integers, times a factor, stands for.
    fn of_input(&self, step: &steps::Step, factor: f64) -> Sums {
        Sums {
            a: self.input(step, 0).scale * factor,
            ..Sums::default()
        }
    }

    fn conv(
        &mut self,
        step: &steps::Step,
        size: &ConvSize,
        (weight, scale, shift): (ConstantId, Option<ConstantId>, Option<ConstantId>),
    ) -> (Kind, Sums) {
        let rows = rows(size, &self.program.constants[weight].data);
        let kernel = self.kernel(weight, size, &rows);
        let of_channel = |at: usize| rows[at] * self.number(scale, at, 1.0);
        let factors: Vec<f64> = (0..rows.len()).map(of_channel).collect();
        let (factors, unit) = self.sixteen((vec![Some(weight), scale], "factors"), &factors);
        let (additions, of_addition) = self.additions(shift);
        // The largest sum times the largest factor.
        let bits = (127.0 * 255.0 * size.taps() as f64 * MOST_FACTOR).log2().ceil();
        let before = (bits - 30.0).max(0.0);
        let sums = Sums {
            a: unit * self.input(step, 0).scale * before.exp2(),
            b: of_addition,
            before: before as u8,
        };
        let kind = Kind::Conv {
            size: *size,
            kernel,
            factors,
            additions,
        };
        (kind, sums)
    }

    fn affine(&mut self, step: &steps::Step, scale: Option<ConstantId>, shift: Option<ConstantId>) -> (Kind, Sums) {
        let factors = scale.map(|id| {
            let data: Vec<f64> = self.program.constants[id].data.iter().copied().map(f64::from).collect();
            self.sixteen((vec![scale], "factors"), &data)
        });
        let (additions, b) = self.additions(shift);
        let unit = factors.map_or(1.0, |(_, unit)| unit);
        let sums = Sums {
            a: unit * self.input(step, 0).scale,
            b,
            before: 0,
        };
        let factors = factors.map(|(id, _)| id);
        (Kind::Affine { factors, additions }, sums)
    }

    fn binary(&mut self, step: &steps::Step, op: Binary) -> (Kind, Sums) {
        let [a, b] = [0, 1].map(|at| self.input(step, at).scale);
        let sum = |b: f64| Sums { a, b, before: 0 };
        let product = Sums {
            a: a * b,
            ..Sums::default()
        };
        match op {
            Binary::Add => (Kind::Add, sum(b)),
            Binary::Subtract => (Kind::Add, sum(-b)),
            Binary::Multiply => (Kind::Multiply, product),
            Binary::Gate => (Kind::Gate, product),
            Binary::GatePositions => (Kind::GatePositions, product),
        }
    }

    fn number(&self, id: Option<ConstantId>, at: usize, other: f64) -> f64 {
        id.map_or(other, |id| f64::from(self.program.constants[id].data[at]))
    }

    fn additions(&mut self, shift: Option<ConstantId>) -> (Option<ArrayId>, f64) {
        let Some(id) = shift else { return (None, 0.0) };
        let data: Vec<f64> = self.program.constants[id].data.iter().copied().map(f64::from).collect();
        let (array, unit) = self.sixteen((vec![shift], "additions"), &data);
        (Some(array), unit)
    }

    /// Numbers as integers of 16 bits and their unit, once for each key.
    fn sixteen(&mut self, key: (Vec<Option<ConstantId>>, &'static str), data: &[f64]) -> (ArrayId, f64) {
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let most = data.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        let unit = if most > 0.0 { most / MOST_FACTOR } else { 1.0 };
        let integers = data.iter().map(|value| (value / unit).round() as i16).collect();
        let last = key.0.iter().flatten().next_back().copied();
        let name = last.map_or_else(String::new, |id| self.program.constants[id].name.clone());
        self.arrays.push(Array {
            name: format!("{name} {}", key.1),
            data: Integers::I16(integers),
        });
        let made = (self.arrays.len() - 1, unit);
        self.known.insert(key, made);
        made
    }

    /// A kernel as integers of 8 bits, each of whose rows has its own unit.
    fn kernel(&mut self, weight: ConstantId, size: &ConvSize, rows: &[f64]) -> ArrayId {
        let key = (vec![Some(weight)], "kernel");
        if let Some((id, _)) = self.known.get(&key) {
            return *id;
        }
        let constant = &self.program.constants[weight];
        let data = constant.data.iter().enumerate();
        let data = data.map(|(at, value)| integer(*value, rows[size.row(at)])).collect();
        self.arrays.push(Array {
            name: constant.name.clone(),
            data: Integers::I8(data),
        });
        self.known.insert(key, (self.arrays.len() - 1, 0.0));
        self.arrays.len() - 1
    }

    /// The table of a function, once.
    fn table(&mut self, function: Function) -> ArrayId {
        let name = format!("{} {:?}", function.known.name, function.numbers);
        let known = self.arrays.iter().position(|array| array.name == name);
        known.unwrap_or_else(|| {
            let unit = f64::from(TABLE_BITS).exp2();
            let at = |step: i32| f64::from(function.at((f64::from(step) / f64::from(TABLE_STEPS)) as f32));
            let end = TABLE_END * TABLE_STEPS;
            let data = (-end..=end).map(|step| (at(step) * unit).round() as i32).collect();
            self.arrays.push(Array {
                name,
                data: Integers::I32(data),
            });
            self.arrays.len() - 1
        })
    }

    fn finish(&mut self, step: &steps::Step, sums: Sums, act: &Act) -> Finish {
        let y = self.scales[step.output];
        let zero = |at: usize| step.inputs.get(at).map_or(0, |id| self.scales[*id].zero);
        let mut finish = Finish {
            before: sums.before,
            x: zero(0),
            other: zero(1),
            y: y.zero,
            low: -128,
            high: 127,
            ..Finish::default()
        };
        let unit = match act {
            Act::Clamp(limits) => {
                let limit = |value: f64| (f64::from(y.zero) + value / y.scale).round().clamp(-128.0, 127.0) as i8;
                [finish.low, finish.high] = limits.map(limit);
                y.scale
            }
            Act::Table(function) => {
                finish.table = Some(self.table(*function));
                finish.identity = function.known.tails[1] == Tail::Identity;
                let unit = f64::from(TABLE_BITS).exp2();
                let ([c, _], last) = fixed([1.0 / unit / y.scale, 0.0]);
                (finish.c, finish.last) = (c, last);
                1.0 / unit
            }
        };
        let ([a, b], after) = fixed([sums.a / unit, sums.b / unit]);
        (finish.a, finish.b, finish.after) = (a, b, after);
        finish
    }
}

/// What sums stand for: `sum * a + addition * b`.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    a: f64,
    b: f64,
    before: u8,
}

fn of_function(function: Function) -> Option<Act> {
    match function.known.limits {
        Some(limits) => Some(Act::Clamp(limits(function.numbers))),
        None if function.known.tails.contains(&Tail::Other) => None,
        None => Some(Act::Table(function)),
    }
}

fn word(kind: &steps::Kind) -> &'static str {
    match kind {
        steps::Kind::Softmax { .. } => {
            "softmax is not needed to find the largest output: end the network with the logits; it is"
        }
        steps::Kind::LayerNorm { .. } | steps::Kind::RmsNorm { .. } | steps::Kind::GroupNorm { .. } => {
            "a norm with statistics of its input is"
        }
        steps::Kind::Attend { .. } => "attention is",
        steps::Kind::Prelu(_) => "PReLU is",
        _ => "constants among activations are",
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
