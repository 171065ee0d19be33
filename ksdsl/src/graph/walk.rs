//! The walk over a network: which operations its nodes are, in the order in which generated code runs them.

mod tensors;

use super::decode::Decoding;
use super::loops::most;
use super::params::Params;
use super::recompute::{Again, Kept};
use super::step::Sink;
use crate::ir::{self, GroupId, Join, LayerId, Loop, Network, Shape, Uses, ValueId};
use crate::ops::batch_norm::BatchNorm;
use crate::ops::dropout::Dropout;
use crate::ops::noise::Noise;
use crate::ops::{Call, Number};
use ksdsl_engine::act::{Act, Context, GradCell};
use ksdsl_engine::ops::{self, CallError, to_nchw, to_nhwc};
use ksdsl_engine::size::MapSize;
use ksdsl_engine::statistics::{BatchStatistics, Statistics};
use ksdsl_engine::{Exec, Kernels, NoTape, Param, Real, Recorder, Tape};
use std::collections::HashMap;
use std::rc::Rc;
pub(super) use tensors::conv_size;

/// A number of the network as an executor counts.
pub(super) fn size(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// A batch of activations of a shape.
pub(super) fn map(shape: Shape, batch: usize) -> MapSize {
    let [channels, height, width] = match shape.as_map() {
        Shape::Map {
            channels,
            height,
            width,
        } => [channels, height, width].map(size),
        Shape::Flat(features) => [size(features), 1, 1],
        Shape::Tokens { length, features } => [size(features), 1, size(length)],
        Shape::Ids { length, .. } => [1, 1, size(length)],
        Shape::Signal { channels, length } => [size(channels), 1, size(length)],
    };
    MapSize {
        batch,
        height,
        width,
        channels,
    }
}

/// Reorders values from the order that checkpoints and PyTorch have to that of activations.
pub(super) fn inside<E: Real, X: Exec<E>>(exec: &X, shape: Shape, batch: usize, x: X::Buf) -> Result<X::Buf, X::Err> {
    match shape.is_channels_first() {
        true => to_nhwc(exec, map(shape, batch), x),
        false => Ok(x),
    }
}

/// Reorders them back.
pub(super) fn outside<E: Real, X: Exec<E>>(exec: &X, shape: Shape, batch: usize, x: X::Buf) -> Result<X::Buf, X::Err> {
    match shape.is_channels_first() {
        true => to_nchw(exec, map(shape, batch), x),
        false => Ok(x),
    }
}

/// What a forward pass leaves.
pub(super) struct Pass<E: Real, X: Exec<E>, T> {
    /// The outputs, NCHW.
    pub(super) outputs: Vec<X::Buf>,
    /// Where the gradients of outputs and inputs gather, NHWC.
    pub(super) output_gradients: Vec<GradCell<X::Buf>>,
    pub(super) input_gradients: Vec<GradCell<X::Buf>>,
    pub(super) tape: T,
    /// Segments that run again, whose tapes come before that one, with the parameters that layers share.
    pub(super) kept: Vec<Kept<E, X, T>>,
    pub(super) shared: Shared<E, X>,
    /// What the running statistics become, by place.
    pub(super) statistics: Statistics<E, X>,
    /// Of each layer, whether the operation before it computes it, too.
    pub(super) fused: Vec<bool>,
    /// Positions of the first output of one sequence, in a pass over the next ones.
    pub(super) rows: usize,
    /// Iterations that loops ran in it.
    pub(super) iterations: usize,
}

/// What only a training pass has.
pub(super) struct Training<'a, E: Real, X: Exec<E>> {
    seeds: &'a mut dyn FnMut() -> u64,
    /// The seeds that the segment has drawn that is running.
    pub(super) drawn: Option<Vec<u64>>,
    sink: Sink<X, X::Buf, X::Err>,
    statistics: Statistics<E, X>,
}

impl<E: Real, X: Exec<E>> Training<'_, E, X> {
    fn seed(&mut self) -> u64 {
        let seed = (self.seeds)();
        self.drawn.iter_mut().for_each(|drawn| drawn.push(seed));
        seed
    }
}

/// The shared parameters, by group, kernel and name, but for those of modules, which each visit binds for itself.
pub(super) type Shared<E, X> = HashMap<(GroupId, u32, &'static str), Param<E, X>>;

/// A forward pass.
pub(super) struct Walk<'a, E: Real, X: Exec<E>, T> {
    pub(super) network: &'a Network,
    pub(super) params: &'a Params<X::Buf>,
    pub(super) batch: usize,
    /// How often loops run, by count.
    pub(super) counts: Vec<usize>,
    /// Whether items stop at exits in inference.
    pub(super) exits: bool,
    pub(super) training: Option<Training<'a, E, X>>,
    /// In a pass over the next positions of a sequence.
    pub(super) decoding: Option<Decoding<'a, X::Buf>>,
    pub(super) shared: Shared<E, X>,
    /// The values that have names.
    pub(super) values: Vec<Option<Act<E, X, T>>>,
    /// How each will be used from here on.
    pub(super) uses: Vec<Uses>,
    pub(super) fused: Vec<bool>,
    pub(super) again: Again<E, X, T>,
}

pub(super) type Flow<E, X, T> = Result<Act<E, X, T>, <X as Exec<E>>::Err>;

impl<'a, E: Real, X: Exec<E>> Walk<'a, E, X, NoTape> {
    pub(super) fn inference(network: &'a Network, params: &'a Params<X::Buf>, batch: usize) -> Self {
        Self::new(network, params, batch, None)
    }
}

impl<'a, E: Real, X: Exec<E>> Walk<'a, E, X, Recorder<E, X>> {
    pub(super) fn training(
        network: &'a Network,
        params: &'a Params<X::Buf>,
        batch: usize,
        seeds: &'a mut dyn FnMut() -> u64,
        sink: Sink<X, X::Buf, X::Err>,
    ) -> Self {
        let training = Training {
            seeds,
            drawn: None,
            sink,
            statistics: Statistics::default(),
        };
        Self::new(network, params, batch, Some(training))
    }
}

impl<'a, E: Real, X: Exec<E>, T: Tape<E, X>> Walk<'a, E, X, T> {
    fn new(
        network: &'a Network,
        params: &'a Params<X::Buf>,
        batch: usize,
        training: Option<Training<'a, E, X>>,
    ) -> Self {
        Self {
            network,
            params,
            batch,
            counts: most(network),
            exits: true,
            training,
            decoding: None,
            shared: HashMap::new(),
            values: network.values.iter().map(|_| None).collect(),
            uses: network.uses(),
            fused: vec![false; network.layers.len()],
            again: Again::default(),
        }
    }

    /// With these counts of loops instead of the most; items stop at exits or not.
    pub(super) fn with_loops(self, counts: &[usize], exits: bool) -> Self {
        let counts = counts.to_vec();
        Self { counts, exits, ..self }
    }

    /// Takes a batch of inputs, NCHW, through the network.
    pub(super) fn run(
        mut self,
        exec: &X,
        kernels: Option<Rc<Kernels<E, X>>>,
        unit: Option<usize>,
        inputs: Vec<X::Buf>,
    ) -> Result<Pass<E, X, T>, X::Err> {
        let network = self.network;
        let mut acts = Vec::new();
        for (port, x) in network.inputs.iter().zip(inputs) {
            let context = Context {
                exec: exec.clone(),
                tape: T::default(),
                kernels: kernels.clone(),
                unit,
                in_loop: None,
                past: self.decoding.as_ref().map(|decoding| decoding.past.clone()),
            };
            let size = self.size_of_input(port.shape);
            let x = Rc::new(inside(exec, port.shape, self.batch, x)?);
            acts.push(Act::input(size, context, x, GradCell::new(T::RECORDS)));
        }
        let input_gradients = acts.iter().map(|x| x.grad().clone()).collect();
        let mut x = acts.remove(0);
        for (id, value) in network.more_inputs().into_iter().zip(acts) {
            ir::Walk::keep(&mut self, id, value);
        }
        self.bind_shared(&mut x.context)?;
        let last = self.in_segments(x)?;
        let mut pass = Pass {
            outputs: Vec::new(),
            output_gradients: Vec::new(),
            input_gradients,
            tape: T::default(),
            kept: self.kept(),
            shared: Shared::new(),
            statistics: Statistics::default(),
            fused: std::mem::take(&mut self.fused),
            rows: 0,
            iterations: self.decoding.as_ref().map_or(0, |decoding| decoding.ran),
        };
        for (port, x) in network.outputs.iter().zip(self.outputs(last)) {
            if pass.outputs.is_empty() {
                pass.rows = x.size.rows();
            }
            let (data, context, gradient) = x.ready()?.into_values();
            pass.outputs.push(outside(exec, port.shape, self.batch, data)?);
            pass.output_gradients.push(gradient);
            pass.tape = pass.tape.merge(context.tape);
        }
        pass.shared = self.shared;
        pass.statistics = self.training.map(|training| training.statistics).unwrap_or_default();
        Ok(pass)
    }

    /// The outputs, the last value if none has a name.
    fn outputs(&mut self, last: Act<E, X, T>) -> Vec<Act<E, X, T>> {
        let values = self.network.output_values().into_iter();
        let mut outputs: Vec<Act<E, X, T>> = values.filter_map(|id| self.values[id].take()).collect();
        match outputs.is_empty() {
            true => vec![last],
            false => {
                let first = outputs.remove(0).after(last);
                outputs.insert(0, first);
                outputs
            }
        }
    }

    /// An operation that the engine has by name.
    fn call(&self, call: &Call, layer: Option<LayerId>, mut inputs: Vec<Act<E, X, T>>) -> Flow<E, X, T> {
        let args: Vec<(&str, f64)> = call.args.iter().map(|(name, value)| (*name, real(*value))).collect();
        let mut params = Vec::new();
        if let Some(id) = layer {
            for tensor in &self.params.layer(id).tensors {
                params.extend(self.tensor(id, tensor.name, &mut inputs[0].context)?);
            }
        }
        let call = ops::Call {
            name: call.name,
            args: &args,
        };
        match ops::call(&call, inputs, params) {
            Err(CallError::Failed(error)) => Err(error),
            Err(error @ (CallError::Unknown(_) | CallError::Arguments(_))) => {
                unreachable!("the engine has the operations of the language: {error:?}")
            }
            Ok(y) => Ok(y),
        }
    }

    /// Dropout, the identity in inference.
    fn dropout(&mut self, &Dropout { p, of_images }: &Dropout, x: Act<E, X, T>) -> Flow<E, X, T> {
        let run = if of_images { ops::stochastic_depth } else { ops::dropout };
        match &mut self.training {
            Some(training) if p.0 > 0.0 => run(p.0, training.seed(), x),
            _ => Ok(x),
        }
    }

    fn batch_norm(&mut self, id: LayerId, norm: &BatchNorm, mut x: Act<E, X, T>) -> Flow<E, X, T> {
        let (learned, places) = match *self.params.of_layer(id) {
            [scale, shift, mean, variance] => (Some([scale, shift]), [mean, variance]),
            [mean, variance] => (None, [mean, variance]),
            _ => unreachable!("scale, shift and running statistics"),
        };
        let [scale, shift] = match learned {
            Some([scale, shift]) => [self.bind(scale, &mut x.context)?, self.bind(shift, &mut x.context)?],
            None => Param::scale_and_shift(&x.context.exec, x.size.channels, T::RECORDS)?,
        };
        let (params, eps) = (self.params, norm.eps.0);
        let Some(training) = &mut self.training else {
            let statistics = places.map(|place| params.get(place).clone());
            return ops::batch_norm_infer(x, scale, shift, statistics, eps);
        };
        let exec = x.context.exec.clone();
        let read = |place| Ok(params.get(place).clone());
        let note = |batch: &BatchStatistics<'_, X::Buf>| {
            let momentum = norm.momentum.0;
            training
                .statistics
                .blend(&exec, places, batch, momentum, read, |error| error)
        };
        ops::batch_norm_train(x, scale, shift, eps, note, |error| error)
    }

    fn run_layer(&mut self, id: LayerId, x: Act<E, X, T>) -> Flow<E, X, T> {
        let op = &self.network.layers[id].op;
        if op.is_invalid() {
            return Ok(x);
        }
        if self.params.layer(id).is_weighted {
            return self.weighted(id, x);
        }
        if let Some(norm) = op.downcast::<BatchNorm>() {
            return self.batch_norm(id, norm, x);
        }
        if let Some(dropout) = op.downcast::<Dropout>() {
            return self.dropout(dropout, x);
        }
        if let Some(noise) = op.downcast::<Noise>() {
            let seed = self.training.as_mut().map(Training::seed);
            return ops::noise(noise.std.0, seed, x);
        }
        self.call(op.call(), Some(id), vec![x])
    }
}

impl<E: Real, X: Exec<E>, T: Tape<E, X>> ir::Walk for Walk<'_, E, X, T> {
    type Value = Act<E, X, T>;
    type Error = X::Err;

    fn layer(&mut self, id: LayerId, x: Act<E, X, T>) -> Flow<E, X, T> {
        let y = self.run_layer(id, x)?;
        self.fused[id] = y.is_fused();
        Ok(y)
    }

    fn fork(&mut self, x: Act<E, X, T>) -> Result<[Act<E, X, T>; 2], X::Err> {
        x.fork().map(Into::into)
    }

    fn keep(&mut self, id: ValueId, x: Act<E, X, T>) {
        self.values[id] = self.uses[id].next_value().then_some(x);
    }

    fn from(&mut self, id: ValueId, x: Option<Act<E, X, T>>) -> Flow<E, X, T> {
        let again = self.uses[id].used();
        let slot = &mut self.values[id];
        let value = match (again, slot) {
            (false, slot) => slot.take(),
            (true, Some(kept)) => Some(kept.again()),
            (true, None) => None,
        };
        let Some(value) = value else {
            unreachable!("a name stands for a value before it is used")
        };
        Ok(match x {
            Some(x) => value.after(x),
            None => value,
        })
    }

    fn repeat(&mut self, of: &Loop, x: Act<E, X, T>) -> Flow<E, X, T> {
        self.run_time_loop(of, x)
    }

    fn join(&mut self, join: &Join, first: Act<E, X, T>, others: Vec<Act<E, X, T>>) -> Flow<E, X, T> {
        self.visit(join.layer);
        let inputs = std::iter::once(first).chain(others).collect();
        self.call(join.op.call(), join.layer, inputs)
    }
}

/// An argument as the engine takes it.
fn real(value: Number) -> f64 {
    match value {
        Number::Int(value) => value as f64,
        Number::Real(value) => value.0,
    }
}
