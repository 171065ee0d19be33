//! The most memory that a pass needs at one time.
//!
//! The runtime's passes are followed step by step, on buffers that hold nothing but their size:
//! what waits, what is written over what, what the backward pass keeps and what it makes again.
//! Counted is what the runtime allocates besides dfdx's tensors: activations and their gradients,
//! copies of parameters in the forms that its algorithms want, the sums of their gradients, and
//! scratch. Shared kernels are read, transformed and summed once, so they count once.

use super::buffer::{Buffer, Gradient, Meter};
use super::kernel::{Convolution, Param};
use super::pending::{Context, ConvStep, NormStep, Residual, Saved, Source, Tape, Value, activate};
use crate::ir::{Activation, GroupId, Join, Layer, Network, Node, Op, Part, PoolKind, Shape, Visit};
use std::collections::HashMap;
use std::rc::Rc;

/// The most bytes alive at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peaks {
    /// In a forward pass in inference.
    pub inference: u64,
    /// In a step of training: forward and backward.
    pub training: u64,
}

/// The peaks of passes over `batch` images, in `f32` and on one thread.
pub fn peaks(network: &Network, batch: u64) -> Peaks {
    let peak = |training| {
        let mut pass = Pass::new(network, batch, training);
        pass.run();
        pass.context.meter.peak()
    };
    Peaks {
        inference: peak(false),
        training: peak(true),
    }
}

/// A forward pass, and in training what is to be done backwards.
struct Pass<'n> {
    network: &'n Network,
    batch: u64,
    context: Context,
    /// The shared parameters.
    shared: HashMap<(GroupId, u32, Part), Param>,
    /// What running statistics become.
    running: Vec<Buffer>,
}

/// An activation.
struct Act {
    shape: Shape,
    value: Value,
    gradient: Gradient,
}

/// An activation that was computed.
struct Ready {
    data: Rc<Buffer>,
    saved: Saved,
    gradient: Gradient,
}

impl<'n> Pass<'n> {
    fn new(network: &'n Network, batch: u64, training: bool) -> Self {
        let context = Context {
            meter: Rc::new(Meter::default()),
            training,
            tape: Tape::default(),
        };
        Pass {
            network,
            batch,
            context,
            shared: HashMap::new(),
            running: Vec::new(),
        }
    }

    /// Forward, and in training backward.
    fn run(&mut self) {
        let input = self.reorder(self.network.input, None);
        let x = Act {
            shape: self.network.input,
            value: Value::ready(Rc::new(input)),
            gradient: Gradient::default(),
        };
        let input = x.gradient.clone();
        self.bind_shared();
        let x = self.nodes(&self.network.nodes, x);
        let logits = self.ready(x);
        drop(logits.saved);
        drop(self.reorder(self.network.output, Some(Buffer::owned(logits.data))));
        self.shared.clear();
        self.running.clear();
        if self.context.training {
            logits.gradient.add(self.reorder(self.network.output, None));
            self.context.tape.run();
            if let Some(dx) = input.take() {
                drop(self.reorder(self.network.input, Some(dx)));
            }
        }
    }

    /// A map in another order of its values than `from`, or than a tensor of dfdx.
    fn reorder(&self, shape: Shape, from: Option<Buffer>) -> Buffer {
        let from = from.unwrap_or_else(|| self.map(shape));
        if has_one_layout(shape) { from } else { from.alike() }
    }

    /// An activation's values.
    fn map(&self, shape: Shape) -> Buffer {
        self.values(shape.elements().saturating_mul(self.batch))
    }

    fn values(&self, values: u64) -> Buffer {
        self.context.meter.buffer(values)
    }

    /// Reads a parameter.
    fn param(&mut self, len: u64) -> Param {
        let param = Param::new(&self.context.meter, len);
        if self.context.training {
            self.context.tape.push(param.finish(&self.context.meter));
        }
        param
    }

    /// Reads the shared parameters. Norms are read at each visit.
    fn bind_shared(&mut self) {
        for (id, group) in self.network.groups.iter().enumerate() {
            for tensor in group.tensors().iter().filter(|tensor| tensor.part != Part::Norm) {
                for kernel in 0..group.kernels {
                    let param = self.param(super::elements(tensor));
                    self.shared.insert((id, kernel, tensor.part), param);
                }
            }
        }
    }

    /// The parameters of a convolution, linear layer or norm, each shared or its own.
    fn params(&mut self, layer: &Layer) -> Vec<Param> {
        let mut params = Vec::new();
        for tensor in layer.op.tensors().iter().filter(|tensor| tensor.trainable) {
            let visit: Option<Visit> = match tensor.part {
                Part::Kernel => layer.kernel,
                Part::Bias => layer.bias,
                Part::Norm => None,
            };
            let shared = visit.and_then(|visit| self.shared.get(&(visit.group, visit.kernel, tensor.part)));
            let param = shared.cloned();
            params.push(param.unwrap_or_else(|| self.param(super::elements(tensor))));
        }
        params
    }

    fn ready(&mut self, x: Act) -> Ready {
        let (data, saved) = x.value.compute(&mut self.context, &x.gradient);
        Ready {
            data,
            saved,
            gradient: x.gradient,
        }
    }

    /// The output of an operation that does not wait.
    fn output(&mut self, shape: Shape, data: Rc<Buffer>, backward: impl FnOnce(Buffer) + 'static) -> Act {
        let gradient = Gradient::default();
        self.context.record(&gradient, backward);
        Act {
            shape,
            value: Value::ready(data),
            gradient,
        }
    }

    /// Two of one.
    fn fork(&mut self, x: Act) -> (Act, Act) {
        let shape = x.shape;
        let ready = self.ready(x);
        let act = |data, saved, gradient| Act {
            shape,
            value: Value::Ready(data, saved),
            gradient,
        };
        let second = act(ready.data.clone(), ready.saved.clone(), ready.gradient.clone());
        (act(ready.data, ready.saved, ready.gradient), second)
    }

    fn nodes(&mut self, nodes: &[Node], x: Act) -> Act {
        nodes.iter().fold(x, |x, node| self.node(node, x))
    }

    fn node(&mut self, node: &Node, x: Act) -> Act {
        match node {
            Node::Layer(id) => self.layer(&self.network.layers[*id], x),
            Node::Scope(scope) => self.nodes(&scope.nodes, x),
            Node::Residual { main, skip } => {
                let (x, other) = self.fork(x);
                let x = self.nodes(main, x);
                let other = self.nodes(skip, other);
                self.add(x, other)
            }
            Node::Branch { join, arms, .. } => {
                let mut inputs = vec![x];
                for _ in 1..arms.len() {
                    let last = inputs.pop().map(|x| self.fork(x));
                    inputs.extend(last.into_iter().flat_map(|(first, second)| [first, second]));
                }
                let done: Vec<Act> = (arms.iter().zip(inputs))
                    .map(|((arm, _), x)| self.nodes(arm, x))
                    .collect();
                done.into_iter()
                    .reduce(|x, arm| self.join(*join, x, arm))
                    .expect("a branch has arms")
            }
            Node::Gate(gate) => {
                let (x, factors) = self.fork(x);
                let factors = self.nodes(gate, factors);
                self.gate(x, factors)
            }
        }
    }

    fn join(&mut self, join: Join, x: Act, arm: Act) -> Act {
        match (join, x.shape, arm.shape) {
            (Join::Add, ..) => self.add(x, arm),
            (Join::Multiply, Shape::Map { .. }, Shape::Flat(_)) => self.gate(x, arm),
            (Join::Multiply, Shape::Flat(_), Shape::Map { .. }) => self.gate(arm, x),
            (Join::Multiply, ..) => self.multiply(x, arm),
            (Join::Concat, ..) => self.concat(x, arm),
        }
    }

    fn layer(&mut self, layer: &Layer, x: Act) -> Act {
        match layer.op {
            Op::Conv(_) | Op::Linear { .. } => self.conv(layer, x),
            Op::BatchNorm { channels, .. } => self.batch_norm(layer, channels, x),
            Op::LayerNorm { .. } => self.layer_norm(layer, x),
            Op::Activation(kind) => self.activation(kind, x),
            Op::Pool { .. } => self.pool(layer, true, x),
            Op::GlobalPool(kind) => self.pool(layer, kind == PoolKind::Max, x),
            Op::Dropout(p) if self.context.training && p.0 > 0.0 => self.dropout(x),
            Op::Flatten => self.flatten(layer, x),
            Op::Dropout(_) | Op::Invalid => x,
        }
    }

    fn conv(&mut self, layer: &Layer, x: Act) -> Act {
        let Some(size) = Convolution::of(layer, self.batch) else {
            return x;
        };
        let x = self.ready(x);
        let mut params = self.params(layer).into_iter();
        let Some(weight) = params.next() else {
            return self.output(layer.output, x.data, |_| ());
        };
        let step = ConvStep {
            size,
            _x: x.data,
            saved: x.saved,
            gradient: x.gradient,
            weight,
            bias: params.next(),
            before: None,
            affine: None,
            residual: None,
            after: false,
        };
        Act {
            shape: layer.output,
            value: Value::Conv(Box::new(step)),
            gradient: Gradient::default(),
        }
    }

    fn batch_norm(&mut self, layer: &Layer, channels: u64, x: Act) -> Act {
        let parameters = self.params(layer);
        let Act { shape, value, gradient } = x;
        let training = self.context.training;
        let value = match value {
            Value::Conv(mut step) if step.is_plain() => {
                if !training {
                    step.affine = Some(self.values(channels.saturating_mul(2)));
                    return Act {
                        shape,
                        value: Value::Conv(step),
                        gradient,
                    };
                }
                let activated = step.before.map(|_| self.map(shape));
                let input = Rc::new(step.forward(&self.context.meter));
                let saved = Saved::Kept(input.clone());
                let source = Source::Conv(step.into_backward());
                self.norm(input, saved, activated, source, parameters, channels)
            }
            value => {
                let (input, saved) = value.compute(&mut self.context, &gradient);
                self.norm(input, saved, None, Source::Other(gradient), parameters, channels)
            }
        };
        Act {
            shape,
            value,
            gradient: Gradient::default(),
        }
    }

    /// A norm that waits, whose statistics were gathered.
    fn norm(
        &mut self,
        input: Rc<Buffer>,
        saved: Saved,
        activated: Option<Buffer>,
        source: Source,
        parameters: Vec<Param>,
        channels: u64,
    ) -> Value {
        if self.context.training {
            self.running.push(self.values(channels.saturating_mul(2)));
        }
        // Mean, variance, factor and offset.
        let statistics = Rc::new(self.values(channels.saturating_mul(4)));
        Value::Norm(Box::new(NormStep {
            input,
            saved,
            activated,
            source,
            parameters,
            statistics,
            residual: None,
            after: false,
        }))
    }

    fn layer_norm(&mut self, layer: &Layer, x: Act) -> Act {
        let parameters = self.params(layer);
        let x = self.ready(x);
        let y = Rc::new(self.map(layer.output));
        // Mean and inverse deviation of each row.
        let rows = layer.input.pixels().saturating_mul(self.batch);
        let statistics = self.values(rows.saturating_mul(2));
        let meter = self.context.meter.clone();
        self.output(layer.output, y, move |dy| {
            let input = x.saved.get();
            for param in &parameters {
                param.accumulate(&meter);
            }
            let dx = input.alike();
            drop((dy, input, statistics));
            x.gradient.add(dx);
        })
    }

    fn activation(&mut self, kind: Activation, mut x: Act) -> Act {
        if x.value.take_activation(kind, self.context.training) {
            return x;
        }
        let shape = x.shape;
        let x = self.ready(x);
        drop(x.saved);
        let gradient = Gradient::default();
        let y = activate(kind, x.data, x.gradient, &mut self.context, &gradient);
        Act {
            shape,
            value: Value::ready(y),
            gradient,
        }
    }

    /// Pooling, whose gradient may depend on the input.
    fn pool(&mut self, layer: &Layer, needs_input: bool, x: Act) -> Act {
        let x = self.ready(x);
        let y = Rc::new(self.map(layer.output));
        let saved = needs_input.then_some(x.saved);
        let (meter, gradient) = (self.context.meter.clone(), x.gradient);
        let inputs = layer.input.elements().saturating_mul(self.batch);
        self.output(layer.output, y, move |dy| {
            let input = saved.as_ref().map(Saved::get);
            let dx = meter.buffer(inputs);
            drop((dy, input));
            gradient.add(dx);
        })
    }

    fn dropout(&mut self, x: Act) -> Act {
        let shape = x.shape;
        let x = self.ready(x);
        drop(x.saved);
        let y = Rc::new(Buffer::owned(x.data));
        self.output(shape, y, move |dy| x.gradient.add(dy))
    }

    fn flatten(&mut self, layer: &Layer, x: Act) -> Act {
        let x = self.ready(x);
        drop(x.saved);
        let one_layout = has_one_layout(layer.input);
        let reorder = move |from: Buffer| if one_layout { from } else { from.alike() };
        let y = if one_layout {
            x.data
        } else {
            Rc::new(reorder(Buffer::owned(x.data)))
        };
        self.output(layer.output, y, move |dy| x.gradient.add(reorder(dy)))
    }

    fn add(&mut self, a: Act, b: Act) -> Act {
        let training = self.context.training;
        let (mut waiting, other) = match (a.value.takes_residual(training), b.value.takes_residual(training)) {
            (true, _) => (a, self.ready(b)),
            (false, true) => (b, self.ready(a)),
            (false, false) => return self.add_now(a, b),
        };
        waiting.value.take_residual(Residual {
            data: other.data,
            saved: other.saved,
            gradient: other.gradient,
        });
        waiting
    }

    fn add_now(&mut self, a: Act, b: Act) -> Act {
        let shape = a.shape;
        let (a, b) = (self.ready(a), self.ready(b));
        drop((a.saved, b.saved));
        let (into, other) = match Rc::strong_count(&a.data) {
            1 => (a.data, b.data),
            _ => (b.data, a.data),
        };
        let y = Rc::new(Buffer::owned(into));
        drop(other);
        self.output(shape, y, move |dy| {
            a.gradient.add(dy.alike());
            b.gradient.add(dy);
        })
    }

    fn multiply(&mut self, a: Act, b: Act) -> Act {
        let shape = a.shape;
        let (a, b) = (self.ready(a), self.ready(b));
        let saved = self.context.training.then_some((a.saved, b.saved));
        let y = Rc::new(Buffer::owned(a.data));
        drop(b.data);
        self.output(shape, y, move |dy| {
            let Some((saved_a, saved_b)) = saved else { return };
            let da = dy.alike();
            drop(saved_b.get());
            a.gradient.add(da);
            drop(saved_a.get());
            b.gradient.add(dy);
        })
    }

    fn gate(&mut self, x: Act, factors: Act) -> Act {
        let shape = x.shape;
        let (x, factors) = (self.ready(x), self.ready(factors));
        let y = Rc::new(self.map(shape));
        drop((x.data, factors.data));
        self.output(shape, y, move |dy| {
            let (input, factor) = (x.saved.get(), factors.saved.get());
            let (dx, dfactor) = (input.alike(), factor.alike());
            drop((dy, input, factor));
            x.gradient.add(dx);
            factors.gradient.add(dfactor);
        })
    }

    fn concat(&mut self, a: Act, b: Act) -> Act {
        let shape = a.shape.with_channels(a.shape.channels() + b.shape.channels());
        let [left, right] = [a.shape, b.shape].map(|shape| shape.elements().saturating_mul(self.batch));
        let (a, b) = (self.ready(a), self.ready(b));
        let y = Rc::new(self.map(shape));
        drop((a.data, a.saved, b.data, b.saved));
        let meter = self.context.meter.clone();
        self.output(shape, y, move |dy| {
            let (da, db) = (meter.buffer(left), meter.buffer(right));
            drop(dy);
            a.gradient.add(da);
            b.gradient.add(db);
        })
    }
}

/// Whether the order of a map's values is the same in all layouts.
fn has_one_layout(shape: Shape) -> bool {
    shape.pixels() == 1 || shape.channels() == 1
}
