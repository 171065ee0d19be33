//! What a layer reads of the model: its tensors, each bound once, and the kernel that it makes of them.

use super::super::params::{Named, SharedTensor};
use super::{Flow, Walk, map, size};
use crate::ir::{self, LayerId, Op};
use crate::ops::conv::Conv;
use ksdsl_engine::act::{Act, Context};
use ksdsl_engine::size::{Algorithm, ConvSize, MapSize, Window};
use ksdsl_engine::weight::{Key, View};
use ksdsl_engine::{Exec, Param, Real, Tape, Weight, ops};
use std::rc::Rc;

/// The sizes of a convolution; `None` for other operations.
pub(in crate::graph) fn conv_size(op: &Op, input: MapSize, output: MapSize) -> Option<ConvSize> {
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

impl<E: Real, X: Exec<E>, T: Tape<E, X>> Walk<'_, E, X, T> {
    /// Reads the parameter at a place; what becomes of its gradient is recorded before its first visit.
    pub(super) fn bind(&self, place: usize, context: &mut Context<E, X, T>) -> Result<Param<E, X>, X::Err> {
        let len = self.params.list()[place].len;
        let read = |exec: &X| Ok::<_, X::Err>(exec.kernel(self.params.get(place).clone()));
        if let (Some(kernels), false) = (&context.kernels, T::RECORDS) {
            let kernel = kernels.param(place, || read(&context.exec))?;
            return Ok(Param::new(kernel, len, false));
        }
        if let Some(param) = context.in_loop.as_ref().and_then(|bound| bound.param(place)) {
            return Ok(param);
        }
        let param = match self.bound_before() {
            Some(param) => param,
            None => Param::new(Rc::new(read(&context.exec)?), len, T::RECORDS),
        };
        if let Some(bound) = &context.in_loop {
            bound.keep(place, &param);
        }
        if !self.note(place, &param) {
            self.deliver(place, &param, (&context.exec, &mut context.tape));
        }
        Ok(param)
    }

    /// Records where the gradient of a parameter goes.
    pub(in crate::graph) fn deliver(&self, place: usize, param: &Param<E, X>, (exec, tape): (&X, &mut T)) {
        if let Some(training) = &self.training {
            let (param, sink) = (param.clone(), training.sink.clone());
            tape.record(exec, move |exec| match param.take_gradient(exec)? {
                Some(sum) => sink(exec, place, sum),
                None => Ok(()),
            });
        }
    }

    pub(super) fn bind_shared(&mut self, context: &mut Context<E, X, T>) -> Result<(), X::Err> {
        // A decoder has each kernel once, by its place, and binds it where it is visited.
        if self.decoding.is_some() {
            return Ok(());
        }
        for &SharedTensor {
            group,
            kernel,
            name,
            place,
        } in self.params.shared()
        {
            let param = self.bind(place, context)?;
            self.shared.insert((group, kernel, name), param);
        }
        Ok(())
    }

    /// A tensor of a layer, shared or its own; `None` where it has none of this name.
    pub(super) fn tensor(
        &self,
        id: LayerId,
        name: &str,
        context: &mut Context<E, X, T>,
    ) -> Result<Option<Param<E, X>>, X::Err> {
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

    /// A convolution or a linear layer with what it has of its own for its kernel.
    pub(super) fn weighted(&mut self, id: LayerId, x: Act<E, X, T>) -> Flow<E, X, T> {
        let layer = &self.network.layers[id];
        let factor = self.params.layer(id).private.scale;
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
        let (layer, private) = (&self.network.layers[id], self.params.layer(id).private);
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
}
