//! Kernels of convolutions and linear layers, some with an addition of low rank: `weight` of the runtime.

use super::buffer::Meter;
use super::kernel::Convolution;
use super::param::{Kernel, Param, Sums};
use std::rc::Rc;

/// The kernel of one layer.
pub(super) enum Weight {
    Param(Param),
    Sum(Box<Sum>),
}

/// A kernel with the product of two factors added, made wherever it is needed.
pub(super) struct Sum {
    /// The linear layer of the weights A whose data gradient for B is B A.
    pub(super) size: Convolution,
    pub(super) kernel: Param,
    pub(super) a: Param,
    pub(super) b: Param,
}

impl Weight {
    pub(super) fn kernel(&self, meter: &Rc<Meter>) -> Rc<Kernel> {
        match self {
            Self::Param(param) => param.kernel.clone(),
            Self::Sum(sum) => Rc::new(sum.make(meter)),
        }
    }

    /// Adds the gradient of a convolution with this kernel.
    pub(super) fn accumulate(&self, meter: &Rc<Meter>, size: &Convolution) {
        let len = match self {
            Self::Param(param) => param.len(),
            Self::Sum(sum) => sum.kernel.len(),
        };
        self.gather(meter, |sums| size.backward_weight(meter, sums, len));
    }

    /// Adds the gradient that `f` gathers.
    pub(super) fn gather<T>(&self, meter: &Rc<Meter>, f: impl FnOnce(&Sums) -> T) -> T {
        match self {
            Self::Param(param) => f(&param.sums),
            Self::Sum(sum) => sum.gather(meter, f),
        }
    }
}

impl Sum {
    pub(super) fn make(&self, meter: &Rc<Meter>) -> Kernel {
        let len = self.kernel.len();
        let _copy = meter.buffer(len);
        Kernel::of(self.size.backward_data(meter, &self.a.kernel), len)
    }

    fn gather<T>(&self, meter: &Rc<Meter>, f: impl FnOnce(&Sums) -> T) -> T {
        let sums = Sums::default();
        let outcome = f(&sums);
        let gradient = sums.values(meter, self.kernel.len());
        self.size.backward_weight(meter, &self.a.sums, self.a.len());
        let of_b = self.size.forward(meter, &self.a.kernel);
        self.b.accumulate(meter);
        drop(of_b);
        self.kernel.accumulate(meter);
        drop(gradient);
        outcome
    }
}
