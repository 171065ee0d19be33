//! What observers write of a run that was stopped is what they write of one that was not.

use crate::support::{data, model, sgd};
use ksdsl_runtime::prelude::*;
use ksdsl_train::Trainer;
use ksdsl_train::data::Scaling;
use ksdsl_train::interrupt::Stop;
use ksdsl_train::record::{Observer, Step};
use ksdsl_train::report::{Comparison, CsvLog, History, Pictures, TensorBoard};
use ksdsl_train::source::Plain;
use std::io;
use std::path::Path;

/// Wishes a stop after a step.
struct StopAfter(u64, Stop);

impl Observer for StopAfter {
    fn step(&mut self, step: &Step) -> io::Result<()> {
        if step.number == self.0 {
            self.1.stop();
        }
        Ok(())
    }
}

/// Trains in a folder until a step, with all observers; what they wrote, without times.
fn history(folder: &Path, until: u64) -> History {
    let (recipe, (training, validation)) = (sgd(), data());
    let scaling = Scaling::of(&training);
    let mut source = Plain::new(&training, recipe.batch.try_into().unwrap(), &scaling, recipe.seed);
    let stop = Stop::new();
    let mut last = StopAfter(until, stop.clone());
    let mut log = CsvLog::new(folder);
    let mut board = TensorBoard::new(folder.join("tensorboard"));
    let mut pictures = Pictures::new(folder);
    let trainer = Trainer::new(recipe.clone())
        .validation(&validation, &scaling)
        .stop(stop)
        .start_or_resume(folder)
        .observer(&mut last)
        .observer(&mut log)
        .observer(&mut board)
        .observer(&mut pictures);
    trainer
        .train(&mut model(recipe.seed), &mut source, &Cpu::default())
        .unwrap();
    let mut history = History::read(folder).unwrap();
    for step in &mut history.steps {
        (step.seconds, step.data_wait_seconds) = (0.0, 0.0);
    }
    for epoch in &mut history.epochs {
        (epoch.seconds, epoch.data_wait_seconds) = (0.0, 0.0);
        epoch.processor_seconds = None;
    }
    history
}

#[test]
fn records_of_a_stopped_run_are_those_of_a_whole_one() {
    let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let expected = history(whole.path(), u64::MAX);
    assert_eq!((expected.steps.len(), expected.epochs.len()), (18, 3));
    // In an epoch, after its last step, and a step later.
    for until in [4, 6, 7, 17] {
        history(parts.path(), until);
    }
    assert_eq!(history(parts.path(), u64::MAX), expected);
    let comparison = Comparison::read([whole.path(), parts.path()]).unwrap();
    let accuracies: Vec<_> = comparison
        .runs
        .iter()
        .map(|run| run.history.last().unwrap().accuracy())
        .collect();
    assert!(accuracies[0].is_some() && accuracies[0] == accuracies[1]);
    assert_eq!(comparison.groups().len(), 1);
    for name in ["curves.svg", "curves.png", "confusion.svg", "confusion.png"] {
        assert!(parts.path().join(name).exists(), "{name}");
    }
}
