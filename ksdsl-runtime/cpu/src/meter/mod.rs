//! The executor that runs nothing but counts what the CPU's kernels would take.
//!
//! [`Meter`] runs the engine in `f32` on buffers that are only lengths. Each operation allocates what that of
//! [`CpuExec`](crate::CpuExec) does, in the same order, scratch by the functions that the kernels themselves allocate by.
//! Algorithms are those of a CPU with AVX-512.

mod buf;
mod conv;
mod exec;
mod kernel;
mod norm;

use crate::conv_method::{ConvMethod, method};
use crate::depthwise;
use crate::simd::Level;
pub use buf::MeterBuf;
use buf::Tally;
pub use kernel::{MeterKernel, MeterKernelGradient};
use ksdsl_engine::size::{Algorithm, ConvSize};
use std::rc::Rc;

/// The instruction set that is counted for.
const LEVEL: Level = Level::Avx512;

/// Counts what passes take.
#[derive(Clone, Debug)]
pub struct Meter {
    tally: Rc<Tally>,
}

impl Meter {
    /// A meter for so many threads, each of which has the scratch of a task.
    pub fn new(threads: usize) -> Self {
        Self {
            tally: Tally::new(threads.max(1)),
        }
    }

    /// The bytes that are alive.
    pub fn now(&self) -> u128 {
        self.tally.now()
    }

    /// The most bytes that were alive at one time.
    pub fn peak(&self) -> u128 {
        self.tally.peak()
    }

    /// Starts [`Meter::peak`] anew at what is alive.
    pub fn reset_peak(&self) {
        self.tally.reset_peak();
    }

    /// A buffer of `len` values that is not counted, as those are not that the runtime does not allocate.
    pub fn outside(&self, len: usize) -> MeterBuf {
        MeterBuf::outside(&self.tally, len)
    }

    /// `len` values of `f32`.
    fn values(&self, len: usize) -> MeterBuf {
        MeterBuf::counted::<f32>(&self.tally, len)
    }

    /// `len` sums in `f64`.
    fn wide(&self, len: usize) -> MeterBuf {
        MeterBuf::counted::<f64>(&self.tally, len)
    }

    /// Buffers of these lengths in each of `tasks` tasks.
    fn tasks(&self, lengths: impl IntoIterator<Item = usize>, tasks: usize) {
        self.wide_tasks(lengths, [], tasks);
    }

    /// The same with lengths of sums in `f64`.
    fn wide_tasks(
        &self,
        lengths: impl IntoIterator<Item = usize>,
        wide: impl IntoIterator<Item = usize>,
        tasks: usize,
    ) {
        let bytes = lengths.into_iter().map(buf::bytes::<f32>);
        let bytes: u128 = bytes.chain(wide.into_iter().map(buf::bytes::<f64>)).sum();
        self.tally.scratch(bytes, tasks);
    }
}

/// The algorithm of the forward pass of a convolution of `f32` in inference, on a CPU with AVX-512.
pub fn algorithm(size: &ConvSize) -> Algorithm {
    match method::<f32>(size) {
        ConvMethod::Winograd => Algorithm::Winograd,
        ConvMethod::Depthwise if depthwise::scratch::is_toom(LEVEL, size) => Algorithm::ToomCook,
        ConvMethod::Pointwise(_) | ConvMethod::Depthwise | ConvMethod::Unrolled => Algorithm::Direct,
    }
}
