//! Networks that train without generated code, against generated models: the same files, bit for bit.

use ksdsl::graph::train::Classifier;
use ksdsl::spec::Spec;
use ksdsl_runtime::prelude::*;
use ksdsl_train::data::{Dataset, Digits, Loader, Scaling};
use ksdsl_train::interrupt::Stop;
use ksdsl_train::optim::{AdamW, Averaging, Decayed, Statistics};
use ksdsl_train::recipe::Augment;
use ksdsl_train::record::{Observer, Step};
use ksdsl_train::trainer::{End, Outcome};
use ksdsl_train::{Classifier as Generated, Recipe};
use std::io;
use std::path::Path;

ksdsl_runtime::include_ksn!("../../examples/nets/digits.ksn");
ksdsl_runtime::include_ksn!("../../examples/nets/vit.ksn");

ksdsl_runtime::ksnet! {
    net noisy {
        input 1 x 8 x 8
        conv(8, kernel = 3, pad = 1, bias = true); relu; dropout(0.2)
        repeat 3 { residual { conv(8, kernel = 3, pad = 1); batch_norm; relu; stochastic_depth(0.3) } }
        flatten; linear(10)
        share isomorphic conv into cycle(groups = 2)
    }
}

/// Requests a stop after a step.
struct StopAfter(u64, Stop);

impl Observer for StopAfter {
    fn step(&mut self, step: &Step) -> io::Result<()> {
        if step.number == self.0 {
            self.1.stop();
        }
        Ok(())
    }
}

/// A part of the digits: 256 images to train on, 100 to validate.
fn data() -> [Dataset; 2] {
    let digits = Digits::embedded();
    [
        digits.part(|index| index < 256),
        digits.part(|index| (256..356).contains(&index)),
    ]
}

/// Trains in a folder with the trainer `$trainer`, to the end or up to a step.
macro_rules! run {
    ($trainer:ty, $recipe:expr, $folder:expr, $last:expr, |$ready:ident, $source:ident| $train:expr) => {{
        let (recipe, [training, validation], stop) = ($recipe, data(), Stop::new());
        let scaling = Scaling::of(&training);
        let mut observer = StopAfter($last, stop.clone());
        let $source = &mut Loader::of(&recipe, training, &scaling);
        let $ready = <$trainer>::new(recipe.clone())
            .validation(&validation, &scaling)
            .classes(validation.names())
            .start_or_resume($folder)
            .stop(stop)
            .observer(&mut observer);
        $train
    }};
}

/// Trains the generated model.
fn generated<B>(recipe: &Recipe, folder: &Path, last: u64) -> Outcome
where
    B: BuildOnDevice<Cpu, f32, Built: Generated<1, 8, 8, 10>>,
{
    let device = Cpu::seed_from_u64(recipe.seed);
    let mut model = device.build_module::<B, f32>();
    run!(ksdsl_train::Trainer, recipe, folder, last, |trainer, source| {
        trainer.train(&mut model, source, &device).unwrap()
    })
}

/// Trains the network of the same specification.
fn graph<N: Network>(recipe: &Recipe, folder: &Path, last: u64) -> Outcome {
    let spec = Spec::parse("run.json", N::SPECIFICATION).network(N::NAME);
    let (network, _) = spec.compile_one().unwrap();
    let network = Classifier::of(network, &[]).unwrap();
    run!(
        ksdsl_train_core::trainer::Trainer,
        recipe,
        folder,
        last,
        |trainer, source| network.train(trainer, source).unwrap()
    )
}

/// The tensors of a checkpoint that do not depend on time.
fn tensors(path: &Path) -> Vec<(String, Vec<u8>)> {
    let file = ksdsl_checkpoint::File::read(path).unwrap();
    let keys = file.keys().filter(|key| *key != "progress");
    keys.map(|key| (key.to_owned(), file.get(key).unwrap().data.to_vec()))
        .collect()
}

/// Each trains alone, and each continues what the other has begun: all runs leave the same files.
#[track_caller]
fn agree<B>(recipe: &Recipe)
where
    B: BuildOnDevice<Cpu, f32, Built: Generated<1, 8, 8, 10>> + Network,
{
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let never = u64::MAX;
    let expected = generated::<B>(recipe, &at("generated"), never);
    assert_eq!(expected.end, End::Finished);
    let outcome = graph::<B>(recipe, &at("graph"), never);
    assert_eq!(outcome, expected);
    // In the middle of an epoch.
    assert_eq!(generated::<B>(recipe, &at("first"), 5).end, End::Interrupted);
    assert_eq!(graph::<B>(recipe, &at("first"), never), expected);
    assert_eq!(graph::<B>(recipe, &at("second"), 3).end, End::Interrupted);
    assert_eq!(generated::<B>(recipe, &at("second"), never), expected);
    let mut files = vec!["run.json", "model.safetensors", "best.safetensors"];
    files.extend(recipe.average.map(|_| "averaged.safetensors"));
    for run in ["graph", "first", "second"] {
        for file in &files {
            let [ours, theirs] = [run, "generated"].map(|run| std::fs::read(at(run).join(file)).unwrap());
            assert!(ours == theirs, "{} of {run}: {file}", B::NAME);
        }
        let [ours, theirs] = [run, "generated"].map(|run| tensors(&at(run).join("last.safetensors")));
        assert!(ours == theirs, "{} of {run}: last.safetensors", B::NAME);
    }
}

/// Batch norms, squeeze-and-excitation and shared kernels; SGD with momentum.
#[test]
fn convolutional_networks_train_to_the_same_bits() {
    let recipe = Recipe {
        epochs: 2,
        ..Recipe::default()
    };
    agree::<digits_shared::Builder>(&recipe);
    agree::<digits_unshared::Builder>(&recipe);
}

/// Attention and layer norms; AdamW, clipping, averages and soft labels.
#[test]
fn transformers_train_to_the_same_bits() {
    let recipe = Recipe {
        epochs: 2,
        seed: 7,
        method: AdamW::default().into(),
        decayed: Decayed::Kernels,
        rate: 0.003,
        clip: Some(0.5),
        average: Some(Averaging {
            decay: 0.9,
            statistics: Statistics::Averaged,
        }),
        augment: Augment {
            crop: 1,
            mixup: 0.4,
            smoothing: 0.1,
            ..Augment::default()
        },
        ..Recipe::default()
    };
    agree::<vit_shared::Builder>(&recipe);
}

/// Dropout draws from the seed of each step.
#[test]
fn networks_with_dropout_train_to_the_same_bits() {
    let recipe = Recipe {
        epochs: 2,
        rate: 0.02,
        ..Recipe::default()
    };
    agree::<noisy::Builder>(&recipe);
}
