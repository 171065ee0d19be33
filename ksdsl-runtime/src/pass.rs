//! The state of a forward pass.

use crate::act::{Act, ActShape, Map, Signal, Tokens};
use crate::backend::Backend;
use crate::param::address;
use crate::scalar::Scalar;
use crate::steps::Halting;
use crate::tensors;
use dfdx::nn::tensor_collection::TensorCollection;
use dfdx::shapes::{Dim, HasShape, Shape};
use dfdx::tensor::{Tape, Tensor};
use ksdsl_engine::size::Slices;
use ksdsl_engine::statistics::{BatchStatistics, Statistics};
use ksdsl_engine::{Exec, Kernels};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cell::RefCell;
use std::rc::Rc;

/// The state of one forward pass: its mode, and in training the new running statistics.
///
/// Layers run on `&self` in both modes. A batch norm records what its running statistics become in
/// the pass, and [`Pass::update_running_statistics`] writes them into the model afterwards. They
/// are found again by the tensors' addresses (clones of a tensor share its id), so the model must
/// not move in between.
#[derive(Debug)]
pub struct Pass<E: Scalar, D: Backend<E>> {
    training: bool,
    device: D,
    statistics: Statistics<E, D::Exec>,
    kernels: Option<Rc<Kernels<E, D::Exec>>>,
    /// See [`ConvSize::unit`](ksdsl_engine::size::ConvSize::unit).
    unit: Option<usize>,
    /// How often loops run, by the position of their count; as often as they can where nothing is given.
    counts: Option<Rc<[usize]>>,
}

impl<E: Scalar, D: Backend<E>> Pass<E, D> {
    /// An inference pass: norms use running statistics, dropout is inactive.
    pub fn inference(device: &D) -> Self {
        Self::new(false, device)
    }

    /// A training pass: norms use batch statistics, dropout is active.
    pub fn training(device: &D) -> Self {
        Self::new(true, device)
    }

    fn new(training: bool, device: &D) -> Self {
        Self {
            training,
            device: device.clone(),
            statistics: Statistics::default(),
            kernels: None,
            unit: None,
            counts: None,
        }
    }

    /// The same pass with prepared kernels.
    pub(crate) fn with_kernels(self, kernels: Rc<Kernels<E, D::Exec>>) -> Self {
        Self {
            kernels: Some(kernels),
            ..self
        }
    }

    /// The same pass with these counts of loops.
    pub fn with_counts(self, counts: Rc<[usize]>) -> Self {
        Self {
            counts: Some(counts),
            ..self
        }
    }

    /// How often the loops of a count run, `most` times where nothing is given.
    pub fn count(&self, loops: usize, most: usize) -> usize {
        let given = self.counts.as_ref().and_then(|counts| counts.get(loops));
        given.map_or(most, |given| *given)
    }

    /// A loop with an exit: in inference its items stop.
    pub fn halting<S: ActShape, T: Tape<E, D>>(&self, x: &Act<S, E, D, T>) -> Halting<E, D> {
        Halting::new(&x.untyped.context.exec, !self.training)
    }

    /// Reads the network's input, see [`Act::read`].
    pub fn read<S: ActShape, T: Tape<E, D>>(&self, x: Tensor<S, E, D, T>) -> Result<Act<S, E, D, T>, D::Err> {
        Ok(self.begun(Act::read(x)?))
    }

    /// Reads a network's input of sequences, see [`Map::read_tokens`].
    pub fn read_tokens<B: Dim, const L: usize, const C: usize, T: Tape<E, D>>(
        &self,
        x: Tokens<B, L, C, E, D, T>,
    ) -> Result<Map<B, C, 1, L, E, D, T>, D::Err> {
        Ok(self.begun(Map::read_tokens(x)?))
    }

    /// Reads a network's input of signals, see [`Map::read_signal`].
    pub fn read_signal<B: Dim, const L: usize, const C: usize, T: Tape<E, D>>(
        &self,
        x: Signal<B, C, L, E, D, T>,
    ) -> Result<Map<B, C, 1, L, E, D, T>, D::Err> {
        Ok(self.begun(Map::read_signal(x)?))
    }

    /// An input with what the pass is.
    fn begun<S: ActShape, T: Tape<E, D>>(&self, mut x: Act<S, E, D, T>) -> Act<S, E, D, T> {
        x.context_mut().kernels.clone_from(&self.kernels);
        x.context_mut().unit = self.unit;
        x
    }

    /// Checks that all inputs of a network have one batch size.
    ///
    /// # Panics
    /// If they differ, as dfdx does where sizes of tensors differ at run time.
    pub fn same_batch(&self, batches: &[usize]) {
        let equal = batches.windows(2).all(|pair| pair[0] == pair[1]);
        assert!(
            equal,
            "the inputs of a network must have one batch size, not {batches:?}"
        );
    }

    /// How the device wants a batch of `images` images in inference, see [`Exec::slices`]; `largest` is
    /// the number of values of the largest activation of one image. In training always all at once, as norms
    /// look at the whole batch.
    pub fn slices(&self, images: usize, largest: usize) -> Option<Slices> {
        let exec = self.device.exec().ok().filter(|_| !self.training)?;
        exec.slices(images, largest)
    }

    /// Takes `x` through a network slice by slice: what `run` makes of the slices, joined. `run` must go
    /// through one model, whose kernels are prepared at the first slice and serve the others.
    pub fn in_slices<I: ActShape, O: ActShape<Batch = I::Batch>>(
        &self,
        slices: Slices,
        x: &Tensor<I, E, D>,
        mut run: impl FnMut(&mut Self, Tensor<I::Sliced, E, D>) -> Result<Tensor<O::Sliced, E, D>, D::Err>,
    ) -> Result<Tensor<O, E, D>, D::Err> {
        let batch = x.shape().batch();
        let image = I::Sliced::of(1).num_elements();
        let (mut outputs, inputs) = (Vec::new(), x.as_vec());
        let mut pass = Self::new(self.training, &self.device).with_kernels(self.kernels.clone().unwrap_or_default());
        pass.unit = Some(slices.unit);
        pass.counts.clone_from(&self.counts);
        for slice in inputs.chunks((slices.images * image).max(1)) {
            let shape = I::Sliced::of(slice.len() / image.max(1));
            let x = self.device.try_tensor_from_vec(slice.to_vec(), shape)?;
            outputs.extend(run(&mut pass, x)?.as_vec());
        }
        self.device.try_tensor_from_vec(outputs, O::of(batch))
    }

    /// Whether this is a training pass.
    pub fn is_training(&self) -> bool {
        self.training
    }

    /// The device the pass runs on.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// A fresh seed: of the seeds that [`with_seed`] set, or else from the device's generator, so that
    /// the device's seed decides the run.
    pub(crate) fn dropout_seed(&mut self) -> u64 {
        SEEDS
            .with_borrow_mut(|seeds| seeds.as_mut().map(RngCore::next_u64))
            .unwrap_or_else(|| self.device.random_u64())
    }

    /// Blends a batch's statistics into running ones, see [`Statistics::blend`].
    pub(crate) fn blend<S: Shape>(
        &mut self,
        running: [&Tensor<S, E, D>; 2],
        batch: &BatchStatistics<'_, crate::backend::Buf<E, D>>,
        momentum: f64,
    ) -> Result<(), D::Err> {
        let keys = running.map(address);
        let read = |key| {
            let tensor = if key == keys[0] { running[0] } else { running[1] };
            self.device.read_tensor(tensor)
        };
        let exec = self.device.exec()?;
        self.statistics.blend(&exec, keys, batch, momentum, read, D::failed)
    }

    /// Ends the pass: writes the recorded running statistics into `model`, which must be the one
    /// that ran, unmoved.
    pub fn update_running_statistics<M: TensorCollection<E, D>>(mut self, model: &mut M) -> Result<(), D::Err> {
        if self.statistics.is_empty() {
            return Ok(());
        }
        tensors::visit_mut(model, |_, tensor| match self.statistics.take(address(tensor)) {
            Some(value) => tensor.set_buffer(value),
            None => Ok(()),
        })?;
        debug_assert!(self.statistics.is_empty(), "the model moved during the pass");
        Ok(())
    }
}

thread_local! {
    /// Where passes of this thread take their seeds from, if not from their device.
    static SEEDS: RefCell<Option<ChaCha8Rng>> = const { RefCell::new(None) };
}

/// Runs `work` with dropout masks that depend only on `seed`, not on the state of the device's generator (on this
/// thread), so that a training step can be repeated, or run after a restart, with the same outcome.
pub fn with_seed<R>(seed: u64, work: impl FnOnce() -> R) -> R {
    /// Brings back what was there before, also in a panic.
    struct Restore(Option<ChaCha8Rng>);

    impl Drop for Restore {
        fn drop(&mut self) {
            SEEDS.set(self.0.take());
        }
    }

    let _restore = Restore(SEEDS.replace(Some(ChaCha8Rng::seed_from_u64(seed))));
    work()
}
