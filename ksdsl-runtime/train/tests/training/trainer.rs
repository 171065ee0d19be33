//! What the trainer does and says, step by step.

use crate::support::{data, differences, model, saved, sgd, train, train_in, train_with, uninterrupted};
use ksdsl_runtime::prelude::*;
use ksdsl_train::data::{DataError, Scaling};
use ksdsl_train::interrupt::Stop;
use ksdsl_train::record::{Epoch, Observer, Start, Step};
use ksdsl_train::schedule::Schedule;
use ksdsl_train::source::{EpochBatches, HostBatch, Plain, Source};
use ksdsl_train::trainer::{Diverged, End, TrainError, evaluate};
use ksdsl_train::{Recipe, Trainer};
use std::io;

/// Notes all that it is told.
#[derive(Default)]
struct Notes {
    starts: Vec<(u64, u64, Vec<String>)>,
    steps: Vec<Step>,
    epochs: Vec<Epoch>,
    flushes: usize,
    ends: usize,
    fail_at: Option<u64>,
}

impl Observer for Notes {
    fn start(&mut self, start: &Start<'_>) -> io::Result<()> {
        self.starts.push((start.done, start.parameters, start.classes.to_vec()));
        Ok(())
    }
    fn step(&mut self, step: &Step) -> io::Result<()> {
        self.steps.push(*step);
        match self.fail_at {
            Some(at) if at == step.number => Err(io::Error::other("no more room")),
            _ => Ok(()),
        }
    }
    fn epoch(&mut self, epoch: &Epoch) -> io::Result<()> {
        self.epochs.push(epoch.clone());
        Ok(())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.flushes += 1;
        Ok(())
    }
    fn end(&mut self) -> io::Result<()> {
        self.ends += 1;
        Ok(())
    }
}

#[test]
fn observers_are_told_of_every_step_and_epoch() {
    let mut notes = Notes::default();
    let (_, outcome) = train_with(&sgd(), &mut notes, |trainer| trainer);
    let outcome = outcome.unwrap();
    let classes = (0..10).map(|class| class.to_string()).collect();
    assert_eq!(notes.starts, [(0, crate::support::tiny::PARAMETERS, classes)]);
    let numbers: Vec<(u32, u64, usize)> = notes.steps.iter().map(|it| (it.epoch, it.number, it.images)).collect();
    let images = |step| if step % 6 == 0 { 8 } else { 16 };
    let expected: Vec<(u32, u64, usize)> = (1..=18)
        .map(|step| ((step as u32 - 1) / 6 + 1, step, images(step)))
        .collect();
    assert_eq!(numbers, expected);
    assert!(
        notes
            .steps
            .iter()
            .all(|step| step.waited <= step.seconds && step.gradient_norm.unwrap() > 0.0)
    );
    assert!(notes.steps[17].rate < notes.steps[6].rate);
    assert_eq!((notes.epochs.len(), notes.ends), (3, 1));
    for (epoch, steps) in notes.epochs.iter().zip(notes.steps.chunks(6)) {
        let sum: f64 = steps.iter().map(|step| step.loss * step.images as f64).sum();
        assert_eq!((epoch.images, epoch.training_loss), (88, sum / 88.0));
        assert_eq!(epoch.rate, steps[5].rate);
        let (evaluation, averaged) = (epoch.evaluation.as_ref().unwrap(), epoch.averaged.as_ref().unwrap());
        assert_eq!((evaluation.images, evaluation.confusion.iter().sum::<u64>()), (60, 60));
        assert_ne!(evaluation.loss, averaged.loss);
    }
    assert_eq!(outcome.end, End::Finished);
    assert_eq!((outcome.epochs, outcome.steps), (3, 18));
    assert_eq!(outcome.evaluation, notes.epochs[2].evaluation);
    assert_eq!(outcome.averaged, notes.epochs[2].averaged);
    let best = outcome.best.unwrap();
    let chosen = notes.epochs[best.epoch as usize - 1].averaged.as_ref().unwrap();
    assert_eq!((best.top1, best.loss), (chosen.top1, chosen.loss));
    assert!(
        notes
            .epochs
            .iter()
            .all(|it| it.averaged.as_ref().unwrap().top1 <= best.top1)
    );
}

/// A resumed run tells only of its own steps, and how many there were before.
#[test]
fn observers_are_told_what_is_done_already() {
    let folder = tempfile::tempdir().unwrap();
    let stop = Stop::new();
    stop.stop();
    let (_, outcome) = train(&sgd(), |trainer| trainer.stop(stop).folder(folder.path()));
    assert_eq!(outcome.unwrap().steps, 1);
    let mut notes = Notes::default();
    let (_, outcome) = train_with(&sgd(), &mut notes, |trainer| trainer.resume(folder.path()));
    outcome.unwrap();
    assert_eq!((notes.starts[0].0, notes.steps[0].number), (1, 2));
    // One at the end of each epoch.
    assert_eq!(notes.flushes, 3);
}

/// The run stops, and nothing is lost.
#[test]
fn an_observer_that_fails_stops_the_run_with_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let mut notes = Notes {
        fail_at: Some(9),
        ..Notes::default()
    };
    let (_, outcome) = train_with(&sgd(), &mut notes, |trainer| trainer.folder(folder.path()));
    let error = outcome.unwrap_err();
    assert_eq!(error.to_string(), "an observer failed: no more room");
    let mut notes = Notes::default();
    train_with(&sgd(), &mut notes, |trainer| trainer.resume(folder.path()))
        .1
        .unwrap();
    assert_eq!(notes.starts[0].0, 9);
    assert_eq!(differences(&uninterrupted(&sgd()), &saved(folder.path())), [""; 0]);
}

#[test]
fn evaluations_are_as_seldom_as_asked_for() {
    let recipe = Recipe {
        epochs: 5,
        evaluate_every: 2,
        ..sgd()
    };
    let mut notes = Notes::default();
    train_with(&recipe, &mut notes, |trainer| trainer).1.unwrap();
    let evaluated: Vec<u32> = notes
        .epochs
        .iter()
        .filter(|it| it.evaluation.is_some())
        .map(|it| it.number)
        .collect();
    assert_eq!(evaluated, [2, 4, 5]);
}

/// Eight steps are an epoch of six and one of two, and the schedule knows.
#[test]
fn runs_can_be_given_in_steps() {
    let recipe = Recipe {
        steps: Some(8),
        ..sgd()
    };
    let folder = tempfile::tempdir().unwrap();
    let mut notes = Notes::default();
    let (_, outcome) = train_with(&recipe, &mut notes, |trainer| trainer.folder(folder.path()));
    let outcome = outcome.unwrap();
    assert_eq!((outcome.end, outcome.epochs, outcome.steps), (End::Finished, 1, 8));
    let images: Vec<usize> = notes.epochs.iter().map(|epoch| epoch.images).collect();
    assert_eq!(images, [88, 32]);
    let least = recipe.rate / 25.0 / 1e4;
    assert!((notes.steps[7].rate / least - 1.0).abs() < 1e-9);
    assert_eq!(train_in(folder.path(), &recipe).unwrap(), outcome);
}

/// At a rate of almost nothing nothing gets better: the first evaluation remains the best.
#[test]
fn training_stops_early_when_patience_is_over() {
    let recipe = Recipe {
        epochs: 50,
        rate: 1e-30,
        average: None,
        patience: Some(2),
        ..sgd()
    };
    let folder = tempfile::tempdir().unwrap();
    let (_, outcome) = train(&recipe, |trainer| trainer.folder(folder.path()));
    let outcome = outcome.unwrap();
    assert_eq!(outcome.end, End::Early);
    // Running statistics still settle, so some epochs may be better than the first.
    assert_eq!(outcome.epochs, outcome.best.unwrap().epoch + 2);
    assert!(outcome.epochs < 50);
    assert_eq!(train_in(folder.path(), &recipe).unwrap(), outcome);
}

/// The file of the best model is that of the best epoch.
#[test]
fn the_best_model_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe { average: None, ..sgd() };
    let outcome = train_in(folder.path(), &recipe).unwrap();
    let mut best = model(77);
    checkpoint::load(&mut best, folder.path().join("best.safetensors")).unwrap();
    let (training, validation) = data();
    let validation = ksdsl_train::trainer::ValidationSet {
        data: &validation,
        scaling: Scaling::of(&training),
    };
    let evaluation = evaluate(&best, &validation, &Cpu::default()).unwrap();
    let expected = outcome.best.unwrap();
    assert_eq!((evaluation.top1, evaluation.loss), (expected.top1, expected.loss));
}

fn diverged(recipe: &Recipe, folder: &std::path::Path) -> Diverged {
    match train_in(folder, recipe) {
        Err(TrainError::Diverged(diverged)) => *diverged,
        other => panic!("{other:?}"),
    }
}

/// Elsewhere: <https://github.com/keras-team/keras/pull/6456>
#[test]
fn a_run_that_diverges_says_what_to_look_at() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe {
        rate: 1e30,
        clip: None,
        ..sgd()
    };
    let error = diverged(&recipe, folder.path());
    assert!(error.epoch == 1 && (2..6).contains(&error.step), "{error:?}");
    assert!(error.images_finite && error.gradient_norm.is_some(), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("training diverged: the loss became "), "{text}");
    assert!(
        text.contains(&format!("in epoch 1, step {}, at a learning rate of ", error.step)),
        "{text}"
    );
    assert!(
        text.contains("try a lower learning rate, a warm-up, or gradient clipping"),
        "{text}"
    );
    assert!(text.contains("the last finite checkpoint is `"), "{text}");
    let last = ksdsl_checkpoint::File::read(&folder.path().join("last.safetensors")).unwrap();
    for key in last.keys().filter(|key| key.starts_with("model.")) {
        let values = last
            .get(key)
            .unwrap()
            .data
            .as_chunks()
            .0
            .iter()
            .map(|it| f32::from_le_bytes(*it));
        assert!(values.into_iter().all(f32::is_finite), "{key}");
    }
}

/// The update itself breaks the model; a checkpoint is due before the next loss shows it.
///
/// Elsewhere: <https://github.com/Nerogar/OneTrainer/issues/1147>
#[test]
fn a_broken_model_is_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe {
        rate: 1e40,
        schedule: Schedule::Constant,
        clip: None,
        ..sgd()
    };
    let (_, outcome) = train(&recipe, |trainer| {
        trainer.checkpoint_every_steps(1).folder(folder.path())
    });
    let error = outcome.unwrap_err().to_string();
    assert!(
        error.starts_with("training diverged: the parameters became non-finite after a loss of 2."),
        "{error}"
    );
    assert!(error.contains("in epoch 1, step 1, at a learning rate of 1"), "{error}");
    assert!(error.contains("\nnon-finite tensors: `"), "{error}");
    let mut notes = Notes::default();
    train_with(&recipe, &mut notes, |trainer| trainer.resume(folder.path()))
        .1
        .unwrap_err();
    assert_eq!(notes.starts[0].0, 0);
}

/// What is done to a batch.
type Fault = fn(&mut HostBatch) -> Option<DataError>;

/// Batches one of which is not finite, or is missing, or is too short.
struct Broken<'d> {
    plain: Plain<'d>,
    at: usize,
    how: Fault,
}

impl Source for Broken<'_> {
    fn images(&self) -> usize {
        self.plain.images()
    }
    fn steps_per_epoch(&self) -> u64 {
        self.plain.steps_per_epoch()
    }
    fn epoch(&mut self, epoch: u32, from_step: u64) -> EpochBatches<'_> {
        let (at, how) = (self.at, self.how);
        let batches = (from_step as usize..).zip(self.plain.epoch(epoch, from_step));
        Box::new(batches.map(move |(step, batch)| {
            let mut batch = batch?;
            match (step == at).then(|| how(&mut batch)).flatten() {
                Some(error) => Err(error),
                None => Ok(batch),
            }
        }))
    }
    fn settings(&self) -> Vec<(String, String)> {
        self.plain.settings()
    }
}

fn broken(folder: &std::path::Path, how: Fault) -> TrainError {
    let (training, validation) = data();
    let scaling = Scaling::of(&training);
    let plain = Plain::new(&training, 16.try_into().unwrap(), &scaling, sgd().seed);
    let mut source = Broken { plain, at: 3, how };
    Trainer::new(sgd())
        .validation(&validation, &scaling)
        .folder(folder)
        .train(&mut model(sgd().seed), &mut source, &Cpu::default())
        .unwrap_err()
}

#[test]
fn images_that_are_not_finite_are_blamed() {
    let folder = tempfile::tempdir().unwrap();
    let error = broken(folder.path(), |batch| {
        batch.images[5] = f32::NAN;
        None
    });
    let TrainError::Diverged(error) = error else {
        panic!("{error}")
    };
    assert!(!error.images_finite);
    assert_eq!((error.epoch, error.step), (1, 4));
}

#[test]
fn a_source_that_fails_stops_the_run_with_a_checkpoint() {
    let cases: [(Fault, &str); 2] = [
        (|_| Some(DataError::Empty), "the file is empty"),
        (
            |batch| {
                batch.images.pop();
                None
            },
            "epoch 1, step 4: the batch has 1023 values and 160 targets for 16 images",
        ),
    ];
    for (how, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let error = broken(folder.path(), how).to_string();
        assert!(error.starts_with(expected), "{error}");
        let mut notes = Notes::default();
        train_with(&sgd(), &mut notes, |trainer| trainer.resume(folder.path()))
            .1
            .unwrap();
        assert_eq!(notes.starts[0].0, 3);
        assert_eq!(differences(&uninterrupted(&sgd()), &saved(folder.path())), [""; 0]);
    }
}

#[test]
fn recipes_that_make_no_sense_are_refused_by_name() {
    let cases = [
        (
            Recipe { epochs: 0, ..sgd() },
            "invalid recipe: `epochs` must be at least 1",
        ),
        (
            Recipe {
                rate: f64::NAN,
                ..sgd()
            },
            "invalid recipe: `rate` must be above 0",
        ),
        (
            Recipe {
                clip: Some(-1.0),
                ..sgd()
            },
            "invalid recipe: `clip` must be above 0",
        ),
        (
            Recipe {
                train_only: vec!["head".to_owned()],
                ..sgd()
            },
            "invalid recipe: `train_only` must be []: a generated model trains all of its parameters",
        ),
    ];
    for (recipe, expected) in cases {
        let error = train(&Recipe { batch: 16, ..recipe }, |it| it).1.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
