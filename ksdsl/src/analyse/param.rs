//! Parameters as a pass uses them: read once, prepared once, their gradients gathered in one place.

use super::buffer::{Buffer, Meter};
use super::kernel::{Convolution, Method};
use std::cell::RefCell;
use std::rc::Rc;

/// What a kernel is prepared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
}

/// A form of a kernel.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    Dense(Method, Direction),
    /// Depends on the sizes.
    Depthwise(Box<Convolution>, Direction),
}

/// A copy of a parameter's values, and the forms made of them.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) len: u128,
    _values: Buffer,
    forms: RefCell<Vec<(Form, Buffer)>>,
}

impl Kernel {
    /// A kernel of this many values, which are these.
    pub(super) fn of(values: Buffer, len: u128) -> Self {
        Self {
            len,
            _values: values,
            forms: RefCell::default(),
        }
    }

    pub(super) fn hold(&self, form: Form, make: impl FnOnce() -> Buffer) {
        let mut forms = self.forms.borrow_mut();
        if !forms.iter().any(|(held, _)| *held == form) {
            forms.push((form, make()));
        }
    }
}

/// How a kernel's gradient is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Domain {
    Plain,
    Unrolled,
    Winograd,
}

/// The sums of a parameter's gradient over its visits.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums(Rc<RefCell<Vec<(Domain, Buffer)>>>);

impl Sums {
    pub(super) fn hold(&self, domain: Domain, make: impl FnOnce() -> Buffer) {
        let mut sums = self.0.borrow_mut();
        if !sums.iter().any(|(held, _)| *held == domain) {
            sums.push((domain, make()));
        }
    }

    /// The sum of all, laid out as the parameter.
    pub(super) fn values(&self, meter: &Rc<Meter>, len: u128) -> Option<Buffer> {
        self.hold(Domain::Plain, || meter.buffer(len));
        let all = self.0.take();
        all.into_iter()
            .find(|(domain, _)| *domain == Domain::Plain)
            .map(|(_, sum)| sum)
    }

    /// Moves the sum of all into the parameter's gradient, which is not counted here.
    fn finish(&self, meter: &Rc<Meter>, len: u128) {
        if !self.0.borrow().is_empty() {
            self.hold(Domain::Plain, || meter.buffer(len));
            self.0.take();
        }
    }
}

/// A parameter in use.
#[derive(Clone, Debug)]
pub(super) struct Param {
    pub(super) kernel: Rc<Kernel>,
    pub(super) sums: Sums,
}

impl Param {
    /// Reads a parameter of `len` values.
    pub(super) fn new(meter: &Rc<Meter>, len: u128) -> Self {
        Self::of(Kernel::of(meter.buffer(len), len))
    }

    /// A parameter whose kernel is there.
    pub(super) fn of(kernel: Kernel) -> Self {
        Self {
            kernel: Rc::new(kernel),
            sums: Sums::default(),
        }
    }

    /// The number of values it has.
    pub(super) fn len(&self) -> u128 {
        self.kernel.len
    }

    /// Adds a gradient laid out as the parameter.
    pub(super) fn accumulate(&self, meter: &Rc<Meter>) {
        self.sums.hold(Domain::Plain, || meter.buffer(self.len()));
    }

    /// What the backward pass does when all visits of the parameter are done.
    pub(super) fn finish(&self, meter: &Rc<Meter>) -> impl FnOnce() + use<> {
        let (meter, sums, len) = (meter.clone(), self.sums.clone(), self.len());
        move || sums.finish(&meter, len)
    }
}
