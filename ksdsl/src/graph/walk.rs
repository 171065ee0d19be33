//! The walk over a network: which operations its nodes are, in the order in which generated code runs them.

use super::params::Params;
use super::step::Sink;
use crate::ir::{self, GroupId, Join, LayerId, Network, Node, Op, Part, Shape};
use ksdsl_engine::act::{Act, Context, GradCell};
use ksdsl_engine::ops::{self, to_nchw, to_nhwc};
use ksdsl_engine::param::LowRank;
use ksdsl_engine::size::{self, Activation, ConvSize, MapSize, PoolKind, PoolSize, Window};
use ksdsl_engine::statistics::{BatchStatistics, Statistics};
use ksdsl_engine::{Exec, Kernels, NoTape, Param, Real, Recorder, Tape, Weight};
use std::collections::HashMap;
use std::rc::Rc;

/// A number of the network as an executor counts.
pub(super) fn size(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// A batch of activations of a shape.
pub(super) fn map(shape: Shape, batch: usize) -> MapSize {
    let [channels, height, width] = match shape {
        Shape::Map {
            channels,
            height,
            width,
        } => [channels, height, width].map(size),
        Shape::Flat(features) => [size(features), 1, 1],
    };
    MapSize {
        batch,
        height,
        width,
        channels,
    }
}

/// What a forward pass leaves.
pub(super) struct Pass<E: Real, X: Exec<E>, T> {
    /// The output, NCHW.
    pub(super) output: X::Buf,
    /// Where the gradients of output and input gather, NHWC.
    pub(super) output_gradient: GradCell<X::Buf>,
    pub(super) input_gradient: GradCell<X::Buf>,
    pub(super) tape: T,
    /// What the running statistics become, by place.
    pub(super) statistics: Statistics<E, X>,
}

/// What only a training pass has.
struct Training<'a, E: Real, X: Exec<E>> {
    seeds: &'a mut dyn FnMut() -> u64,
    sink: Sink<X, X::Buf, X::Err>,
    statistics: Statistics<E, X>,
}

/// A forward pass.
pub(super) struct Walk<'a, E: Real, X: Exec<E>, T> {
    network: &'a Network,
    params: &'a Params<X::Buf>,
    batch: usize,
    training: Option<Training<'a, E, X>>,
    /// The shared parameters but for norms, which each visit binds for itself.
    shared: HashMap<(GroupId, u32, Part), Param<E, X>>,
    tape: std::marker::PhantomData<T>,
}

type Flow<E, X, T> = Result<Act<E, X, T>, <X as Exec<E>>::Err>;

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
            training,
            shared: HashMap::new(),
            tape: std::marker::PhantomData,
        }
    }

    /// Takes images, NCHW, through the network.
    pub(super) fn run(
        mut self,
        exec: &X,
        kernels: Option<Rc<Kernels<E, X>>>,
        unit: Option<usize>,
        x: X::Buf,
    ) -> Result<Pass<E, X, T>, X::Err> {
        let (input, output) = (
            map(self.network.input, self.batch),
            map(self.network.output, self.batch),
        );
        let input_gradient = GradCell::new(T::RECORDS);
        let context = Context {
            exec: exec.clone(),
            tape: T::default(),
            kernels,
            unit,
        };
        let x = Rc::new(to_nhwc(exec, input, x)?);
        let mut x = Act::input(input, context, x, input_gradient.clone());
        self.bind_shared(&mut x.context)?;
        let network = self.network;
        let (data, context, output_gradient) = self.nodes(&network.nodes, x)?.ready()?.into_values();
        Ok(Pass {
            output: to_nchw(exec, output, data)?,
            output_gradient,
            input_gradient,
            tape: context.tape,
            statistics: self.training.map(|training| training.statistics).unwrap_or_default(),
        })
    }

    /// Reads the parameter at a place; what becomes of its gradient is recorded before its first visit.
    fn bind(&self, place: usize, context: &mut Context<E, X, T>) -> Result<Param<E, X>, X::Err> {
        let len = self.params.list()[place].len;
        let read = |exec: &X| Ok::<_, X::Err>(exec.kernel(self.params.get(place).clone()));
        if let (Some(kernels), false) = (&context.kernels, T::RECORDS) {
            let kernel = kernels.param(place, || read(&context.exec))?;
            return Ok(Param::new(kernel, len, false));
        }
        let param = Param::new(Rc::new(read(&context.exec)?), len, T::RECORDS);
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
        for (id, group) in self.network.groups.iter().enumerate() {
            for part in group.parts.iter().filter(|part| **part != Part::Norm) {
                for kernel in 0..group.kernels {
                    let visits = group.visits.iter().zip(&group.assignment);
                    let first = visits.into_iter().find(|(_, of)| **of == kernel);
                    let Some(place) = first.and_then(|(layer, _)| self.place(*layer, *part)) else {
                        continue;
                    };
                    self.shared.insert((id, kernel, *part), self.bind(place, context)?);
                }
            }
        }
        Ok(())
    }

    /// The place of the first tensor of this part of a layer.
    fn place(&self, layer: LayerId, part: Part) -> Option<usize> {
        let tensors = self.network.layers[layer].op.tensors();
        let places = tensors.iter().zip(self.params.of_layer(layer));
        places
            .into_iter()
            .find(|(tensor, _)| tensor.part == part)
            .map(|(_, place)| *place)
    }

    /// A layer's kernel or bias, shared or its own; `None` where it has none.
    fn param(&self, id: LayerId, part: Part, context: &mut Context<E, X, T>) -> Result<Option<Param<E, X>>, X::Err> {
        let layer = &self.network.layers[id];
        let visit = match part {
            Part::Bias => layer.bias,
            Part::Kernel | Part::Norm => layer.kernel,
        };
        let Some(place) = self.place(id, part) else {
            return Ok(None);
        };
        let shared = visit.and_then(|visit| self.shared.get(&(visit.group, visit.kernel, part)));
        match shared {
            Some(param) => Ok(Some(param.clone())),
            None => self.bind(place, context).map(Some),
        }
    }

    /// The place of a private tensor.
    fn private(&self, id: LayerId, name: &str) -> Option<usize> {
        let layer = &self.network.layers[id];
        let own = layer.private_tensors();
        let places = &self.params.of_layer(id)[layer.op.tensors().len()..];
        own.iter()
            .zip(places)
            .find(|(tensor, _)| tensor.name == name)
            .map(|(_, place)| *place)
    }

    fn nodes(&mut self, nodes: &[Node], x: Act<E, X, T>) -> Flow<E, X, T> {
        nodes.iter().try_fold(x, |x, node| self.node(node, x))
    }

    fn node(&mut self, node: &Node, x: Act<E, X, T>) -> Flow<E, X, T> {
        match node {
            Node::Layer(id) => self.layer(*id, x),
            Node::Scope(scope) => self.nodes(&scope.nodes, x),
            Node::Residual { main, skip } => {
                let [x, skip] = self.arms([main, skip], x)?;
                ops::add(x, skip)
            }
            Node::Branch { join, arms, .. } => {
                let [first, rest @ ..] = &arms[..] else { return Ok(x) };
                let mut done = self.all_arms(arms.iter().map(|(nodes, _)| &nodes[..]), x)?.into_iter();
                let Some(x) = done.next() else {
                    unreachable!("as many outputs as branches")
                };
                let joined = rest
                    .iter()
                    .zip(done)
                    .try_fold((x, first.1), |(x, shape), ((_, of_arm), arm)| {
                        join_arm(*join, x, shape, arm, *of_arm)
                    });
                joined.map(|(x, _)| x)
            }
            Node::Gate(gate) => {
                let [x, gate] = self.arms([&[], gate], x)?;
                ops::gate(x, gate)
            }
            Node::Attend { layer, inputs } => {
                let [q, k, v] = self.arms(inputs.each_ref().map(|nodes| &nodes[..]), x)?;
                match self.network.layers[*layer].op {
                    Op::Attend { heads } => ops::attention(size(heads), q, k, v),
                    _ => Ok(q),
                }
            }
        }
    }

    /// Takes one activation through several branches.
    fn arms<const N: usize>(&mut self, arms: [&[Node]; N], x: Act<E, X, T>) -> Result<[Act<E, X, T>; N], X::Err> {
        let done = self.all_arms(arms.into_iter(), x)?;
        Ok(<[Act<E, X, T>; N]>::try_from(done).unwrap_or_else(|_| unreachable!("as many outputs as branches")))
    }

    fn all_arms<'n>(
        &mut self,
        arms: impl Iterator<Item = &'n [Node]> + Clone,
        x: Act<E, X, T>,
    ) -> Result<Vec<Act<E, X, T>>, X::Err> {
        let mut inputs = vec![x];
        for _ in arms.clone().skip(1) {
            if let Some(last) = inputs.pop() {
                let (first, second) = last.fork()?;
                inputs.extend([first, second]);
            }
        }
        arms.zip(inputs).map(|(nodes, x)| self.nodes(nodes, x)).collect()
    }

    fn layer(&mut self, id: LayerId, x: Act<E, X, T>) -> Flow<E, X, T> {
        let layer = &self.network.layers[id];
        match layer.op {
            Op::Conv(_) | Op::Linear { .. } => self.weighted(id, x),
            Op::BatchNorm { eps, momentum, .. } => self.batch_norm(id, [eps.0, momentum.0], x),
            Op::LayerNorm { eps, .. } => self.layer_norm(id, eps.0, x),
            Op::Activation(kind) => ops::activation(activation(kind), x),
            Op::Pool {
                kind,
                kernel,
                stride,
                pad,
            } => {
                let pool = PoolSize {
                    input: x.size,
                    output: map(layer.output, self.batch),
                    window: Window {
                        kernel: kernel.map(size),
                        stride: stride.map(size),
                        pad: pad.map(size),
                        dilation: [1, 1],
                    },
                };
                ops::pool(pool_kind(kind), pool, x)
            }
            Op::GlobalPool(kind) => ops::global_pool(pool_kind(kind), x),
            Op::Dropout(p) => match &mut self.training {
                Some(training) if p.0 > 0.0 => ops::dropout(p.0, (training.seeds)(), x),
                _ => Ok(x),
            },
            Op::Flatten => ops::flatten(x),
            Op::PositionEmbedding { .. } => self.position_embedding(id, x),
            // `Node::Attend` joins what such a layer joins.
            Op::Attend { .. } | Op::Invalid => Ok(x),
        }
    }

    fn position_embedding(&mut self, id: LayerId, mut x: Act<E, X, T>) -> Flow<E, X, T> {
        match self.param(id, Part::Kernel, &mut x.context)? {
            Some(weight) => ops::position_embedding(x, weight),
            None => Ok(x),
        }
    }

    /// A convolution or a linear layer with what it has of its own for its kernel.
    fn weighted(&mut self, id: LayerId, x: Act<E, X, T>) -> Flow<E, X, T> {
        let layer = &self.network.layers[id];
        let factor = self.private(id, ir::SCALE);
        let bind = |context: &mut Context<E, X, T>| {
            let weight = self.weight(id, context)?;
            let bias = match factor {
                Some(_) => None,
                None => self.param(id, Part::Bias, context)?,
            };
            Ok((weight, bias))
        };
        let output = map(layer.output, self.batch);
        let failed = |error| error;
        let mut x = match conv_size(&layer.op, x.size, output) {
            Some(size) => ops::conv(size, x, bind, failed)?,
            None => ops::linear(output.channels, x, bind, failed)?,
        };
        let Some(factor) = factor else { return Ok(x) };
        let factor = self.bind(factor, &mut x.context)?;
        let bias = self.param(id, Part::Bias, &mut x.context)?;
        ops::scale(x, factor, bias)
    }

    /// The kernel with the layer's own addition of low rank; a prepared network keeps the sum.
    fn weight(&self, id: LayerId, context: &mut Context<E, X, T>) -> Result<Weight<E, X>, X::Err> {
        let kernel = self.param(id, Part::Kernel, context)?;
        let Some(kernel) = kernel else {
            unreachable!("a convolution has a kernel")
        };
        let sizes = self.network.layers[id].low_rank();
        let factors = [ir::LOW_RANK_A, ir::LOW_RANK_B].map(|name| self.private(id, name));
        let (Some(sizes), [Some(a), Some(b)]) = (sizes, factors) else {
            return Ok(kernel.into());
        };
        let kernels = context.kernels.clone().filter(|_| !T::RECORDS);
        let sum = |context: &mut Context<E, X, T>| -> Result<_, X::Err> {
            let (a, b) = (self.bind(a, context)?, self.bind(b, context)?);
            Ok(LowRank::new(sizes.map(size), kernel, a, b))
        };
        match kernels {
            Some(kernels) => {
                let made = kernels.sum(b, || sum(context)?.make(&context.exec))?;
                Ok(Weight::kept(made))
            }
            None => sum(context).map(Weight::from),
        }
    }

    /// Scale and shift of a norm, which each visit binds, and the places of its running statistics.
    fn norm(&self, id: LayerId, context: &mut Context<E, X, T>) -> Result<([Param<E, X>; 2], &'a [usize]), X::Err> {
        let places = self.params.of_layer(id);
        let (scale, shift) = (self.bind(places[0], context)?, self.bind(places[1], context)?);
        Ok(([scale, shift], &places[2..]))
    }

    fn batch_norm(&mut self, id: LayerId, [eps, momentum]: [f64; 2], mut x: Act<E, X, T>) -> Flow<E, X, T> {
        let ([scale, shift], running) = self.norm(id, &mut x.context)?;
        let places = [running[0], running[1]];
        let params = self.params;
        let Some(training) = &mut self.training else {
            let statistics = places.map(|place| params.get(place).clone());
            return ops::batch_norm_infer(x, scale, shift, statistics, eps);
        };
        let exec = x.context.exec.clone();
        let read = |place| Ok(params.get(place).clone());
        let note = |batch: &BatchStatistics<'_, X::Buf>| {
            training
                .statistics
                .blend(&exec, places, batch, momentum, read, |error| error)
        };
        ops::batch_norm_train(x, scale, shift, eps, note, |error| error)
    }

    fn layer_norm(&self, id: LayerId, eps: f64, mut x: Act<E, X, T>) -> Flow<E, X, T> {
        let ([scale, shift], _) = self.norm(id, &mut x.context)?;
        ops::layer_norm(x, scale, shift, eps)
    }
}

/// Joins one more arm to `x`: the result and its shape.
fn join_arm<E: Real, X: Exec<E>, T: Tape<E, X>>(
    join: Join,
    x: Act<E, X, T>,
    shape: Shape,
    arm: Act<E, X, T>,
    of_arm: Shape,
) -> Result<(Act<E, X, T>, Shape), X::Err> {
    Ok(match (join, shape, of_arm) {
        (Join::Add, ..) => (ops::add(x, arm)?, shape),
        (Join::Multiply, Shape::Map { .. }, Shape::Flat(_)) => (ops::gate(x, arm)?, shape),
        (Join::Multiply, Shape::Flat(_), Shape::Map { .. }) => (ops::gate(arm, x)?, of_arm),
        (Join::Multiply, ..) => (ops::multiply(x, arm)?, shape),
        (Join::Concat, ..) => {
            let channels = shape.channels() + of_arm.channels();
            (ops::concat(x, arm)?, shape.with_channels(channels))
        }
    })
}

/// The sizes of a convolution; `None` for a linear layer.
pub(super) fn conv_size(op: &Op, input: MapSize, output: MapSize) -> Option<ConvSize> {
    let Op::Conv(conv) = op else { return None };
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
        algorithm: algorithm(conv.algorithm),
        unit: None,
    })
}

fn algorithm(algorithm: ir::Algorithm) -> size::Algorithm {
    match algorithm {
        ir::Algorithm::Auto => size::Algorithm::Auto,
        ir::Algorithm::Direct => size::Algorithm::Direct,
        ir::Algorithm::Winograd => size::Algorithm::Winograd,
        ir::Algorithm::ToomCook => size::Algorithm::ToomCook,
    }
}

fn pool_kind(kind: ir::PoolKind) -> PoolKind {
    match kind {
        ir::PoolKind::Max => PoolKind::Max,
        ir::PoolKind::Average => PoolKind::Average,
    }
}

fn activation(kind: ir::Activation) -> Activation {
    match kind {
        ir::Activation::Relu => Activation::Relu,
        ir::Activation::Gelu => Activation::Gelu,
        ir::Activation::GeluTanh => Activation::GeluTanh,
        ir::Activation::Silu => Activation::Silu,
        ir::Activation::Sigmoid => Activation::Sigmoid,
        ir::Activation::HardSwish => Activation::HardSwish,
    }
}
