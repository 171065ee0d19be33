//! Training of kernels under the rounding of integers (quantisation-aware training; Jacob et al. 2018, arXiv 1712.05877,
//! section 3).
//!
//! The forward pass rounds kernels and activations where the integers of [`super::quantize`] do, in floating point. The
//! backward pass takes rounding for the identity within the range of 8 bits and for a constant beyond it, the
//! straight-through estimator (Bengio et al. 2013, arXiv 1308.3432). Norms are folded, so their statistics, factors and
//! additions stay, as do biases: kernels alone are trained. A shared kernel is rounded once, activations at each visit.

use super::scales::{integer, rows, scales};
use super::{Error, Ranges, Scale, TABLE_END, TABLE_STEPS, quantize};
use crate::checkpoint::entries;
use crate::ir::Network;
use crate::steps::{self, Binary, BufferId, ConstantId, ConvSize, Function, Kind, Options, Program, Step, Tail};
use crate::steps::{apart, moved, of_step, program, sums, windows};
use std::fmt;

/// Why a network does not train in this way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrainingError {
    /// It has no steps.
    Steps(steps::Error),
    /// It has no integers.
    Integers(Error),
}

impl fmt::Display for TrainingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps(error) => error.fmt(f),
            Self::Integers(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TrainingError {}

/// A kernel that is trained.
#[derive(Clone, Debug)]
struct Kernel {
    /// Its tensor among those of checkpoints.
    place: usize,
    constant: ConstantId,
    size: ConvSize,
    /// Where the elements of the constant are in the tensor.
    order: Vec<usize>,
}

/// A network whose kernels are trained for integers of 8 bits.
#[derive(Clone, Debug)]
pub struct Training {
    network: Network,
    weights: Vec<Vec<f32>>,
    kernels: Vec<Kernel>,
    /// The steps with rounded kernels.
    rounded: Program,
    /// The scale of each buffer that is rounded.
    scales: Vec<Option<Scale>>,
}

/// The values of all buffers, as they were computed and as they were rounded.
struct Values {
    exact: Vec<Vec<f32>>,
    rounded: Vec<Vec<f32>>,
}

impl Training {
    /// Begins with these tensors, which are those of the network's checkpoints in their order, and with the ranges of the
    /// steps of these tensors.
    ///
    /// # Errors
    /// If the network cannot be quantised, or a kernel is made of its tensor by more than reordering.
    pub fn new(network: &Network, weights: Vec<Vec<f32>>, ranges: &Ranges) -> Result<Self, TrainingError> {
        let options = Options::default();
        let folded = program(network, Some(&weights), &options).map_err(TrainingError::Steps)?;
        quantize(&folded, ranges).map_err(TrainingError::Integers)?;
        let rounded = apart(network, &weights, &options).map_err(TrainingError::Steps)?;
        let kernels = kernels(network, &rounded, &weights)?;
        let mut training = Training {
            network: network.clone(),
            weights,
            kernels,
            rounded,
            scales: Vec::new(),
        };
        training.round_activations(&folded, ranges);
        training.round_kernels();
        Ok(training)
    }

    /// The tensors of the network's checkpoints in their order.
    pub fn weights(&self) -> &[Vec<f32>] {
        &self.weights
    }

    /// The places of the trained tensors among them.
    pub fn trained(&self) -> impl Iterator<Item = usize> + '_ {
        self.kernels.iter().map(|kernel| kernel.place)
    }

    /// The same with ranges that were observed anew, on the steps of the present tensors.
    ///
    /// # Errors
    /// If the tensors are not finite any more.
    pub fn observe(&mut self, of: impl FnOnce(&Program) -> Ranges) -> Result<(), TrainingError> {
        let options = Options::default();
        let folded = program(&self.network, Some(&self.weights), &options).map_err(TrainingError::Steps)?;
        self.round_activations(&folded, &of(&folded));
        Ok(())
    }

    /// Changes the trained tensors.
    pub fn update(&mut self, mut change: impl FnMut(usize, &mut [f32])) {
        for (at, kernel) in self.kernels.iter().enumerate() {
            change(at, &mut self.weights[kernel.place]);
        }
        self.round_kernels();
    }

    /// The outputs with everything rounded, as PyTorch lays them out.
    pub fn outputs(&self, inputs: &[&[f32]]) -> Vec<Vec<f32>> {
        self.outputs_of(&self.forward(inputs))
    }

    /// The gradients of the trained tensors for the gradients of the outputs that `loss` makes of these.
    pub fn gradients(&self, inputs: &[&[f32]], loss: impl FnOnce(&[Vec<f32>]) -> Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        let values = self.forward(inputs);
        let program = &self.rounded;
        let zeros = |buffer: &steps::Buffer| vec![0.0; buffer.len()];
        let mut flow: Vec<Vec<f32>> = program.buffers.iter().map(zeros).collect();
        for (port, gradient) in program.outputs.iter().zip(loss(&self.outputs_of(&values))) {
            add(&mut flow[port.buffer], &gradient);
        }
        let mut sums: Vec<Vec<f32>> = program.constants.iter().map(|_| Vec::new()).collect();
        for kernel in &self.kernels {
            sums[kernel.constant] = vec![0.0; kernel.order.len()];
        }
        for step in program.steps.iter().rev() {
            let gradient = self.within(step.output, &values, &flow[step.output]);
            self.back(step, (&values, &gradient), &mut flow, &mut sums);
        }
        let in_order = |kernel: &Kernel| {
            let mut gradient = vec![0.0; kernel.order.len()];
            let both = kernel.order.iter().zip(&sums[kernel.constant]);
            both.for_each(|(&place, sum)| gradient[place] = *sum);
            gradient
        };
        self.kernels.iter().map(in_order).collect()
    }

    fn round_activations(&mut self, folded: &Program, ranges: &Ranges) {
        let all = scales(folded, ranges);
        self.scales = vec![None; all.len()];
        let inputs = folded.inputs.iter().map(|port| port.buffer);
        for id in folded.steps.iter().map(|step| step.output).chain(inputs) {
            self.scales[id] = Some(all[id]);
        }
    }

    fn round_kernels(&mut self) {
        for kernel in &self.kernels {
            let (tensor, data) = (
                &self.weights[kernel.place],
                &mut self.rounded.constants[kernel.constant].data,
            );
            let both = data.iter_mut().zip(&kernel.order);
            both.for_each(|(value, &place)| *value = tensor[place]);
            let rows = rows(&kernel.size, data);
            for (at, value) in data.iter_mut().enumerate() {
                let unit = rows[kernel.size.row(at)];
                *value = (f64::from(integer(*value, unit)) * unit) as f32;
            }
        }
    }

    fn outputs_of(&self, values: &Values) -> Vec<Vec<f32>> {
        let outputs = self.rounded.outputs.iter();
        outputs.map(|port| values.rounded[port.buffer].clone()).collect()
    }

    fn forward(&self, inputs: &[&[f32]]) -> Values {
        let program = &self.rounded;
        let mut values = Values {
            exact: vec![Vec::new(); program.buffers.len()],
            rounded: vec![Vec::new(); program.buffers.len()],
        };
        for (port, input) in program.inputs.iter().zip(inputs) {
            values.exact[port.buffer] = input.to_vec();
            values.rounded[port.buffer] = self.round(port.buffer, input);
        }
        for step in &program.steps {
            let mut y = std::mem::take(&mut values.exact[step.output]);
            y.resize(program.buffers[step.output].len(), 0.0);
            of_step(program, step, &values.rounded, &mut y);
            values.rounded[step.output] = self.round(step.output, &y);
            values.exact[step.output] = y;
        }
        values
    }

    /// The values of a buffer that 8 bits have.
    fn round(&self, buffer: BufferId, values: &[f32]) -> Vec<f32> {
        let Some(scale) = self.scales[buffer] else {
            return values.to_vec();
        };
        let zero = f64::from(scale.zero);
        let one = |value: &f32| (steps_of(*value, scale).clamp(-128.0 - zero, 127.0 - zero) * scale.scale) as f32;
        values.iter().map(one).collect()
    }

    /// A gradient without what is beyond the range.
    fn within(&self, buffer: BufferId, values: &Values, gradient: &[f32]) -> Vec<f32> {
        let Some(scale) = self.scales[buffer] else {
            return gradient.to_vec();
        };
        let zero = f64::from(scale.zero);
        let is_inside = |value: f32| (-128.0 - zero..=127.0 - zero).contains(&steps_of(value, scale));
        let both = gradient.iter().zip(&values.exact[buffer]);
        both.map(|(gradient, value)| if is_inside(*value) { *gradient } else { 0.0 })
            .collect()
    }

    /// Adds what a step takes back from the gradient of its output.
    fn back(&self, step: &Step, (values, dy): (&Values, &[f32]), flow: &mut [Vec<f32>], sums_of: &mut [Vec<f32>]) {
        let program = &self.rounded;
        let input = |at: usize| values.rounded[step.inputs[at]].as_slice();
        let channels = program.buffers[step.output].channels;
        let factor = |id: Option<ConstantId>, channel: usize| id.map_or(1.0, |id| program.constants[id].data[channel]);
        // A step may take one value twice, so each of its gradients is added on its own.
        let mut give = |at: usize, add_to: &mut dyn FnMut(&mut [f32])| add_to(&mut flow[step.inputs[at]]);
        match &step.kind {
            Kind::Conv {
                size, weight, scale, ..
            } => {
                let (x, kernel, sum) = (input(0), &program.constants[*weight].data, &mut sums_of[*weight]);
                give(0, &mut |dx| {
                    sums(size, |at, channel, taps| {
                        let dy = dy[at] * factor(*scale, channel);
                        if dy != 0.0 {
                            taps.each(|x_at, w_at| {
                                sum[w_at] += dy * x[x_at];
                                dx[x_at] += dy * kernel[w_at];
                            });
                        }
                    });
                });
            }
            Kind::Affine { scale, .. } => give(0, &mut |dx| each(dx, |at| dy[at] * factor(*scale, at % channels))),
            Kind::Function(function) => {
                let x = input(0);
                give(0, &mut |dx| each(dx, |at| dy[at] * slope(*function, x[at])));
            }
            Kind::Binary(op) => {
                let [a, b] = [input(0), input(1)];
                let place = |at: usize| match op {
                    Binary::Gate => at % channels,
                    Binary::GatePositions => at / channels,
                    _ => at,
                };
                let is_sum = matches!(op, Binary::Add | Binary::Subtract);
                let sign = if *op == Binary::Subtract { -1.0 } else { 1.0 };
                let of = |other: f32| if is_sum { 1.0 } else { other };
                give(0, &mut |dx| each(dx, |at| dy[at] * of(b[place(at)])));
                give(1, &mut |dx| {
                    (0..dy.len()).for_each(|at| dx[place(at)] += dy[at] * of(a[at]) * sign)
                });
            }
            Kind::Pool(size) => {
                let x = input(0);
                give(0, &mut |dx| {
                    windows(size, |at, places, counted| match size.max {
                        true => {
                            let first = |best: usize, place: &usize| if x[*place] > x[best] { *place } else { best };
                            if let Some(start) = places.first() {
                                dx[places.iter().fold(*start, first)] += dy[at];
                            }
                        }
                        false => places.iter().for_each(|place| dx[*place] += dy[at] / counted as f32),
                    });
                });
            }
            Kind::Move(part) => give(0, &mut |dx| moved(part, |from, to| dx[from] += dy[to])),
            // The other steps have no integers, so no network here has them.
            _ => {}
        }
    }
}

/// A value in units of the scale, to the nearest.
fn steps_of(value: f32, scale: Scale) -> f64 {
    f64::from((value / scale.scale as f32).round())
}

fn add(sum: &mut [f32], more: &[f32]) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

fn each(sum: &mut [f32], more: impl Fn(usize) -> f32) {
    sum.iter_mut().enumerate().for_each(|(at, sum)| *sum += more(at));
}

/// The slope of a function: within its limits 1; of a table that of the line between two entries.
fn slope(function: Function, x: f32) -> f32 {
    if let Some(limits) = function.known.limits {
        let [least, most] = limits(function.numbers);
        return if least < f64::from(x) && f64::from(x) < most {
            1.0
        } else {
            0.0
        };
    }
    let (end, count) = (TABLE_END as f32, TABLE_STEPS as f32);
    match x {
        _ if x < -end => 0.0,
        _ if x >= end => f32::from(u8::from(function.known.tails[1] == Tail::Identity)),
        _ => {
            let from = (x * count).floor();
            (function.at((from + 1.0) / count) - function.at(from / count)) * count
        }
    }
}

/// The kernels, and which elements of tensors they have: those of a network whose tensors hold their own places.
fn kernels(network: &Network, of: &Program, weights: &[Vec<f32>]) -> Result<Vec<Kernel>, TrainingError> {
    let places: Vec<Vec<f32>> = weights
        .iter()
        .map(|tensor| (0..tensor.len()).map(|at| at as f32).collect())
        .collect();
    let places = apart(network, &places, &Options::default()).map_err(TrainingError::Steps)?;
    let keys: Vec<String> = entries(network).into_iter().map(|entry| entry.key).collect();
    let mut kernels: Vec<Kernel> = Vec::new();
    for step in &of.steps {
        let Kind::Conv { size, weight, .. } = step.kind else {
            continue;
        };
        if kernels.iter().any(|kernel| kernel.constant == weight) {
            continue;
        }
        let constant = &of.constants[weight];
        let key = constant.name.split(' ').next().unwrap_or_default();
        let place = keys.iter().position(|known| known == key);
        let order: Vec<usize> = places.constants[weight].data.iter().map(|at| *at as usize).collect();
        let is_order = |place: usize| {
            let tensor = &weights[place];
            let both = order.iter().zip(&constant.data);
            let mut seen = vec![false; tensor.len()];
            order.len() == tensor.len()
                && both.into_iter().all(|(at, value)| {
                    *at < tensor.len() && !std::mem::replace(&mut seen[*at], true) && tensor[*at] == *value
                })
        };
        let is_twice = |place: usize| kernels.iter().any(|kernel| kernel.place == place);
        let Some(place) = place.filter(|place| is_order(*place) && !is_twice(*place)) else {
            return Err(TrainingError::Integers(Error {
                place: step.place.clone(),
                what: "its kernel is made of its weights by more than reordering, so it is not trained".to_owned(),
            }));
        };
        kernels.push(Kernel {
            place,
            constant: weight,
            size,
            order,
        });
    }
    Ok(kernels)
}
