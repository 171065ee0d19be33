//! Kernels in the forms that the algorithms want, and gradients in the domains they work in.
//!
//! A shared kernel is packed once per step: its visits find each form made already, and their gradients are brought back
//! to the plain layout once, whatever their number. Only products of few rows read it where it lies (`linear::Way`).

use super::CpuBuf;
use super::simd::Level;
use super::weight_layout::WeightLayout;
use super::winograd::kernel::{add_gradient, no_gradient};
use crate::real::CpuReal;
use ksdsl_engine::size::ConvSize;
use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

/// What a kernel is prepared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The output of a linear layer: `[in][out]`.
    Linear,
    /// The same for products of one row, in fewer bytes, if its values fit in them.
    LinearRow,
    /// Its data gradient: `[out][in]`.
    LinearBackward,
    /// The output of an unrolled convolution, one matrix `[ky][kx][in][out]` per group.
    Unrolled,
    /// Its data gradient: the transposed matrices.
    UnrolledBackward,
    /// The output by Winograd's algorithm: 36 matrices `[in][out]`.
    Winograd,
    /// Its data gradient.
    WinogradBackward,
    /// A depthwise convolution of this size, whose way depends on it.
    Depthwise(ConvSize),
    /// Its data gradient.
    DepthwiseBackward(ConvSize),
}

/// A form made for a level.
#[derive(Debug)]
struct Prepared {
    purpose: Purpose,
    level: Level,
    value: Arc<dyn Any + Send + Sync>,
}

/// A kernel as PyTorch lays it out, `[out][in / groups][ky][kx]` or `[out][in]`, and the forms of
/// it that were asked for so far.
#[derive(Debug)]
pub struct CpuKernel<E: CpuReal> {
    plain: CpuBuf<E>,
    prepared: Mutex<Vec<Prepared>>,
}

impl<E: CpuReal> CpuKernel<E> {
    /// A kernel with these values.
    pub fn new(plain: CpuBuf<E>) -> Self {
        let prepared = Mutex::default();
        Self { plain, prepared }
    }

    /// The values as PyTorch lays them out.
    pub fn plain(&self) -> &CpuBuf<E> {
        &self.plain
    }

    /// What `make` makes of the values for a form, on its first use at the level in force. Each
    /// form has one type `T`.
    pub(super) fn form<T: Any + Send + Sync>(&self, purpose: Purpose, make: impl FnOnce(&[E]) -> T) -> Arc<T> {
        let level = Level::current();
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let found = prepared
            .iter()
            .find(|prepared| prepared.purpose == purpose && prepared.level == level);
        if let Some(Ok(found)) = found.map(|found| Arc::clone(&found.value).downcast()) {
            return found;
        }
        let made = Arc::new(make(&self.plain));
        let value: Arc<dyn Any + Send + Sync> = made.clone();
        prepared.push(Prepared { purpose, level, value });
        made
    }
}

/// The gradient of a kernel, summed over its visits.
#[derive(Debug)]
pub struct CpuKernelGradient<E: CpuReal> {
    len: usize,
    plain: Option<CpuBuf<E>>,
    unrolled: Option<(WeightLayout, CpuBuf<E>)>,
    /// Outputs, inputs and the 36 matrices `[in][out]`.
    winograd: Option<(usize, usize, CpuBuf<E>)>,
}

impl<E: CpuReal> CpuKernelGradient<E> {
    /// A zero gradient of a kernel of `len` elements.
    pub fn new(len: usize) -> Self {
        Self {
            len,
            plain: None,
            unrolled: None,
            winograd: None,
        }
    }

    /// Sums in the layout of PyTorch.
    pub(super) fn plain(&mut self) -> &mut CpuBuf<E> {
        self.plain.get_or_insert_with(|| CpuBuf::zeros(self.len))
    }

    /// The same, and whether there were any; otherwise all values must be written.
    pub(super) fn plain_or_new(&mut self) -> (&mut CpuBuf<E>, bool) {
        let there = self.plain.is_some();
        (self.plain.get_or_insert_with(|| CpuBuf::scratch(self.len)), there)
    }

    /// Sums in the layout of the unrolled convolution.
    pub(super) fn unrolled(&mut self, layout: WeightLayout) -> &mut CpuBuf<E> {
        &mut self.unrolled.get_or_insert_with(|| (layout, CpuBuf::zeros(self.len))).1
    }

    /// Sums of the 36 points of Winograd's algorithm.
    pub(super) fn winograd(&mut self, outputs: usize, inputs: usize) -> &mut CpuBuf<E> {
        let sums = self
            .winograd
            .get_or_insert_with(|| (outputs, inputs, no_gradient(outputs, inputs)));
        &mut sums.2
    }

    /// The gradient as PyTorch lays out the kernel.
    pub fn into_plain(self) -> CpuBuf<E> {
        let mut sum = self.plain;
        if let Some((layout, sums)) = &self.unrolled {
            let sum = sum.get_or_insert_with(|| CpuBuf::zeros(self.len));
            layout.add_to_plain(sums, sum);
        }
        if let Some((outputs, inputs, points)) = &self.winograd {
            let sum = sum.get_or_insert_with(|| CpuBuf::zeros(self.len));
            add_gradient(points, *outputs, *inputs, sum);
        }
        sum.unwrap_or_else(|| CpuBuf::zeros(self.len))
    }
}

#[cfg(test)]
mod tests {
    use super::super::conv_method::{WinogradChoice, with_winograd};
    use super::super::{conv, finish::Finish};
    use super::*;
    use ksdsl_engine::size::{ConvSize, MapSize, Window};
    use ksdsl_oracle as oracle;
    use std::cell::Cell;

    /// Values in [-1, 1] without a pattern that the algorithms could share.
    fn values(seed: f64, len: usize) -> Vec<f32> {
        (0..len)
            .map(|i| ((i as f64 + seed) * (i as f64 * 0.7 + seed)).sin() as f32)
            .collect()
    }

    fn wide(values: &[f32]) -> Vec<f64> {
        values.iter().map(|&value| f64::from(value)).collect()
    }

    fn conv3(side: usize, stride: usize) -> ConvSize {
        let map = |side, channels| MapSize {
            batch: 2,
            height: side,
            width: side,
            channels,
        };
        ConvSize {
            input: map(side, 5),
            output: map(side.div_ceil(stride), 18),
            window: Window {
                kernel: [3; 2],
                stride: [stride; 2],
                pad: [1; 2],
                dilation: [1; 2],
            },
            groups: 1,
            algorithm: Default::default(),
            unit: None,
        }
    }

    fn distance(got: &[f32], want: &[f64]) -> f64 {
        let most = want.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let apart = got.iter().zip(want).map(|(&got, want)| (f64::from(got) - want).abs());
        apart.fold(0.0, f64::max) / most
    }

    #[test]
    fn a_form_is_made_once_for_each_level() {
        let kernel = CpuKernel::<f32>::new(CpuBuf::zeros(6));
        let made = Cell::new(0);
        let ask = |purpose| {
            kernel.form(purpose, |_| {
                made.set(made.get() + 1);
                Vec::<f32>::new()
            });
        };
        let levels = Level::available();
        for _ in 0..3 {
            for level in &levels {
                level.with(|| [Purpose::Linear, Purpose::LinearBackward].map(ask));
            }
        }
        assert_eq!(made.get(), 2 * levels.len());
    }

    /// Visits with maps of different sizes, on different algorithms.
    #[test]
    fn gradients_of_visits_add_up() {
        let visits = [
            (WinogradChoice::Always, conv3(9, 1)),
            (WinogradChoice::Never, conv3(6, 1)),
            (WinogradChoice::Always, conv3(5, 1)),
            (WinogradChoice::Never, conv3(7, 2)),
        ];
        for level in Level::available() {
            let mut gradient = CpuKernelGradient::new(5 * 18 * 9);
            let mut want = vec![0.0; 5 * 18 * 9];
            for (seed, (choice, size)) in visits.into_iter().enumerate() {
                let x = values(0.3 + seed as f64, size.input.len());
                let dy = values(0.6 + seed as f64, size.output.len());
                let (x_nchw, dy_nchw) = (
                    oracle::combine::to_nchw(size.input, &x),
                    oracle::combine::to_nchw(size.output, &dy),
                );
                let more = oracle::conv::backward_weight(size, &wide(&x_nchw), &wide(&dy_nchw));
                want.iter_mut().zip(more).for_each(|(want, more)| *want += more);
                let (x, dy) = (CpuBuf::from_vec(x), CpuBuf::from_vec(dy));
                level.with(|| with_winograd(choice, || conv::backward_weight(size, &x, &dy, &mut gradient)));
            }
            let got = level.with(|| gradient.into_plain());
            let distance = distance(&got, &want);
            assert!(distance < 1e-5, "{level:?}: {distance:e}");
        }
        assert!(
            CpuKernelGradient::<f32>::new(3)
                .into_plain()
                .iter()
                .all(|&value| value == 0.0)
        );
    }

    /// Counts visits of each pixel and adds one to it.
    struct Count(Mutex<Vec<u32>>, usize);

    impl Finish<f32> for Count {
        fn finish(&self, first: usize, pixels: &mut [f32]) {
            assert_eq!(pixels.len() % self.1, 0, "whole pixels");
            let mut counts = self.0.lock().unwrap();
            let pixels = pixels.chunks_exact_mut(self.1);
            for (count, pixel) in counts[first..].iter_mut().zip(pixels) {
                *count += 1;
                pixel.iter_mut().for_each(|value| *value += 1.0);
            }
        }
    }

    type Run<'a> = dyn Fn(Option<&dyn Finish<f32>>) -> CpuBuf<f32> + 'a;

    /// All algorithms hand over each pixel once, after it is complete.
    #[test]
    fn every_pixel_is_finished_once() {
        let grouped = |groups, channels| {
            let mut size = conv3(11, 1);
            size.groups = groups;
            (size.input.channels, size.output.channels) = (channels, channels);
            size
        };
        let mut pointwise = conv3(30, 1);
        (pointwise.window.kernel, pointwise.window.pad) = ([1; 2], [0; 2]);
        let mut few_tiles = conv3(5, 1);
        (few_tiles.input.channels, few_tiles.output.channels) = (64, 64);
        let sizes = [
            few_tiles,
            conv3(30, 1),
            conv3(13, 2),
            grouped(4, 4),
            grouped(2, 6),
            pointwise,
        ];
        for (size, choice) in sizes
            .into_iter()
            .flat_map(|size| [WinogradChoice::Always, WinogradChoice::Never].map(|choice| (size, choice)))
        {
            let taps = size.window.kernel[0] * size.window.kernel[1];
            let kernel = CpuKernel::new(CpuBuf::from_vec(values(
                0.1,
                size.input.channels / size.groups * size.output.channels * taps,
            )));
            let x = CpuBuf::from_vec(values(0.2, size.input.len()));
            let dy = CpuBuf::from_vec(values(0.4, size.output.len()));
            with_winograd(choice, || {
                let check = |map: MapSize, run: &Run| {
                    let count = Count(Mutex::new(vec![0; map.rows()]), map.channels);
                    let (plain, finished) = (run(None), run(Some(&count)));
                    assert!(count.0.lock().unwrap().iter().all(|&count| count == 1), "{size:?}");
                    assert!(
                        plain
                            .iter()
                            .zip(finished.iter())
                            .all(|(plain, finished)| plain + 1.0 == *finished)
                    );
                };
                check(size.output, &|finish| conv::forward(size, &x, &kernel, None, finish));
                check(size.input, &|finish| conv::backward_data(size, &kernel, &dy, finish));
            });
        }
    }
}
