//! Runs that are stopped and resumed within this process, at every step.

use crate::support::{adam, differences, model, saved, sgd, train, train_in, train_with, uninterrupted};
use ksdsl_runtime::cpu::with_threads;
use ksdsl_runtime::prelude::*;
use ksdsl_train::Recipe;
use ksdsl_train::interrupt::Stop;
use ksdsl_train::record::{Observer, Step};
use ksdsl_train::trainer::End;
use std::io;
use std::num::NonZeroUsize;

/// Wishes a stop after a step.
struct StopAfter {
    step: u64,
    stop: Stop,
}

impl Observer for StopAfter {
    fn step(&mut self, step: &Step) -> io::Result<()> {
        if step.number == self.step {
            self.stop.stop();
        }
        Ok(())
    }
}

/// Stops after every step in turn, resuming in between, and a run that is stopped after each step.
fn can_be_stopped_anywhere(recipe: &Recipe) {
    let expected = uninterrupted(recipe);
    let every = tempfile::tempdir().unwrap();
    for step in 1..=18 {
        let once = tempfile::tempdir().unwrap();
        for folder in [once.path(), every.path()] {
            let stop = Stop::new();
            let mut observer = StopAfter {
                step,
                stop: stop.clone(),
            };
            let (_, outcome) = train_with(recipe, &mut observer, |trainer| {
                trainer.stop(stop).start_or_resume(folder)
            });
            let outcome = outcome.unwrap();
            assert_eq!((outcome.end, outcome.steps), (End::Interrupted, step));
        }
        train_in(once.path(), recipe).unwrap();
        assert_eq!(differences(&expected, &saved(once.path())), [""; 0], "step {step}");
    }
    assert_eq!(train_in(every.path(), recipe).unwrap().end, End::Finished);
    assert_eq!(differences(&expected, &saved(every.path())), [""; 0]);
}

/// Elsewhere: <https://github.com/pytorch/pytorch/issues/35047>
#[test]
fn runs_by_descent_can_be_stopped_after_any_step() {
    can_be_stopped_anywhere(&sgd());
}

/// Elsewhere: <https://github.com/OpenNMT/OpenNMT-py/issues/617>
#[test]
fn runs_by_adam_can_be_stopped_after_any_step() {
    can_be_stopped_anywhere(&adam());
}

/// A run that ended is there to be looked at: resuming it trains no more.
#[test]
fn a_run_that_ended_is_resumed_to_its_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let first = train_in(folder.path(), &sgd()).unwrap();
    let before = saved(folder.path());
    let (again, second) = train(&sgd(), |trainer| trainer.resume(folder.path()));
    assert_eq!(second.unwrap(), first);
    assert_eq!(differences(&before, &saved(folder.path())), [""; 0]);
    let mut loaded = model(99);
    checkpoint::load(&mut loaded, folder.path().join("model.safetensors")).unwrap();
    assert_eq!(weights(&loaded), weights(&again));
}

fn weights(model: &crate::support::Tiny) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    checkpoint::save(model, &path).unwrap();
    std::fs::read(path).unwrap()
}

/// Elsewhere: <https://github.com/pytorch/pytorch/issues/2201>, <https://github.com/pytorch/pytorch/issues/88718>
#[test]
fn the_number_of_threads_does_not_matter() {
    for recipe in [sgd(), adam()] {
        let [one, three] = [1, 3].map(|threads| {
            with_threads(NonZeroUsize::new(threads).unwrap(), || {
                weights(&train(&recipe, |it| it).0)
            })
        });
        assert!(one == three);
    }
}

/// The seed decides on all, and dropout is among it.
#[test]
fn other_seeds_give_other_runs() {
    let base = weights(&train(&sgd(), |it| it).0);
    assert!(base == weights(&train(&sgd(), |it| it).0));
    assert!(base != weights(&train(&Recipe { seed: 6, ..sgd() }, |it| it).0));
}
