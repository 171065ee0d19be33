//! What a run trains: a network, perhaps after the same layers with other sharing.

use super::selection;
use super::start::Start;
use super::{LoadError, Model, Objective, Training};
use crate::analyse::analyse;
use crate::diff::connections;
use crate::graph::budget::{MemoryBudget, OverBudget, Recomputation, within};
use crate::ir::Network;
use crate::plan::tensors::{Stored as Planned, tensors};
use crate::value::Value;
use ksdsl_checkpoint::fuse::{Method, fuse, unroll};
use ksdsl_checkpoint::{File, Problems, Tensor as Stored, Unstated, to_bytes};
use ksdsl_engine::Exec;
use ksdsl_engine::update::Updates;
use ksdsl_train_core::Recipe;
use ksdsl_train_core::run::{Beginning, Facts, Weights};
use ksdsl_train_core::trainer::{TrainError, Trainer};
use std::collections::BTreeMap;
use std::path::Path;

/// A network to train, with what a run folder says of it.
#[derive(Clone, Debug)]
pub struct Subject {
    pub(super) network: Network,
    pub(super) facts: Facts,
    /// The network as which a run begins.
    beginning: Option<Network>,
    start: Option<Start>,
}

impl Subject {
    pub(super) fn new(network: Network, settings: &[(String, Value)]) -> Self {
        let analysis = analyse(&network);
        let facts = Facts {
            name: network.name.clone(),
            parameters: analysis.trainable,
            multiply_adds: analysis.macs,
            specification: network.text.clone(),
            settings: texts(settings),
            beginning: None,
            weights: None,
        };
        Self {
            network,
            facts,
            beginning: None,
            start: None,
        }
    }

    /// Trains it for the first epochs as another network, which must differ in sharing alone.
    ///
    /// # Errors
    /// The first other difference.
    pub fn begin_as(&mut self, network: Network, settings: &[(String, Value)], epochs: u32) -> Result<(), String> {
        let beginning = Beginning {
            epochs,
            network: network.name.clone(),
            specification: network.text.clone(),
            settings: texts(settings),
        };
        let names = || format!("`{}` cannot begin as `{}`", self.facts.label(), beginning.label());
        check(&self.network, &network).map_err(|what| {
            let names = names();
            format!("{names}, because more than sharing differs: {what}; `ksn diff` shows all that differs")
        })?;
        if tensors(&self.network) == tensors(&network) {
            return Err(format!("{}, because it shares the same", names()));
        }
        self.facts.beginning = Some(beginning);
        self.beginning = Some(network);
        Ok(())
    }

    /// Starts its training from the weights of a checkpoint, instead of random ones: of the network as which it begins, if that is
    /// another. The tensors that `except` selects keep their random values, whatever the file has of them: selectors as in `share`
    /// clauses, such as `head` or `body[0..2].conv`, where a tensor's name may be the last segment. Also says whether the file
    /// lacks its sharing.
    ///
    /// # Errors
    /// If the file cannot be read, lacks a tensor or has others, or values that are not finite; if a pattern selects nothing.
    pub fn start_from(&mut self, checkpoint: &Path, except: &[String]) -> Result<Option<Unstated>, LoadError> {
        let network = self.beginning.as_ref().unwrap_or(&self.network);
        let (start, weights, unstated) = Start::read(checkpoint, network, except)?;
        self.start = Some(start);
        self.facts.weights = Some(weights);
        Ok(unstated)
    }

    /// Says that the run to resume has started from a checkpoint, which it needs no more.
    pub fn has_started_from(&mut self, weights: Option<Weights>) {
        self.facts.weights = weights;
    }

    /// What a run folder says of it.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What a step of a recipe computes again to fit into a memory budget; of a run that begins as another network, that of both.
    ///
    /// # Errors
    /// If no step fits.
    pub fn recomputations(&self, recipe: &Recipe, budget: MemoryBudget) -> Result<Vec<Recomputation>, OverBudget> {
        let images = recipe.batch.div_ceil(recipe.accumulate.unwrap_or(1)) as u64;
        let networks = [Some(&self.network), self.beginning.as_ref()].into_iter().flatten();
        networks
            .map(|network| within(network, [images, ksdsl_cpu::threads() as u64], budget))
            .collect()
    }

    /// How many parameters a recipe trains, if not all.
    ///
    /// # Errors
    /// If its `train_only` does not fit the network, or the one as which it begins.
    pub fn trained(&self, recipe: &Recipe) -> Result<Option<u64>, TrainError> {
        if recipe.train_only.is_empty() {
            return Ok(None);
        }
        let count = |network: &Network| {
            let tensors = tensors(network);
            let trained = selection::trained(&recipe.train_only, &tensors).map_err(TrainError::Selection)?;
            let trained = tensors.iter().zip(trained).filter(|(_, trained)| *trained);
            Ok(trained.map(|(tensor, _)| tensor.shape.iter().product::<u64>()).sum())
        };
        self.beginning.as_ref().map(count).transpose()?;
        count(&self.network).map(Some)
    }

    /// The training of a trainer's recipe, from the initial values of its seed.
    pub(super) fn training<O: Objective, X: Updates<f32>>(
        &self,
        exec: X,
        trainer: &Trainer<'_>,
        objective: O,
    ) -> Result<Training<O, X>, TrainError> {
        let recipe = trainer.recipe();
        recipe.check().map_err(TrainError::Recipe)?;
        let recomputations = trainer.budget().map(|budget| self.recomputations(recipe, budget));
        let recomputations = recomputations
            .transpose()
            .map_err(|error| TrainError::Memory(error.to_string()))?;
        let mut recomputations = recomputations.into_iter().flatten();
        let mut model = |network: &Network| {
            let model = Model::on(exec.clone(), network, recipe.seed);
            let mut model = model.map_err(|error| TrainError::Device(error.to_string()))?;
            if let Some(recomputation) = recomputations.next() {
                model.graph_mut().recompute(&recomputation);
            }
            Ok::<_, TrainError>(model)
        };
        let own = model(&self.network)?;
        let (mut first, next) = match &self.beginning {
            None => (own, None),
            Some(first) => (model(first)?, Some(own)),
        };
        if let Some(start) = &self.start {
            let filled = start.fill(&mut first);
            filled.map_err(|error| TrainError::Device(error.to_string()))?;
        }
        let training = Training::new(recipe, first, objective)?;
        match next {
            None => Ok(training),
            Some(mut next) => {
                next.train_only(&recipe.train_only).map_err(TrainError::Selection)?;
                Ok(training.before(next))
            }
        }
    }
}

fn texts(settings: &[(String, Value)]) -> BTreeMap<String, String> {
    let text = |(name, value): &(String, Value)| (name.clone(), value.to_string());
    settings.iter().map(text).collect()
}

/// Whether networks are the same but for which layers share; the error is the first other difference.
fn check(own: &Network, first: &Network) -> Result<(), String> {
    for (ours, theirs) in own.layers.iter().zip(&first.layers) {
        if ours.path != theirs.path {
            return Err(format!(
                "the layer `{}` is where the other has `{}`",
                ours.path, theirs.path
            ));
        }
        if ours.op != theirs.op {
            return Err(format!("the layer `{}`", ours.path));
        }
    }
    let counts = [own, first].map(|network| network.layers.len());
    if counts[0] != counts[1] {
        return Err(format!("{} and {} layers", counts[0], counts[1]));
    }
    if connections(own) != connections(first) {
        return Err("the connections of layers".to_owned());
    }
    let [ours, theirs] = [unrolled(own)?, unrolled(first)?];
    let all = ours.keys().chain(theirs.keys());
    match all.into_iter().find(|key| ours.get(*key) != theirs.get(*key)) {
        Some(key) => Err(format!("only one has `{key}`")),
        None => Ok(()),
    }
}

/// The sizes of a network's tensors if no layers shared, by their keys.
fn unrolled(network: &Network) -> Result<BTreeMap<String, Vec<u64>>, String> {
    let mut all = BTreeMap::new();
    for Planned { key, shape, shared, .. } in tensors(network) {
        let keys = match shared {
            None => vec![key],
            Some((visits, true)) => visits,
            Some((_, false)) => {
                return Err(format!("layers transpose, slice or combine `{key}`"));
            }
        };
        all.extend(keys.into_iter().map(|key| (key, shape.clone())));
    }
    Ok(all)
}

/// Tensors of a model, as those of another network that differs in sharing alone: what layers share no longer, each of them
/// gets a copy of; what they share now is the mean of what they had, which is that value, bit for bit, where it is the same.
/// `prefix` stands before their keys; tensors that are not trained are left out if they are `trained` ones.
pub(super) fn carry<X: Exec<f32>>(
    tensors: &[Stored<'static>],
    (prefix, trained): (&str, bool),
    [from, to]: [&Model<X>; 2],
) -> Result<Vec<Stored<'static>>, Problems> {
    let bare = tensors.iter().filter_map(|tensor| {
        let key = tensor.key.strip_prefix(prefix)?.to_owned();
        Some(Stored { key, ..tensor.clone() })
    });
    let bare: Vec<Stored<'_>> = bare.collect();
    if bare.is_empty() {
        return Ok(bare);
    }
    let parsed = |bytes: Vec<u8>| {
        let Ok(file) = File::parse(bytes) else {
            unreachable!("written tensors can be read")
        };
        file
    };
    let shared = |model: &Model<X>| -> Vec<_> {
        let kept = |key: &str| {
            model
                .slots
                .iter()
                .any(|slot| slot.key == key && (slot.trained || !trained))
        };
        model
            .shared
            .iter()
            .filter(|shared| kept(&shared.key))
            .cloned()
            .collect()
    };
    let expected = |model: &Model<X>| -> Vec<_> {
        let slots = model.slots.iter().filter(|slot| slot.trained || !trained);
        slots.map(super::expected).collect()
    };
    let file = parsed(to_bytes(&bare, &shared(from)));
    let apart = unroll(&file, &expected(from), &shared(from), &[], &[])?;
    let apart = parsed(to_bytes(&apart, &[]));
    let fused = fuse(&apart, &expected(to), &shared(to), &[], Method::Mean)?;
    let owned = |tensor: Stored<'_>| Stored {
        key: format!("{prefix}{}", tensor.key),
        data: tensor.data.into_owned().into(),
        kind: tensor.kind,
        shape: tensor.shape,
    };
    Ok(fused.into_iter().map(owned).collect())
}

#[cfg(test)]
#[path = "subject_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "switch_tests.rs"]
mod switch_tests;

#[cfg(test)]
#[path = "frozen_tests.rs"]
mod frozen_tests;
