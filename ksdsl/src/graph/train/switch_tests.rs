//! Runs that begin as a network with other sharing.

use crate::graph::train::{LanguageModel, Model};
use crate::spec::Spec;
use ksdsl_checkpoint::File;
use ksdsl_train_core::Recipe;
use ksdsl_train_core::interrupt::Stop;
use ksdsl_train_core::optim::{Averaging, Statistics};
use ksdsl_train_core::record::{Epoch, Observer, Step};
use ksdsl_train_core::text::{Choice, Text, Vocabulary};
use ksdsl_train_core::trainer::{End, Outcome, TrainError, Trainer};
use std::io;
use std::path::Path;

const WORDS: &str = "
net words(shared = false) {
    input 6 of 256
    embedding(8)
    stage h { repeat 2 { residual { layer_norm; up: linear(16); gelu; dropout(0.3); down: linear(8) } } }
    head: linear(256, bias = false)
    share blocks in h with norms as k when shared
}";

pub(super) fn words(begins_shared: bool, epochs: u32) -> LanguageModel {
    let spec = |shared: bool| Spec::parse("words.ksn", WORDS).set("shared", shared);
    let network = |shared| spec(shared).compile_one().unwrap().0;
    let settings = |shared: bool| [("shared".to_owned(), shared.into())];
    let own = !begins_shared;
    let mut model = LanguageModel::of(network(own), &settings(own)).unwrap();
    if epochs > 0 {
        model
            .subject_mut()
            .begin_as(network(!own), &settings(!own), epochs)
            .unwrap();
    }
    model
}

/// Requests a stop after a step, or at the end of an epoch.
pub(super) struct StopAt(pub(super) u64, pub(super) u32, pub(super) Stop);

impl Observer for StopAt {
    fn step(&mut self, step: &Step) -> io::Result<()> {
        if step.number == self.0 {
            self.2.stop();
        }
        Ok(())
    }

    fn epoch(&mut self, epoch: &Epoch) -> io::Result<()> {
        if epoch.number == self.1 {
            self.2.stop();
        }
        Ok(())
    }
}

fn train(of: &LanguageModel, folder: &Path, at: (u64, u32)) -> Result<Outcome, String> {
    train_as(of, folder, Recipe::nanogpt(), at)
}

/// Trains a few steps with an average and the rest of a recipe, until a stop.
pub(super) fn train_as(
    of: &LanguageModel,
    folder: &Path,
    recipe: Recipe,
    (step, epoch): (u64, u32),
) -> Result<Outcome, String> {
    let recipe = Recipe {
        steps: Some(11),
        steps_per_epoch: Some(4),
        batch: 5,
        average: Some(Averaging {
            decay: 0.8,
            statistics: Statistics::Copied,
        }),
        ..recipe
    };
    let text = text();
    let stop = Stop::new();
    let mut observer = StopAt(step, epoch, stop.clone());
    let trainer = Trainer::new(recipe)
        .start_or_resume(folder)
        .stop(stop)
        .observer(&mut observer);
    of.train(trainer, &text).map_err(|error| error.to_string())
}

pub(super) fn text() -> Text {
    let bytes: Vec<u8> = (0..400u32).map(|i| (i * i % 251) as u8).collect();
    Text::of(&bytes, Vocabulary::Chosen(&Choice::Bytes)).unwrap()
}

pub(super) fn folders() -> [tempfile::TempDir; 2] {
    [(); 2].map(|()| tempfile::tempdir().unwrap())
}

/// Interrupted before the switch, at its epoch's last step, right after it, and later: the same bits, in both directions.
#[test]
fn runs_resume_to_the_same_bits_around_the_switch() {
    for begins_shared in [true, false] {
        let of = words(begins_shared, 1);
        let folders = folders();
        let [whole, parts] = folders.each_ref().map(|folder| folder.path());
        let expected = train(&of, whole, (0, 0)).unwrap();
        assert_eq!((expected.end, expected.steps), (End::Finished, 11));
        // The best model is one of the network that is trained.
        assert!(expected.best.is_some_and(|best| best.epoch > 1));
        for (at, done) in [((2, 0), 2), ((4, 0), 4), ((0, 1), 4), ((7, 0), 7)] {
            let outcome = train(&of, parts, at).unwrap();
            assert_eq!((outcome.end, outcome.steps), (End::Interrupted, done));
            assert!(!parts.join("best.safetensors").exists(), "{at:?}");
        }
        assert_eq!(train(&of, parts, (0, 0)).unwrap(), expected);
        for name in ["model", "averaged", "best"] {
            let [a, b] =
                [whole, parts].map(|folder| std::fs::read(folder.join(format!("{name}.safetensors"))).unwrap());
            assert!(a == b, "{name}");
            let mut model = Model::new(of.network(), 5);
            model.load(&whole.join(format!("{name}.safetensors"))).unwrap();
        }
    }
}

/// Before the switch the run is that of the other network, bit for bit.
#[test]
fn the_beginning_is_a_run_of_the_other_network() {
    let folders = folders();
    let [begun, other] = folders.each_ref().map(|folder| folder.path());
    train(&words(true, 1), begun, (3, 0)).unwrap();
    train(&words(false, 0), other, (3, 0)).unwrap();
    let [begun, other] = [begun, other].map(|folder| File::read(&folder.join("last.safetensors")).unwrap());
    let keys = |file: &File| file.keys().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(keys(&begun), keys(&other));
    let tensors = keys(&begun).into_iter().filter(|key| key != "progress");
    assert!(tensors.clone().count() > 20);
    tensors.for_each(|key| assert!(begun.get(&key) == other.get(&key), "{key}"));
}

#[test]
fn a_run_ends_as_its_own_network() {
    let folder = tempfile::tempdir().unwrap();
    // 11 steps are 3 epochs of 4.
    let error = train(&words(true, 3), folder.path(), (0, 0)).unwrap_err();
    let expected = TrainError::Beginning { epochs: 3, of: 3 }.to_string();
    assert!(
        error.contains(&expected) && error.contains("it cannot begin with 3 of another network"),
        "{error}"
    );
    assert!(folder.path().read_dir().unwrap().next().is_none());
    // Another beginning is another run.
    train(&words(true, 1), folder.path(), (2, 0)).unwrap();
    let error = train(&words(true, 2), folder.path(), (0, 0)).unwrap_err();
    assert!(error.contains("`beginning.epochs` was 1 and is now 2"), "{error}");
    let error = train(&words(true, 0), folder.path(), (0, 0)).unwrap_err();
    assert!(error.contains("`beginning.epochs` was 1 and is now unset"), "{error}");
}
