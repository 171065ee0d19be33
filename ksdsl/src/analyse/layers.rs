//! The layers of a pass.

use super::buffer::{Buffer, Gradient};
use super::kernel::Convolution;
use super::memory::{Act, Pass, Ready, has_one_layout};
use super::param::Param;
use super::pending::{ConvStep, NormStep, Saved, Source, Value, activate};
use super::weight::{Sum, Weight};
use super::wide;
use crate::ir::{LOW_RANK_A, LOW_RANK_B, Layer};
use crate::ops::conv::Conv;
use std::rc::Rc;

impl Pass<'_> {
    pub(super) fn conv(&mut self, layer: &Layer, x: Act) -> Act {
        let Some(size) = Convolution::of(layer, self.batch, self.unit) else {
            return x;
        };
        let size = if self.context.training {
            size.in_training()
        } else {
            size
        };
        let (x, behind) = self.ready_or_waiting(layer, &size, x);
        let mut params = self.params(layer).into_iter();
        let Some(weight) = params.next() else {
            return self.output(layer.output, x.data, |_| ());
        };
        let bias = params.next();
        let weight = self.weight(layer, weight);
        let (bias, after) = if layer.scaled { (None, bias) } else { (bias, None) };
        let step = ConvStep {
            size,
            x: x.data,
            behind,
            saved: x.saved,
            gradient: x.gradient,
            weight,
            bias,
            before: None,
            affine: None,
            residual: None,
            after: false,
        };
        let y = Act {
            shape: layer.output,
            value: Value::Conv(Box::new(step)),
            gradient: Gradient::default(),
        };
        if layer.scaled { self.scale(layer, after, y) } else { y }
    }

    /// The values for a convolution, or the one that runs with it and its input.
    fn ready_or_waiting(&mut self, layer: &Layer, size: &Convolution, x: Act) -> (Ready, Option<Box<ConvStep>>) {
        let joins = !self.context.training && layer.op.downcast::<Conv>().is_some();
        match x.value {
            Value::Conv(step) if joins && step.behind.is_none() && step.size.chains(size) => {
                let ready = Ready {
                    data: step.x.clone(),
                    saved: step.saved.clone(),
                    gradient: x.gradient,
                };
                (ready, Some(step))
            }
            value => (self.ready(Act { value, ..x }), None),
        }
    }

    /// The kernel with the layer's own addition to it.
    fn weight(&mut self, layer: &Layer, kernel: Param) -> Weight {
        let Some([rows, rank, columns]) = layer.low_rank().map(|sizes| sizes.map(wide)) else {
            return Weight::Param(kernel);
        };
        let sum = Sum {
            size: Convolution::linear(rows, [columns, rank]),
            kernel,
            a: self.own(layer, LOW_RANK_A, rank * columns),
            b: self.own(layer, LOW_RANK_B, rows * rank),
        };
        self.keep_sum(layer, sum)
    }

    /// Factors for the output channels, and the bias after them.
    fn scale(&mut self, layer: &Layer, bias: Option<Param>, mut x: Act) -> Act {
        let channels = wide(layer.scales());
        let factor = self.scales(layer);
        // Copies of factor and bias.
        let affine = self.values(channels * 2);
        if let (Value::Conv(step), false) = (&mut x.value, self.context.training) {
            step.affine = Some(affine);
            return x;
        }
        let x = self.ready(x);
        let y = Rc::new(self.map(layer.output));
        let saved = Saved::output(x.saved.clone(), Rc::new(affine), None, &y, false);
        let (input, dx, meter) = (x.saved, x.gradient, self.context.meter.clone());
        let gradient = Gradient::default();
        self.context.record(&gradient, move |dy| {
            let values = input.get();
            let product = dy.alike();
            drop((values, input));
            factor.accumulate(&meter);
            drop(product);
            if let Some(bias) = &bias {
                bias.accumulate(&meter);
            }
            dx.add(dy);
        });
        Act {
            shape: layer.output,
            value: Value::Ready(y, saved),
            gradient,
        }
    }

    pub(super) fn batch_norm(&mut self, layer: &Layer, channels: u128, x: Act) -> Act {
        let parameters = self.params(layer);
        let Act { shape, value, gradient } = x;
        let training = self.context.training;
        let value = match value {
            Value::Conv(mut step) if step.is_plain() => {
                if !training {
                    step.affine = Some(self.values(channels * 2));
                    return Act {
                        shape,
                        value: Value::Conv(step),
                        gradient,
                    };
                }
                let activated = step.before.map(|_| self.map(shape));
                let input = Rc::new(step.forward(&self.context.meter));
                let saved = Saved::Kept(input.clone());
                let source = Source::Conv(Box::new(step.into_backward()));
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
        channels: u128,
    ) -> Value {
        if self.context.training {
            self.running.push(self.values(channels * 2));
        }
        // Mean, variance, factor and offset.
        let statistics = Rc::new(self.values(channels * 4));
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

    pub(super) fn layer_norm(&mut self, layer: &Layer, x: Act) -> Act {
        let parameters = self.params(layer);
        let x = self.ready(x);
        let y = Rc::new(self.map(layer.output));
        // Mean and inverse deviation of each row.
        let rows = wide(layer.input.pixels()) * self.batch;
        let statistics = self.values(rows * 2);
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

    pub(super) fn activation(&mut self, kind: &'static str, mut x: Act) -> Act {
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
    pub(super) fn pool(&mut self, layer: &Layer, needs_input: bool, x: Act) -> Act {
        let x = self.ready(x);
        let y = Rc::new(self.map(layer.output));
        let saved = needs_input.then_some(x.saved);
        let (meter, gradient) = (self.context.meter.clone(), x.gradient);
        let inputs = wide(layer.input.elements()) * self.batch;
        self.output(layer.output, y, move |dy| {
            let input = saved.as_ref().map(Saved::get);
            let dx = meter.buffer(inputs);
            drop((dy, input));
            gradient.add(dx);
        })
    }

    pub(super) fn dropout(&mut self, x: Act) -> Act {
        let shape = x.shape;
        let x = self.ready(x);
        drop(x.saved);
        let y = Rc::new(Buffer::owned(x.data));
        self.output(shape, y, move |dy| x.gradient.add(dy))
    }

    pub(super) fn flatten(&mut self, layer: &Layer, x: Act) -> Act {
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
}
