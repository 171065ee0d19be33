//! Random numbers, comparisons and sizes for the kernel tests.

use ksdsl_cpu::CpuExec;
use ksdsl_cpu::CpuReal;
use ksdsl_cpu::{CpuBuf, Level};
use ksdsl_engine::exec::{ConvTail, Exec, NormBackward};
use ksdsl_engine::size::{ConvSize, LinearSize, MapSize, RowSize, Tail, Window};
use ksdsl_files::random::SplitMix64;
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Random numbers, the same on every machine.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    fn next(&mut self) -> u64 {
        let mut generator = SplitMix64(self.0);
        let number = generator.draw();
        self.0 = generator.0;
        number
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.between(0, choices.len() - 1)]
    }

    /// Values in [-1, 1) that are exact in `f32`.
    pub(crate) fn values<E: CpuReal>(&mut self, len: usize) -> Vec<E> {
        let unit = |bits: u64| (bits >> 40) as f64 / f64::from(1 << 23) - 1.0;
        (0..len).map(|_| E::of(unit(self.next()))).collect()
    }

    /// Small integers, so that many are equal.
    pub(crate) fn ties<E: CpuReal>(&mut self, len: usize) -> Vec<E> {
        (0..len).map(|_| E::of(self.between(0, 6) as f64 - 3.0)).collect()
    }

    pub(crate) fn map_size(&mut self) -> MapSize {
        MapSize {
            batch: self.between(1, 3),
            height: self.between(1, 9),
            width: self.between(1, 9),
            channels: self.one_of(&[1, 2, 3, 7, 16, 17, 33, 70]),
        }
    }
}

/// What the tests ask of an element type: how far a kernel may be from the oracle in `f64`,
/// relative to the greatest value.
pub(crate) trait Checked: CpuReal {
    const TOLERANCE: f64;
}

impl Checked for f32 {
    const TOLERANCE: f64 = 1e-5;
}

impl Checked for f64 {
    const TOLERANCE: f64 = 1e-12;
}

/// A CPU backend of this element type.
pub(crate) trait Kernels<E: CpuReal>: Exec<E, Buf = CpuBuf<E>> + Default {}
impl<E: CpuReal, B: Exec<E, Buf = CpuBuf<E>> + Default> Kernels<E> for B {}

/// A linear layer as the convolution it is.
pub(crate) fn pixels(size: LinearSize) -> ConvSize {
    let map = |channels| MapSize {
        batch: size.rows,
        height: 1,
        width: 1,
        channels,
    };
    ConvSize {
        input: map(size.inputs),
        output: map(size.outputs),
        window: Window {
            kernel: [1; 2],
            stride: [1; 2],
            pad: [0; 2],
            dilation: [1; 2],
        },
        groups: 1,
        algorithm: Default::default(),
        unit: None,
    }
}

/// Batch normalisation's output with the batch's mean and variance.
pub(crate) struct BatchNormOutput<B> {
    pub(crate) output: B,
    pub(crate) mean: B,
    pub(crate) variance: B,
}

/// The layers one by one, on buffers alone.
pub(crate) trait Plain<E: CpuReal>: Exec<E, Buf = CpuBuf<E>> {
    fn plain_conv_forward(
        &self,
        size: ConvSize,
        x: &CpuBuf<E>,
        weight: &CpuBuf<E>,
        bias: Option<&CpuBuf<E>>,
    ) -> Result<CpuBuf<E>, Self::Err> {
        self.conv_forward(size, x, &self.kernel(weight.clone()), bias, ConvTail::default())
    }

    fn plain_conv_backward_data(
        &self,
        size: ConvSize,
        weight: &CpuBuf<E>,
        dy: &CpuBuf<E>,
    ) -> Result<CpuBuf<E>, Self::Err> {
        self.conv_backward_data(size, &self.kernel(weight.clone()), dy, None)
    }

    /// Adds to `dweight`.
    fn plain_conv_backward_weight(
        &self,
        size: ConvSize,
        x: &CpuBuf<E>,
        dy: &CpuBuf<E>,
        dweight: &mut CpuBuf<E>,
    ) -> Result<(), Self::Err> {
        let mut gradient = self.gradient(dweight.len())?;
        self.conv_backward_weight(size, x, dy, &mut gradient)?;
        let gradient = self.gradient_values(gradient)?;
        dweight
            .iter_mut()
            .zip(gradient.iter())
            .for_each(|(sum, &more)| *sum += more);
        Ok(())
    }

    fn plain_batch_norm_train(
        &self,
        size: RowSize,
        x: &CpuBuf<E>,
        scale: &CpuBuf<E>,
        shift: &CpuBuf<E>,
        eps: f64,
    ) -> Result<BatchNormOutput<CpuBuf<E>>, Self::Err> {
        let (mean, variance) = self.moments(size, x)?;
        let output = self.plain_batch_norm_infer(size, x.clone(), &mean, &variance, scale, shift, eps)?;
        Ok(BatchNormOutput { output, mean, variance })
    }

    #[allow(clippy::too_many_arguments)]
    fn plain_batch_norm_infer(
        &self,
        size: RowSize,
        x: CpuBuf<E>,
        mean: &CpuBuf<E>,
        variance: &CpuBuf<E>,
        scale: &CpuBuf<E>,
        shift: &CpuBuf<E>,
        eps: f64,
    ) -> Result<CpuBuf<E>, Self::Err> {
        let (factor, offset) = self.norm_coefficients(mean, variance, scale, shift, eps)?;
        self.norm_apply(size, None, Cow::Owned(x), &factor, &offset, None)
    }

    #[allow(clippy::too_many_arguments)]
    fn plain_batch_norm_backward(
        &self,
        size: RowSize,
        x: &CpuBuf<E>,
        mean: &CpuBuf<E>,
        variance: &CpuBuf<E>,
        scale: &CpuBuf<E>,
        eps: f64,
        dy: &CpuBuf<E>,
        dscale: &mut CpuBuf<E>,
        dshift: &mut CpuBuf<E>,
    ) -> Result<CpuBuf<E>, Self::Err> {
        let shift = CpuBuf::zeros(size.channels);
        let (factor, offset) = self.norm_coefficients(mean, variance, scale, &shift, eps)?;
        let norm = NormBackward {
            size,
            tail: Tail::default(),
            input: x,
            output: None,
            mean,
            variance,
            factor: &factor,
            offset: &offset,
            eps,
            sums: None,
        };
        let (dx, _) = self.norm_backward(norm, dy.clone(), false, dscale, dshift)?;
        Ok(dx)
    }
}

impl<E: CpuReal, B: Exec<E, Buf = CpuBuf<E>>> Plain<E> for B {}

pub(crate) fn cpu() -> CpuExec {
    CpuExec
}

/// The CPU as a device for elements `E` only, where nothing else says which.
pub(crate) fn cpu_of<E: CpuReal>() -> impl Exec<E, Buf = CpuBuf<E>>
where
    CpuExec: Exec<E, Buf = CpuBuf<E>>,
{
    CpuExec
}

pub(crate) fn buf<E: CpuReal>(values: &[E]) -> CpuBuf<E> {
    CpuBuf::from_vec(values.to_vec())
}

/// The values in `f64`, for the oracle.
pub(crate) fn wide<E: CpuReal>(values: &[E]) -> Vec<f64> {
    values.iter().map(|value| value.wide()).collect()
}

/// The greatest difference, relative to the greatest wanted value.
pub(crate) fn distance<E: CpuReal>(got: &[E], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len(), "lengths");
    let greatest = want.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    let unit = if greatest > 0.0 { greatest } else { 1.0 };
    let differences = got.iter().zip(want).map(|(got, want)| (got.wide() - want).abs() / unit);
    // A NaN must stay: it fails every comparison.
    differences.fold(
        0.0,
        |most, next| {
            if next <= most || most.is_nan() { most } else { next }
        },
    )
}

thread_local! {
    pub(crate) static LEVEL: Cell<Option<Level>> = const { Cell::new(None) };
}

/// By what was compared and the level: the greatest error and how many comparisons.
type Record = BTreeMap<(String, Option<Level>), (f64, usize)>;

/// The greatest distances of all tests so far, by kernel and level, and how many comparisons they are of.
pub(crate) static RECORD: Mutex<Record> = Mutex::new(BTreeMap::new());

/// Runs `f` at every level that this machine has; what it checks is recorded under the level.
pub(crate) fn at_every_level(f: impl Fn()) {
    for level in Level::available() {
        println!("{level:?}");
        LEVEL.set(Some(level));
        level.with(&f);
        LEVEL.set(None);
    }
}

/// The greatest distances seen by one test; printed at its end (`--nocapture` shows them) and recorded.
pub(crate) struct Worst {
    name: &'static str,
    part: &'static str,
    seen: BTreeMap<&'static str, (f64, usize)>,
}

impl Worst {
    pub(crate) fn of(name: &'static str) -> Self {
        Self {
            name,
            part: "",
            seen: BTreeMap::new(),
        }
    }

    /// What the following checks are of.
    pub(crate) fn part(&mut self, part: &'static str) -> &mut Self {
        self.part = part;
        self
    }

    /// Checks a kernel's values against the oracle's.
    pub(crate) fn check<E: Checked>(&mut self, what: &dyn std::fmt::Debug, got: &[E], want: &[f64]) {
        let distance = distance(got, want);
        let (name, part) = (self.name, self.part);
        assert!(distance <= E::TOLERANCE, "{name} {part}: {distance:e} off for {what:?}");
        let seen = self.seen.entry(part).or_default();
        *seen = (seen.0.max(distance), seen.1 + 1);
    }
}

impl Drop for Worst {
    fn drop(&mut self) {
        let mut record = RECORD.lock().unwrap_or_else(PoisonError::into_inner);
        for (part, &(seen, count)) in &self.seen {
            let name = format!("{} {part}", self.name).trim_end().to_owned();
            println!("{name}: greatest relative error {seen:.1e} of {count}");
            let all = record.entry((name, LEVEL.get())).or_default();
            *all = (all.0.max(seen), all.1 + count);
        }
    }
}
