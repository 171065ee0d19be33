//! One training run.

use super::data::Data;
use crate::data::Loader;
use crate::interrupt::Stop;
use crate::recipe::Recipe;
use crate::record::Observer;
use crate::run::{Companion, Opening};
use crate::trainer::Trainer;
use ksdsl_engine::budget::MemoryBudget;
use std::path::PathBuf;
use std::sync::Arc;

/// One training run, on images or on a text.
pub struct Job<'j, D = Data> {
    /// What is trained on.
    pub data: &'j D,
    /// The recipe; its seed determines everything random.
    pub recipe: Recipe,
    /// The run folder and how to open it, if the run is saved.
    pub folder: Option<(PathBuf, Opening)>,
    /// Additional files of the program in that folder.
    pub companions: Vec<Companion>,
    /// Observers of the run.
    pub observers: Vec<&'j mut dyn Observer>,
    /// Stops the run.
    pub stop: Stop,
    /// The memory of a step, if that is limited.
    pub memory: Option<MemoryBudget>,
}

impl<'j, D> Job<'j, D> {
    /// A run that saves nothing.
    pub fn new(data: &'j D, recipe: Recipe) -> Self {
        Self {
            data,
            recipe,
            folder: None,
            companions: Vec::new(),
            observers: Vec::new(),
            stop: Stop::new(),
            memory: None,
        }
    }

    /// The trainer of the run, without a validation set.
    pub fn plain_trainer(self) -> Trainer<'j> {
        let trainer = Trainer::new(self.recipe).stop(self.stop);
        let trainer = self.memory.into_iter().fold(trainer, Trainer::memory);
        let trainer = match self.folder {
            Some((path, Opening::New)) => trainer.folder(path),
            Some((path, Opening::Resume)) => trainer.resume(path),
            Some((path, Opening::Either)) => trainer.start_or_resume(path),
            None => trainer,
        };
        let files = self.companions.into_iter();
        let trainer = files.fold(trainer, |trainer, file| trainer.companion(file.name, file.content));
        self.observers.into_iter().fold(trainer, Trainer::observer)
    }
}

impl<'j> Job<'j> {
    /// The batches of the run.
    pub fn source(&self) -> Loader {
        Loader::of(&self.recipe, Arc::clone(&self.data.training), &self.data.scaling)
    }

    /// The trainer of the run.
    pub fn trainer(self) -> Trainer<'j> {
        let data = self.data;
        self.plain_trainer()
            .validation(&data.validation, &data.scaling)
            .classes(data.validation.names())
    }
}
