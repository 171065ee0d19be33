//! A depthwise convolution fused with the pointwise convolutions after and before it, in inference, a band of rows at a time.
//!
//! The maps between them are made in the cache, used there and forgotten: one by one, they would be written
//! to and read from memory (or the caches that the cores share).

pub(super) mod strips;

use super::conv_method::{ConvMethod, method};
use super::finish::Finish;
use super::fused::Affine;
use super::par::Start;
use super::simd::Level;
use super::{CpuBuf, CpuKernel, depthwise, linear, tail};
use crate::real::CpuReal;
use ksdsl_engine::exec::ConvLink;
use ksdsl_engine::size::{ConvSize, LinearSize};
use std::any::TypeId;

/// Least bands of a batch, so that many threads have something to do; of a unit of a slice, which has as
/// many of them as there are threads; and pixels of each band, for the products.
const LEAST_OF_BATCH: usize = 4;
const LEAST_OF_UNIT: usize = 2;
const LEAST_PIXELS: usize = 128;

/// The linear layers around a depthwise convolution that is fused with them.
#[derive(Clone, Copy)]
pub(super) struct Around {
    pub(super) expand: Option<LinearSize>,
    pub(super) project: Option<LinearSize>,
}

/// What convolutions of these sizes are, if they can be fused at a level.
pub(super) fn around<E: CpuReal>(level: Level, sizes: &[ConvSize]) -> Option<Around> {
    if TypeId::of::<E>() != TypeId::of::<f32>() {
        return None;
    }
    let (expand, project) = match *sizes {
        [depthwise, project] => match (method::<E>(&depthwise), method::<E>(&project)) {
            (ConvMethod::Depthwise, ConvMethod::Pointwise(project)) => (None, Some(project)),
            (ConvMethod::Pointwise(expand), ConvMethod::Depthwise) => (Some((expand, project)), None),
            _ => return None,
        },
        [expand, depthwise, project] => match (method::<E>(&expand), method::<E>(&depthwise), method::<E>(&project)) {
            (ConvMethod::Pointwise(expand), ConvMethod::Depthwise, ConvMethod::Pointwise(project)) => {
                (Some((expand, depthwise)), Some(project))
            }
            _ => return None,
        },
        _ => return None,
    };
    if expand.is_some_and(|(_, depthwise)| !strips::takes(level, &depthwise)) {
        return None;
    }
    let expand = expand.map(|(expand, _)| expand);
    Some(Around { expand, project })
}

/// Whether fusing is faster than running the last convolution after the others.
pub(super) fn pays<E: CpuReal>(level: Level, sizes: &[ConvSize]) -> bool {
    let Some(around) = around::<E>(level, sizes) else {
        return false;
    };
    let depthwise = sizes[usize::from(around.expand.is_some())].for_rules();
    let least = if depthwise.unit.is_some() {
        LEAST_OF_UNIT
    } else {
        LEAST_OF_BATCH
    };
    let [tasks, pixels] = depthwise::tasks(&depthwise);
    let is_large = around.expand.is_none() || strips::pays(&depthwise);
    tasks >= least && pixels >= LEAST_PIXELS && is_large
}

/// The output of the last of these convolutions, which are `around` a depthwise one.
pub(super) fn forward<E: CpuReal>(
    around: Around,
    x: &CpuBuf<E>,
    links: &[ConvLink<'_, CpuBuf<E>, CpuKernel<E>>],
) -> CpuBuf<E> {
    let (Some(last), Some(depthwise)) = (links.last(), links.get(usize::from(around.expand.is_some()))) else {
        return x.clone();
    };
    let project = around.project.map(|linear| Linear::new(linear, last));
    let mut y = CpuBuf::scratch(last.size.output.len());
    let link = Link {
        before: tail::finish(depthwise.size.output.channels, depthwise.tail),
        project,
        y: Start(y.as_mut_ptr()),
        rows: last.size.output.rows(),
    };
    match around.expand {
        Some(expand) => strips::forward(&Linear::new(expand, &links[0]), x, depthwise, &link),
        None => depthwise::forward_through(&depthwise.size, x, depthwise.kernel, depthwise.bias, &link),
    }
    y
}

/// A pointwise convolution with what follows it.
pub(super) struct Linear<'a, E: CpuReal> {
    product: linear::Forward<'a, E>,
    tail: Option<Affine<'a, E>>,
}

impl<'a, E: CpuReal> Linear<'a, E> {
    fn new(size: LinearSize, link: &ConvLink<'a, CpuBuf<E>, CpuKernel<E>>) -> Self {
        Self {
            product: linear::Forward::new(size, link.kernel, link.bias),
            tail: tail::finish(size.outputs, link.tail),
        }
    }

    /// The pixels `y` from `first` on, of `x`.
    pub(super) fn run(&self, first: usize, x: &[E], y: &mut [E]) {
        let LinearSize { inputs, outputs, .. } = self.product.size();
        let tail = self.tail.as_ref().map(|tail| tail as &dyn Finish<E>);
        let piece = linear::MOST_ROWS;
        let pieces = x.chunks(piece * inputs).zip(y.chunks_mut(piece * outputs));
        for (index, (x, y)) in pieces.enumerate() {
            self.product.rows(first + index * piece, x, y, tail);
        }
    }
}

/// What becomes of the pieces of the depthwise convolution's output.
pub(super) struct Link<'a, E: CpuReal> {
    before: Option<Affine<'a, E>>,
    project: Option<Linear<'a, E>>,
    /// Of `rows` rows.
    y: Start<E>,
    rows: usize,
}

impl<E: CpuReal> Finish<E> for Link<'_, E> {
    fn finish(&self, first: usize, pixels: &mut [E]) {
        if let Some(before) = &self.before {
            before.finish(first, pixels);
        }
        let Some(project) = &self.project else { return };
        let LinearSize { inputs, outputs, .. } = project.product.size();
        // SAFETY: of these pixels, which no other task has.
        let y = unsafe { self.output(first, pixels.len() / inputs, outputs) };
        project.run(first, pixels, y);
    }
}

impl<E: CpuReal> Link<'_, E> {
    /// These pixels of the output, of so many channels each.
    ///
    /// # Safety
    /// Nobody else may have them meanwhile.
    #[allow(clippy::mut_from_ref, reason = "tasks have pixels of their own")]
    unsafe fn output(&self, first: usize, count: usize, channels: usize) -> &mut [E] {
        assert!(first + count <= self.rows, "pixels beyond the map");
        // SAFETY: inside the output, and as the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.y.at(first * channels), count * channels) }
    }

    /// Calls `make` with where the depthwise convolution's output of these pixels goes, and deals with it: in the output
    /// itself if nothing is fused behind, or in `scratch`.
    ///
    /// # Safety
    /// Nobody else may have these pixels meanwhile.
    pub(super) unsafe fn pixels(
        &self,
        (first, count, channels): (usize, usize, usize),
        scratch: &mut [E],
        make: impl FnOnce(&mut [E]),
    ) {
        let pixels = match &self.project {
            Some(_) => &mut scratch[..count * channels],
            // SAFETY: as the caller's.
            None => unsafe { self.output(first, count, channels) },
        };
        make(pixels);
        self.finish(first, pixels);
    }

    /// Whether its output is kept nowhere.
    pub(super) fn is_through(&self) -> bool {
        self.project.is_some()
    }
}
