//! Training of a network on the graph executor: what generated code, dfdx and `ksdsl-train` do, to the same bits. The
//! trainer is that of `ksdsl-train-core`.

mod classifier;
mod initial;
mod language;
mod learner;
mod objective;
mod puzzles;
mod selection;
mod start;
mod subject;

pub use classifier::{Classifier, Unfit};
pub use language::{LanguageError, LanguageModel};
pub use learner::Training;
pub use objective::{Classes, NextToken, Objective, Part};
pub use puzzles::Solver;
pub use subject::Subject;

use super::{Graph, walk};
use crate::ir::{self, Network};
use crate::plan::tensors::{Stored as Planned, tensors};
use initial::initial;
use ksdsl_checkpoint::{Expected, File, FileError, Kind, Problems, Shared, Tensor as Stored, Unstated, View, to_bytes};
use ksdsl_cpu::CpuExec;
pub use ksdsl_cpu::WeightType;
use ksdsl_engine::Exec;
use ksdsl_engine::update::Slot;
use ksdsl_train_core::data::{Dataset, Scaling};
use ksdsl_train_core::optim::{floats, stored};
use ksdsl_train_core::source::TokenBatch;
use ksdsl_train_core::task::{TaskError, logits_of};
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::Path;

/// A network with its parameters on an executor: the CPU, if none is named.
#[derive(Debug)]
pub struct Model<X: Exec<f32> = CpuExec> {
    graph: Graph<f32, X>,
    /// The tensors in the order of a generated model's fields, with their places in the graph.
    slots: Vec<Slot>,
    places: Vec<usize>,
    shared: Vec<Shared>,
    /// Which of the tensors are parameters that are not trained.
    frozen: Vec<bool>,
}

/// A loss of a network's outputs, and its gradients with respect to them.
pub type Loss = (f32, Vec<Vec<f32>>);

/// Gradients of parameters by their places.
type Sums<B> = BTreeMap<usize, B>;

/// Why a model cannot be loaded.
#[derive(Debug)]
pub enum LoadError {
    /// The file cannot be read, or is no checkpoint.
    File(FileError),
    /// Its tensors are not those of the network.
    Unfit(Problems),
    /// A pattern of tensors that the file need not have selects none, or a part of a shared one.
    Pattern(String),
    /// The tensors of these keys have values that are not finite.
    NonFinite(Vec<String>),
    /// The device failed.
    Device(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Unfit(problems) => problems.fmt(f),
            Self::Pattern(what) => f.write_str(what),
            Self::NonFinite(keys) => write!(
                f,
                "{} of its tensors contain non-finite values (NaN or infinite), such as `{}`",
                keys.len(),
                keys.first().map_or("", String::as_str)
            ),
            Self::Device(what) => write!(f, "the device failed: {what}"),
        }
    }
}

impl std::error::Error for LoadError {}

impl Model {
    /// A network on the CPU with the initial values that its generated model has on a device of this seed.
    pub fn new(network: &Network, seed: u64) -> Self {
        match Self::on(CpuExec, network, seed) {
            Ok(model) => model,
            Err(_) => unreachable!("the CPU holds what its memory does"),
        }
    }

    /// Rounds the kernels of linear layers and convolutions, also of a table that is shared with one, to a narrower type.
    /// Decoding then reads fewer bytes; it computes with the rounded values in `f32`.
    pub fn round_weights(&mut self, to: WeightType) {
        let kernels = |layer: usize| {
            let layer = self.graph.params.layer(layer);
            let tensors = layer
                .tensors
                .iter()
                .filter(|tensor| layer.is_weighted && tensor.part == ir::Part::Kernel);
            tensors.map(|tensor| tensor.place).collect::<Vec<_>>()
        };
        let places: BTreeSet<usize> = (0..self.graph.network.layers.len()).flat_map(kernels).collect();
        for place in places {
            let outputs = self.graph.params.list()[place]
                .shape
                .first()
                .copied()
                .map_or(1, walk::size);
            to.round(self.graph.params.get_mut(place), outputs);
        }
    }
}

impl<X: Exec<f32>> Model<X> {
    /// As [`Model::new`], on an executor.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn on(exec: X, network: &Network, seed: u64) -> Result<Self, TaskError> {
        let planned = tensors(network);
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let values = planned
            .iter()
            .map(|tensor| (tensor.key.as_str(), initial(tensor, &mut rng)));
        let mut values: HashMap<&str, Vec<f32>> = values.collect();
        let graph = Graph::new(network.clone(), exec, |parameter| values.remove(parameter.key.as_str()));
        let graph = graph.map_err(failed)?;
        let place = |tensor: &Planned| graph.params.place(&tensor.key);
        Ok(Self {
            places: planned.iter().filter_map(place).collect(),
            shared: planned.iter().filter_map(shared).collect(),
            frozen: vec![false; planned.len()],
            slots: planned.into_iter().map(slot).collect(),
            graph,
        })
    }

    /// Loads the tensors of a checkpoint; also says whether the file lacks its sharing.
    ///
    /// # Errors
    /// If the file cannot be read, or does not fit. The model is unchanged.
    pub fn load(&mut self, path: &Path) -> Result<Option<Unstated>, LoadError> {
        let file = File::read(path).map_err(LoadError::File)?;
        self.take(&file, |_| true)?;
        Ok(Unstated::of(&file, &self.shared))
    }

    /// Takes the values of the tensors whose keys are wanted from a file that has these alone.
    fn take(&mut self, file: &File, is_wanted: impl Fn(&str) -> bool) -> Result<(), LoadError> {
        let wanted = self.slots.iter().zip(&self.places);
        let wanted: Vec<(&Slot, &usize)> = wanted.filter(|(slot, _)| is_wanted(&slot.key)).collect();
        let shared = self.shared.iter().filter(|shared| is_wanted(&shared.key)).cloned();
        let views = fitting(file, wanted.iter().map(|(slot, _)| *slot), &shared.collect::<Vec<_>>());
        let views = views.map_err(LoadError::Unfit)?;
        let values = views.into_iter().map(|view| self.graph.exec.upload(floats(view.data)));
        let values: Result<Vec<_>, _> = values.collect();
        let values = values.map_err(|error| LoadError::Device(error.to_string()))?;
        for ((_, place), values) in wanted.into_iter().zip(values) {
            self.graph.params.set(*place, values);
        }
        Ok(())
    }

    /// Trains the parameters alone that patterns select, as [`Subject::start_from`] has them; all, if there is no pattern. The
    /// others keep their values in [`Training`], and their gradients count nowhere. Running statistics are no parameters: they
    /// go on.
    ///
    /// # Errors
    /// If a pattern selects nothing, or a part of a shared tensor; if all of them select no parameter.
    fn train_only(&mut self, patterns: &[String]) -> Result<(), String> {
        let planned = tensors(&self.graph.network);
        let trained = selection::trained(patterns, &planned)?;
        let tensors = planned.iter().zip(&trained);
        self.frozen = tensors.map(|(tensor, trained)| tensor.trained && !trained).collect();
        for (slot, is_trained) in self.slots.iter_mut().zip(trained) {
            slot.trained = is_trained;
        }
        Ok(())
    }

    /// The logits of all images of a data set: images x classes, row-major.
    ///
    /// # Errors
    /// If the images do not have the size of the input.
    pub fn logits(&self, images: &Dataset, scaling: &Scaling) -> Result<Vec<f32>, TaskError> {
        logits_of(images, scaling, |batch| self.infer(&batch.images))
    }

    /// The network with its parameters.
    pub fn graph(&self) -> &Graph<f32, X> {
        &self.graph
    }

    /// The same, to say how often its loops run.
    pub fn graph_mut(&mut self) -> &mut Graph<f32, X> {
        &mut self.graph
    }

    /// The logits of a batch.
    pub(super) fn infer(&self, images: &[f32]) -> Result<Vec<f32>, TaskError> {
        self.graph.infer(images).map_err(failed)
    }

    /// The first output for sequences of token ids, with their lengths if the network takes them.
    fn infer_tokens(&self, batch: &TokenBatch, lengths: bool) -> Result<Vec<f32>, TaskError> {
        match lengths {
            false => self.infer(&batch.ids),
            true => Ok(self.infer_all(&[&batch.ids, &batch.lengths()])?.swap_remove(0)),
        }
    }

    /// The outputs for a batch of inputs.
    pub(super) fn infer_all(&self, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>, TaskError> {
        self.graph.infer_all(inputs).map_err(failed)
    }

    /// Writes the tensors to a checkpoint.
    ///
    /// # Errors
    /// If the file cannot be written; one that was there stays. If the device fails.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        let failed = |error| std::io::Error::other(format!("the device failed: {error}"));
        let tensors = self.tensors("").map_err(failed)?;
        ksdsl_checkpoint::write_file(path, &to_bytes(&tensors, &self.shared))
    }

    /// The keys of the tensors with values that are not finite.
    ///
    /// # Errors
    /// If the device fails.
    pub fn non_finite(&self) -> Result<Vec<String>, X::Err> {
        let mut broken = Vec::new();
        for (slot, &place) in self.slots.iter().zip(&self.places) {
            if self.values(place)?.iter().any(|value| !value.is_finite()) {
                broken.push(slot.key.clone());
            }
        }
        Ok(broken)
    }

    fn values(&self, place: usize) -> Result<Vec<f32>, X::Err> {
        let Graph { exec, params, .. } = &self.graph;
        exec.download(params.get(place))
    }

    /// All tensors as a file holds them, with `prefix` before their keys.
    fn tensors(&self, prefix: &str) -> Result<Vec<Stored<'static>>, X::Err> {
        let tensor = |(slot, &place): (&Slot, &usize)| {
            let values = self.values(place)?;
            Ok(stored(format!("{prefix}{}", slot.key), slot, &values))
        };
        self.slots.iter().zip(&self.places).map(tensor).collect()
    }

    /// The loss that `loss` makes of the outputs, and the gradients of the parameters that it depends on, by their places.
    fn descend(
        &mut self,
        inputs: &[&[f32]],
        seeds: &mut dyn FnMut() -> u64,
        loss: impl FnOnce(&[Vec<f32>]) -> Loss,
    ) -> Result<(f32, Sums<X::Buf>), TaskError> {
        let mut value = f32::NAN;
        let descended = self.graph.descend(inputs, seeds, |outputs| {
            let (found, gradients) = loss(&outputs);
            value = found;
            gradients
        });
        Ok((value, descended.map_err(failed)?.1))
    }

    /// The gradients of all trained tensors.
    fn of_trained(&self, mut sums: Sums<X::Buf>) -> Result<Vec<X::Buf>, TaskError> {
        let trained = self.slots.iter().zip(&self.places).filter(|(slot, _)| slot.trained);
        let gradient = |(slot, place): (&Slot, &usize)| match sums.remove(place) {
            Some(sum) => Ok(sum),
            None => self.graph.exec.zeroed(slot.elements()).map_err(TaskError::device),
        };
        trained.map(gradient).collect()
    }
}

fn slot(tensor: Planned) -> Slot {
    Slot {
        key: tensor.key,
        shape: tensor.shape.into_iter().map(walk::size).collect(),
        trained: tensor.trained,
    }
}

fn shared(tensor: &Planned) -> Option<Shared> {
    let (visits, copies) = tensor.shared.clone()?;
    Some(Shared {
        key: tensor.key.clone(),
        visits,
        copies,
    })
}

/// The values of tensors in a file that has these alone.
fn fitting<'f, 's>(
    file: &'f File,
    slots: impl Iterator<Item = &'s Slot>,
    shared: &[Shared],
) -> Result<Vec<View<'f>>, Problems> {
    let expected: Vec<Expected> = slots.map(expected).collect();
    ksdsl_checkpoint::resolve(file, &expected, shared)
}

fn expected(slot: &Slot) -> Expected {
    Expected {
        key: slot.key.clone(),
        shape: slot.shape.iter().map(|&size| size as u64).collect(),
        kind: Some(Kind::F32),
    }
}

fn failed<R: fmt::Display>(error: super::Error<R>) -> TaskError {
    match error {
        super::Error::Exec(error) => TaskError::device(error),
        other => TaskError::Batch(other.to_string()),
    }
}
