//! The walk over a network: which operations its nodes are, in the order in which generated code runs them.

use super::decode::Decoding;
use super::loops::most;
use super::params::{Named, Params};
use super::step::Sink;
use crate::ir::{self, GroupId, Join, LayerId, Loop, Network, Op, PrivateTensors, Shape, Uses, ValueId};
use crate::ops::batch_norm::BatchNorm;
use crate::ops::conv::Conv;
use crate::ops::dropout::Dropout;
use crate::ops::{Call, Number};
use ksdsl_engine::act::{Act, Context, GradCell};
use ksdsl_engine::ops::{self, CallError, to_nchw, to_nhwc};
use ksdsl_engine::size::{Algorithm, ConvSize, MapSize, Window};
use ksdsl_engine::statistics::{BatchStatistics, Statistics};
use ksdsl_engine::weight::{Key, View};
use ksdsl_engine::{Exec, Kernels, NoTape, Param, Real, Recorder, Tape, Weight};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

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
    sink: Sink<X, X::Buf, X::Err>,
    statistics: Statistics<E, X>,
}

/// A forward pass.
pub(super) struct Walk<'a, E: Real, X: Exec<E>, T> {
    pub(super) network: &'a Network,
    pub(super) params: &'a Params<X::Buf>,
    pub(super) batch: usize,
    /// How often loops run, by count.
    pub(super) counts: Vec<usize>,
    pub(super) training: Option<Training<'a, E, X>>,
    /// In a pass over the next positions of a sequence.
    pub(super) decoding: Option<Decoding<'a, X::Buf>>,
    /// The shared parameters, by group, kernel and name, but for those of modules, which each visit binds for itself.
    pub(super) shared: HashMap<(GroupId, u32, &'static str), Param<E, X>>,
    /// The values that have names.
    pub(super) values: Vec<Option<Act<E, X, T>>>,
    /// How each will be used from here on.
    pub(super) uses: Vec<Uses>,
    pub(super) fused: Vec<bool>,
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
            training,
            decoding: None,
            shared: HashMap::new(),
            values: network.values.iter().map(|_| None).collect(),
            uses: network.uses(),
            fused: vec![false; network.layers.len()],
        }
    }

    /// With these counts of loops, instead of the most.
    pub(super) fn with_counts(self, counts: &[usize]) -> Self {
        let counts = counts.to_vec();
        Self { counts, ..self }
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
        let last = self.all_nodes(x)?;
        let mut pass = Pass {
            outputs: Vec::new(),
            output_gradients: Vec::new(),
            input_gradients,
            tape: T::default(),
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

    /// Reads the parameter at a place; what becomes of its gradient is recorded before its first visit.
    fn bind(&self, place: usize, context: &mut Context<E, X, T>) -> Result<Param<E, X>, X::Err> {
        let len = self.params.list()[place].len;
        let read = |exec: &X| Ok::<_, X::Err>(exec.kernel(self.params.get(place).clone()));
        if let (Some(kernels), false) = (&context.kernels, T::RECORDS) {
            let kernel = kernels.param(place, || read(&context.exec))?;
            return Ok(Param::new(kernel, len, false));
        }
        if let Some(param) = context.in_loop.as_ref().and_then(|bound| bound.param(place)) {
            return Ok(param);
        }
        let param = Param::new(Rc::new(read(&context.exec)?), len, T::RECORDS);
        if let Some(bound) = &context.in_loop {
            bound.keep(place, &param);
        }
        if let Some(training) = &self.training {
            let (param, sink) = (param.clone(), training.sink.clone());
            context
                .tape
                .record(&context.exec, move |exec| match param.take_gradient(exec)? {
                    Some(sum) => sink(exec, place, sum),
                    None => Ok(()),
                });
        }
        Ok(param)
    }

    fn bind_shared(&mut self, context: &mut Context<E, X, T>) -> Result<(), X::Err> {
        // A decoder has each kernel once, by its place, and binds it where it is visited.
        if self.decoding.is_some() {
            return Ok(());
        }
        for (id, group) in self.network.groups.iter().enumerate() {
            if group.op.module().is_some() {
                continue;
            }
            let mut visitors = BTreeMap::new();
            for (layer, kernel) in group.visits.iter().zip(&group.assignment) {
                visitors.entry(*kernel).or_insert(*layer);
            }
            for tensor in group.tensors() {
                for (&kernel, &layer) in &visitors {
                    let Some(place) = self.place(layer, tensor.name) else {
                        continue;
                    };
                    let param = self.bind(place, context)?;
                    self.shared.insert((id, kernel, tensor.name), param);
                }
            }
        }
        Ok(())
    }

    /// The place of a tensor of a layer's operation.
    fn place(&self, layer: LayerId, name: &str) -> Option<usize> {
        let mut tensors = self.params.layer(layer).tensors.iter();
        tensors.find(|tensor| tensor.name == name).map(|tensor| tensor.place)
    }

    /// A tensor of a layer, shared or its own; `None` where it has none of this name.
    fn tensor(&self, id: LayerId, name: &str, context: &mut Context<E, X, T>) -> Result<Option<Param<E, X>>, X::Err> {
        let mut tensors = self.params.layer(id).tensors.iter();
        let Some(&Named { name, part, place }) = tensors.find(|tensor| tensor.name == name) else {
            return Ok(None);
        };
        let visit = self.network.layers[id].visit(part);
        let shared = visit.and_then(|visit| self.shared.get(&(visit.group, visit.kernel, name)));
        match shared {
            Some(param) => Ok(Some(param.clone())),
            None => self.bind(place, context).map(Some),
        }
    }

    /// The places of a layer's private tensors.
    fn private(&self, id: LayerId) -> PrivateTensors<usize> {
        let layer = &self.network.layers[id];
        let mut next = self.params.layer(id).tensors.len();
        layer.private_tensors().map(|_| {
            next += 1;
            self.params.of_layer(id)[next - 1]
        })
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
            Some(training) if p.0 > 0.0 => run(p.0, (training.seeds)(), x),
            _ => Ok(x),
        }
    }

    /// A convolution or a linear layer with what it has of its own for its kernel.
    fn weighted(&mut self, id: LayerId, x: Act<E, X, T>) -> Flow<E, X, T> {
        let layer = &self.network.layers[id];
        let factor = self.private(id).scale;
        let bind = |context: &mut Context<E, X, T>| {
            let weight = self.weight(id, context)?;
            let bias = match factor {
                Some(_) => None,
                None => self.tensor(id, "bias", context)?,
            };
            Ok((weight, bias))
        };
        let output = map(layer.output, self.batch);
        let failed = |error| error;
        let size = conv_size(&layer.op, x.size, output);
        let (x, size) = self.with_recent(id, x, size)?;
        let mut x = match size {
            Some(size) => ops::conv(size, x, bind, failed)?,
            None => ops::linear(output.channels, x, bind, failed)?,
        };
        let Some(factor) = factor else { return Ok(x) };
        let factor = self.bind(factor, &mut x.context)?;
        let bias = self.tensor(id, "bias", &mut x.context)?;
        ops::scale(x, factor, bias)
    }

    /// The kernel that the layer makes of the shared one and of what it has of its own.
    fn weight(&self, id: LayerId, context: &mut Context<E, X, T>) -> Result<Weight<E, X>, X::Err> {
        let Some(kernel) = self.tensor(id, "weight", context)? else {
            unreachable!("a convolution has a kernel")
        };
        let (layer, private) = (&self.network.layers[id], self.private(id));
        let mut weight = Weight::from(kernel.clone());
        if let Some(coefficients) = private.coefficients {
            let kernels = self.params.list()[coefficients].len;
            let sizes = [kernels, self.params.list()[self.params.of_layer(id)[0]].len / kernels];
            weight = self.kept_or(Some(Key::Own(coefficients)), context, |context| {
                Ok(Weight::combined(sizes, kernel, self.bind(coefficients, context)?))
            })?;
        }
        if let Some(view) = self.view(layer) {
            let key = weight.address().map(|address| Key::View(address, view));
            weight = self.kept_or(key, context, |_| Ok(weight.viewed(view)))?;
        }
        if let (Some(sizes), Some([a, b])) = (layer.low_rank(), private.low_rank) {
            weight = self.kept_or(Some(Key::Own(b)), context, |context| {
                let (a, b) = (self.bind(a, context)?, self.bind(b, context)?);
                Ok(weight.plus(sizes.map(size), a, b))
            })?;
        }
        if let Some(of) = layer.op.downcast::<Conv>().and_then(|conv| conv.standardize) {
            let (eps, gain) = (of.eps.0, self.tensor(id, "gain", context)?);
            let rows = map(layer.output, 1).channels;
            let address = weight.address();
            let key = address.map(|address| Key::Standardized(address, eps.to_bits()));
            weight = self.kept_or(key, context, |_| Ok(weight.standardized(rows, eps, gain)))?;
        }
        Ok(weight)
    }

    /// The part of the shared kernel that a layer uses, if that is not all of it, as it is stored.
    fn view(&self, layer: &ir::Layer) -> Option<View> {
        let ir::View { transposed, slice } = layer.view;
        let group = layer.kernel.filter(|_| transposed || slice)?.group;
        let [stored, taken] = [self.network.groups[group].op.kernel_shape()?, layer.op.kernel_shape()?];
        let [rows, columns] = [size(taken[0]), size(taken[1])];
        Some(View {
            stored: [
                size(stored[0]),
                size(stored[1]),
                stored[2..].iter().copied().map(size).product(),
            ],
            taken: if transposed { [columns, rows] } else { [rows, columns] },
            transposed,
        })
    }

    /// The kernel that `make` makes; a prepared network keeps it under a key.
    fn kept_or(
        &self,
        key: Option<Key>,
        context: &mut Context<E, X, T>,
        make: impl FnOnce(&mut Context<E, X, T>) -> Result<Weight<E, X>, X::Err>,
    ) -> Result<Weight<E, X>, X::Err> {
        let kernels = context.kernels.clone().filter(|_| !T::RECORDS);
        let Some((kernels, key)) = kernels.zip(key) else {
            return make(context);
        };
        let made = || make(context)?.make(&context.exec);
        kernels.made(key, made).map(Weight::kept)
    }

    fn batch_norm(&mut self, id: LayerId, norm: &BatchNorm, mut x: Act<E, X, T>) -> Flow<E, X, T> {
        let [scale, shift, mean, variance] = *self.params.of_layer(id) else {
            unreachable!("scale, shift and running statistics")
        };
        let [scale, shift] = [self.bind(scale, &mut x.context)?, self.bind(shift, &mut x.context)?];
        let (places, params, eps) = ([mean, variance], self.params, norm.eps.0);
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

/// The sizes of a convolution; `None` for other operations.
pub(super) fn conv_size(op: &Op, input: MapSize, output: MapSize) -> Option<ConvSize> {
    let conv: &Conv = op.downcast()?;
    let [top, _, left, _] = conv.pad;
    Some(ConvSize {
        input,
        output,
        window: Window {
            kernel: conv.kernel.map(size),
            stride: conv.stride.map(size),
            pad: [top, left].map(size),
            dilation: conv.dilation.map(size),
        },
        groups: size(conv.groups),
        algorithm: Algorithm::Auto,
        unit: None,
    })
}

/// An argument as the engine takes it.
fn real(value: Number) -> f64 {
    match value {
        Number::Int(value) => value as f64,
        Number::Real(value) => value.0,
    }
}
