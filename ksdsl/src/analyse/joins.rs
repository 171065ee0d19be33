//! The operations of a pass that join two activations.

use super::buffer::{Buffer, Gradient};
use super::memory::{Act, Pass, Ready};
use super::pending::{Branch, GateStep, Value};
use super::wide;
use std::rc::Rc;

impl Pass<'_> {
    pub(super) fn add(&mut self, a: Act, b: Act) -> Act {
        let training = self.context.training;
        let (mut waiting, other) = match (a.value.takes_residual(training), b.value.takes_residual(training)) {
            (true, _) => (a, self.ready(b)),
            (false, true) => (b, self.ready(a)),
            (false, false) => return self.add_now(a, b),
        };
        waiting.value.take_residual(Branch {
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

    pub(super) fn multiply(&mut self, a: Act, b: Act) -> Act {
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

    pub(super) fn gate(&mut self, x: Act, factors: Act) -> Act {
        let shape = x.shape;
        let (input, gate) = (self.ready(x), self.ready(factors));
        let branch = |ready: Ready| Branch {
            data: ready.data,
            saved: ready.saved,
            gradient: ready.gradient,
        };
        let step = GateStep {
            input: branch(input),
            gate: branch(gate),
            residual: None,
            after: false,
        };
        Act {
            shape,
            value: Value::Gate(Box::new(step)),
            gradient: Gradient::default(),
        }
    }

    pub(super) fn concat(&mut self, a: Act, b: Act) -> Act {
        let shape = a.shape.with_channels(a.shape.channels() + b.shape.channels());
        let [left, right] = [a.shape, b.shape].map(|shape| wide(shape.elements()) * self.batch);
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
