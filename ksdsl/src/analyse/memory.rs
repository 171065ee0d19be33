//! The most memory that a pass needs at one time.
//!
//! The runtime's passes are followed step by step, on buffers that hold nothing but their size:
//! what waits, what is written over what, what the backward pass keeps and what it recomputes.
//! Counted is what the runtime allocates besides dfdx's tensors: activations and their gradients,
//! copies of parameters in the forms that its algorithms want, the sums of their gradients, and
//! scratch. Shared kernels are read, transformed and summed once, so they count once.

use super::buffer::{Buffer, Gradient, Meter, VALUE};
use super::param::Param;
use super::pending::{Context, Saved, Tape, Value};
use super::weight::{Sum, Weight};
use super::wide;
use crate::ir::{GroupId, Join, Layer, Network, Part, SCALE, Shape, Visit, Walk};
use std::collections::HashMap;
use std::convert::Infallible;
use std::rc::Rc;

/// The most bytes alive at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peaks {
    /// In a forward pass in inference.
    pub inference: u128,
    /// In a forward pass of a prepared model, with the kernels it keeps.
    pub prepared: u128,
    /// In a step of training: forward and backward.
    pub training: u128,
}

/// The peaks of passes over `batch` images, in `f32` and on this many threads: at most that, if all
/// tasks that can run at a time have their scratch at the same moment.
pub fn peaks(network: &Network, batch: u64, threads: u64) -> Peaks {
    let (batch, threads) = (wide(batch), wide(threads));
    let (slice, unit) = match slices(network, batch, threads) {
        Some([slice, unit]) => (slice, Some(unit)),
        None => (batch, None),
    };
    let first = |keeps: bool| {
        let mut pass = Pass::new(network, slice, false, threads);
        pass.unit = unit;
        pass.kept = keeps.then(HashMap::new);
        pass.run();
        pass
    };
    // The slices that follow, and further passes of a prepared model, find the forms of all kernels made.
    let mut next = first(true);
    let of_slices = next.context.meter.peak();
    next.context.meter.reset_peak();
    next.run();
    let prepared = next.context.meter.peak();
    let mut training = Pass::new(network, batch, true, threads);
    training.run();
    Peaks {
        inference: match unit {
            Some(_) => of_slices.max(prepared),
            None => first(false).context.meter.peak(),
        },
        prepared,
        training: training.context.meter.peak(),
    }
}

/// Bytes of the largest activation of a unit of a batch, see `ksdsl_runtime::cpu::with_unit_bytes`.
const UNIT: u128 = 2 << 20;

/// Images of a slice and of a unit, where a batch is taken through the network in slices in inference.
fn slices(network: &Network, batch: u128, threads: u128) -> Option<[u128; 2]> {
    let largest = wide(network.largest_activation()) * VALUE;
    let unit = (UNIT / largest.max(1)).max(1);
    let units = batch.div_ceil(unit);
    let of_slice = units.div_ceil(units.div_ceil(threads.max(1)).max(1));
    (batch > unit).then(|| [batch.min(of_slice * unit), unit])
}

/// A forward pass, and in training what is to be done backwards.
pub(super) struct Pass<'n> {
    network: &'n Network,
    pub(super) batch: u128,
    /// Images of a unit, where the batch is a slice.
    pub(super) unit: Option<u128>,
    pub(super) context: Context,
    /// The shared parameters.
    shared: HashMap<(GroupId, u32, Part), Param>,
    /// The parameters that a prepared model keeps.
    kept: Option<HashMap<Key, Param>>,
    /// What running statistics become.
    pub(super) running: Vec<Buffer>,
}

/// Whose parameter, and its name there.
type Key = (Owner, &'static str);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Owner {
    /// A layer, by its address.
    Layer(usize),
    /// A kernel of a group.
    Group(GroupId, u32),
}

impl Owner {
    fn of(layer: &Layer) -> Self {
        Self::Layer(std::ptr::from_ref(layer).addr())
    }
}

/// An activation.
pub(super) struct Act {
    pub(super) shape: Shape,
    pub(super) value: Value,
    pub(super) gradient: Gradient,
}

/// An activation that was computed.
pub(super) struct Ready {
    pub(super) data: Rc<Buffer>,
    pub(super) saved: Saved,
    pub(super) gradient: Gradient,
}

impl<'n> Pass<'n> {
    fn new(network: &'n Network, batch: u128, training: bool, threads: u128) -> Self {
        let context = Context {
            meter: Meter::new(threads),
            training,
            tape: Tape::default(),
        };
        Pass {
            network,
            batch,
            unit: None,
            context,
            shared: HashMap::new(),
            kept: None,
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
        let Ok(x) = self.nodes(self.network, &self.network.nodes, x);
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
    pub(super) fn map(&self, shape: Shape) -> Buffer {
        self.values(wide(shape.elements()) * self.batch)
    }

    pub(super) fn values(&self, values: u128) -> Buffer {
        self.context.meter.buffer(values)
    }

    /// Reads a parameter, unless it is kept.
    fn param(&mut self, key: Key, len: u128) -> Param {
        let kept = self.kept.as_ref().and_then(|kept| kept.get(&key));
        if let Some(kept) = kept {
            return kept.clone();
        }
        let param = Param::new(&self.context.meter, len);
        if let Some(kept) = &mut self.kept {
            kept.insert(key, param.clone());
        }
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
                    let key = (Owner::Group(id, kernel), tensor.name);
                    let param = self.param(key, wide(super::elements(tensor)));
                    self.shared.insert((id, kernel, tensor.part), param);
                }
            }
        }
    }

    /// The parameters of a convolution, linear layer or norm, each shared or its own.
    pub(super) fn params(&mut self, layer: &Layer) -> Vec<Param> {
        let mut params = Vec::new();
        for tensor in layer.op.tensors().iter().filter(|tensor| tensor.trainable) {
            let visit: Option<Visit> = match tensor.part {
                Part::Kernel => layer.kernel,
                Part::Bias => layer.bias,
                Part::Norm => None,
            };
            let shared = visit.and_then(|visit| self.shared.get(&(visit.group, visit.kernel, tensor.part)));
            let param = shared.cloned();
            let owner = match super::shared(layer, tensor) {
                Some((group, kernel)) => Owner::Group(group, kernel),
                None => Owner::of(layer),
            };
            params.push(param.unwrap_or_else(|| self.param((owner, tensor.name), wide(super::elements(tensor)))));
        }
        params
    }

    /// A visit's own factors.
    pub(super) fn scales(&mut self, layer: &Layer) -> Param {
        self.own(layer, SCALE, wide(layer.scales()))
    }

    /// A parameter of this layer alone.
    pub(super) fn own(&mut self, layer: &Layer, name: &'static str, len: u128) -> Param {
        self.param((Owner::of(layer), name), len)
    }

    /// The kernel of a layer with an addition of low rank; a prepared model makes it once.
    pub(super) fn keep_sum(&mut self, layer: &Layer, sum: Sum) -> Weight {
        let Some(kept) = &mut self.kept else {
            return Weight::Sum(Box::new(sum));
        };
        let made = kept
            .entry((Owner::of(layer), "sum"))
            .or_insert_with(|| Param::of(sum.make(&self.context.meter)));
        Weight::Param(made.clone())
    }

    pub(super) fn ready(&mut self, x: Act) -> Ready {
        let (data, saved) = x.value.compute(&mut self.context, &x.gradient);
        Ready {
            data,
            saved,
            gradient: x.gradient,
        }
    }

    /// The output of an operation that does not wait.
    pub(super) fn output(&mut self, shape: Shape, data: Rc<Buffer>, backward: impl FnOnce(Buffer) + 'static) -> Act {
        let gradient = Gradient::default();
        self.context.record(&gradient, backward);
        Act {
            shape,
            value: Value::ready(data),
            gradient,
        }
    }

    fn run_layer(&mut self, layer: &Layer, x: Act) -> Act {
        let call = layer.op.call();
        match call.name {
            "conv" | "linear" => self.conv(layer, x),
            "batch_norm" => self.batch_norm(layer, wide(call.int("channels")), x),
            "layer_norm" => self.layer_norm(layer, x),
            kind @ ("relu" | "gelu" | "gelu_tanh" | "silu" | "sigmoid" | "hard_swish") => self.activation(kind, x),
            "global_avg_pool" => self.pool(layer, false, x),
            "flatten" => self.flatten(layer, x),
            "position_embedding" => self.position_embedding(layer, x),
            "dropout" if self.context.training && call.real("p") > 0.0 => self.dropout(x),
            "dropout" | "invalid" => x,
            // Pooling, and what it does not know: the input is kept for the backward pass.
            _ => self.pool(layer, true, x),
        }
    }
}

impl Walk for Pass<'_> {
    type Value = Act;
    type Error = Infallible;

    fn layer(&mut self, layer: &Layer, x: Act) -> Result<Act, Infallible> {
        Ok(self.run_layer(layer, x))
    }

    fn fork(&mut self, x: Act) -> Result<[Act; 2], Infallible> {
        let shape = x.shape;
        let ready = self.ready(x);
        let act = |data, saved, gradient| Act {
            shape,
            value: Value::Ready(data, saved),
            gradient,
        };
        let second = act(ready.data.clone(), ready.saved.clone(), ready.gradient.clone());
        Ok([act(ready.data, ready.saved, ready.gradient), second])
    }

    fn join(&mut self, join: &Join, first: Act, others: Vec<Act>) -> Result<Act, Infallible> {
        let call = join.op.call();
        let others = match (call.name, <[Act; 2]>::try_from(others)) {
            ("attend", Ok([key, value])) => return Ok(self.attend(wide(call.int("heads")), [first, key, value])),
            (_, Ok(others)) => Vec::from(others),
            (_, Err(others)) => others,
        };
        Ok(others
            .into_iter()
            .fold(first, |x, arm| match (call.name, x.shape, arm.shape) {
                ("multiply", Shape::Map { .. }, Shape::Flat(_)) => self.gate(x, arm),
                ("multiply", Shape::Flat(_), Shape::Map { .. }) => self.gate(arm, x),
                ("multiply", ..) => self.multiply(x, arm),
                ("concat", ..) => self.concat(x, arm),
                _ => self.add(x, arm),
            }))
    }
}

/// Whether the order of a map's values is the same in all layouts.
pub(super) fn has_one_layout(shape: Shape) -> bool {
    shape.pixels() == 1 || shape.channels() == 1
}
