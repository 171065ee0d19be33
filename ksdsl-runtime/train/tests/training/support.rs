//! A tiny net with all that has a state: shared kernels, batch norms, dropout; and runs of it.

use ksdsl_runtime::ksnet;
use ksdsl_runtime::prelude::*;
use ksdsl_train::Recipe;
use ksdsl_train::Trainer;
use ksdsl_train::data::{Dataset, Digits, Scaling};
use ksdsl_train::optim::{AdamW, Averaging, Decayed, Sgd, Statistics};
use ksdsl_train::record::Observer;
use ksdsl_train::schedule::{Schedule, WarmUp};
use ksdsl_train::source::Plain;
use ksdsl_train::trainer::{Outcome, TrainError};
use std::collections::BTreeMap;
use std::path::Path;

ksnet! {
    /// Small enough that a step takes about a millisecond.
    net tiny {
        input 1 x 8 x 8
        stage stem { conv(8, kernel = 3, stride = 2, pad = 1); batch_norm; relu }
        stage body { repeat 2 { residual { conv(8, kernel = 3, pad = 1); batch_norm; relu; dropout(0.2) } } }
        stage head { global_avg_pool; dropout(0.1); linear(10) }
        share isomorphic conv in body
    }
}

pub(crate) type Tiny = tiny::Model<f32, Cpu>;
pub(crate) type Data = Dataset;

/// Digits to train on and to hold out.
pub(crate) fn data() -> (Data, Data) {
    let digits = Digits::embedded();
    (digits.part(|i| i < 88), digits.part(|i| (500..560).contains(&i)))
}

/// Three epochs of six steps, with everything on.
pub(crate) fn sgd() -> Recipe {
    Recipe {
        epochs: 3,
        batch: 16,
        seed: 5,
        method: Sgd::default().into(),
        rate: 0.05,
        clip: Some(1.0),
        average: Some(Averaging {
            decay: 0.8,
            statistics: Statistics::Averaged,
        }),
        ..Recipe::default()
    }
}

/// The same by AdamW.
pub(crate) fn adam() -> Recipe {
    Recipe {
        method: AdamW::default().into(),
        decayed: Decayed::Kernels,
        rate: 0.005,
        schedule: Schedule::Cosine { last: 0.0 },
        warm_up: Some(WarmUp {
            epochs: 0.5,
            first: 0.1,
        }),
        average: Some(Averaging {
            decay: 0.8,
            statistics: Statistics::Copied,
        }),
        evaluate_every: 2,
        ..sgd()
    }
}

pub(crate) fn model(seed: u64) -> Tiny {
    Cpu::seed_from_u64(seed).build_module::<tiny::Builder, f32>()
}

pub(crate) type TinyTrainer<'t> = Trainer<'t>;

/// Tells nobody.
struct Nobody;

impl Observer for Nobody {}

/// Trains a new model by `recipe`, the trainer changed by `set`.
pub(crate) fn train(
    recipe: &Recipe,
    set: impl for<'t> FnOnce(TinyTrainer<'t>) -> TinyTrainer<'t>,
) -> (Tiny, Result<Outcome, TrainError>) {
    train_with(recipe, &mut Nobody, set)
}

/// The same with an observer.
pub(crate) fn train_with(
    recipe: &Recipe,
    observer: &mut dyn Observer,
    set: impl for<'t> FnOnce(TinyTrainer<'t>) -> TinyTrainer<'t>,
) -> (Tiny, Result<Outcome, TrainError>) {
    let (training, validation) = data();
    let scaling = Scaling::of(&training);
    let batch = recipe.batch.try_into().unwrap();
    let mut source = Plain::new(&training, batch, &scaling, recipe.seed);
    let mut model = model(recipe.seed);
    let trainer = Trainer::new(recipe.clone())
        .validation(&validation, &scaling)
        .observer(observer);
    let trainer = set(trainer);
    let outcome = trainer.train(&mut model, &mut source, &Cpu::default());
    (model, outcome)
}

/// Trains in a folder.
pub(crate) fn train_in(folder: &Path, recipe: &Recipe) -> Result<Outcome, TrainError> {
    train(recipe, |trainer| trainer.start_or_resume(folder)).1
}

/// All that a run saves in the end, but for the seconds it took.
pub(crate) fn saved(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for name in ["model", "averaged", "best"] {
        all.insert(
            name.to_owned(),
            std::fs::read(folder.join(format!("{name}.safetensors"))).unwrap(),
        );
    }
    let last = ksdsl_checkpoint::File::read(&folder.join("last.safetensors")).unwrap();
    for key in last.keys() {
        let data = last.get(key).unwrap().data;
        let data = if key == "progress" {
            without_time(data)
        } else {
            data.to_vec()
        };
        all.insert(format!("last.{key}"), data);
    }
    all
}

fn without_time(progress: &[u8]) -> Vec<u8> {
    let mut progress: BTreeMap<String, serde_json::Value> = serde_json::from_slice(progress).unwrap();
    progress.remove("seconds").unwrap();
    progress.remove("waited").unwrap();
    progress.remove("processor").unwrap();
    serde_json::to_vec(&progress).unwrap()
}

/// What differs between two runs' files, by name.
pub(crate) fn differences(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let keys = a.keys().chain(b.keys());
    let mut keys: Vec<String> = keys.filter(|key| a.get(*key) != b.get(*key)).cloned().collect();
    keys.dedup();
    keys
}

/// What a run without a stop saves.
pub(crate) fn uninterrupted(recipe: &Recipe) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    train_in(folder.path(), recipe).unwrap();
    saved(folder.path())
}
