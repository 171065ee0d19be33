//! The operations of a pass that join two activations.

use super::buffer::Buffer;
use super::memory::{Act, Pass};
use super::pending::Residual;
use std::rc::Rc;

impl Pass<'_> {
    pub(super) fn add(&mut self, a: Act, b: Act) -> Act {
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

    pub(super) fn concat(&mut self, a: Act, b: Act) -> Act {
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
