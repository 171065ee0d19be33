//! Kernels and their gradients, with the forms they are held in.

use super::{Meter, MeterBuf};
use crate::kernel::Purpose;
use std::cell::RefCell;

/// A kernel with the forms that were asked for so far.
#[derive(Debug)]
pub struct MeterKernel {
    values: MeterBuf,
    forms: RefCell<Vec<(Purpose, Vec<MeterBuf>)>>,
}

impl MeterKernel {
    pub(super) fn new(values: MeterBuf) -> Self {
        Self {
            values,
            forms: RefCell::default(),
        }
    }

    pub(super) fn values(&self) -> &MeterBuf {
        &self.values
    }

    /// A form, made at its first use.
    pub(super) fn form(&self, purpose: Purpose, make: impl FnOnce() -> Vec<MeterBuf>) {
        let found = self.forms.borrow().iter().any(|(held, _)| *held == purpose);
        if !found {
            let made = make();
            self.forms.borrow_mut().push((purpose, made));
        }
    }
}

/// The gradient of a kernel, summed over its visits.
#[derive(Debug)]
pub struct MeterKernelGradient {
    len: usize,
    plain: Option<MeterBuf>,
    unrolled: Option<MeterBuf>,
    winograd: Option<MeterBuf>,
}

impl MeterKernelGradient {
    pub(super) fn new(len: usize) -> Self {
        Self {
            len,
            plain: None,
            unrolled: None,
            winograd: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Sums in the layout of PyTorch.
    pub(super) fn plain(&mut self, meter: &Meter) -> &mut MeterBuf {
        self.plain.get_or_insert_with(|| meter.values(self.len))
    }

    /// Sums in the layout of the unrolled convolution.
    pub(super) fn unrolled(&mut self, meter: &Meter) {
        self.unrolled.get_or_insert_with(|| meter.values(self.len));
    }

    /// Sums of the points of Winograd's algorithm, so many values.
    pub(super) fn winograd(&mut self, meter: &Meter, points: usize) {
        self.winograd.get_or_insert_with(|| meter.values(points));
    }

    /// The sum of all, in the layout of PyTorch.
    pub(super) fn into_plain(mut self, meter: &Meter) -> MeterBuf {
        let plain = self.plain.take();
        plain.unwrap_or_else(|| meter.values(self.len))
    }
}
