//! Plots of a run in progress.

use super::{Picture, confusion, curves};
use crate::metrics::Evaluation;
use crate::record::{Epoch, Observer, Start, Step};
use crate::report::file::make_folder;
use crate::report::history::{EpochRow, History, StepRow};
use std::io;
use std::path::PathBuf;

/// Plots the run's curves and the confusion matrix of its last evaluation (of the averaged model if there is one):
/// `curves.svg` after every epoch, the rest at the end.
///
/// A resumed run reads its earlier logs from the CSV files in the same folder.
#[derive(Debug)]
pub struct Pictures {
    folder: PathBuf,
    network: String,
    title: String,
    classes: Vec<String>,
    history: History,
    last: Option<Evaluation>,
}

impl Pictures {
    /// Saves plots to `folder`, which is created if it does not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            network: String::new(),
            title: String::new(),
            classes: Vec::new(),
            history: History::default(),
            last: None,
        }
    }

    fn save(&self, picture: &Picture, name: &str, png: bool) -> io::Result<()> {
        match png {
            true => picture.save_all(&self.folder, name),
            false => picture.save(&self.folder.join(format!("{name}.svg"))),
        }
    }
}

impl Observer for Pictures {
    fn start(&mut self, start: &Start<'_>) -> io::Result<()> {
        make_folder(&self.folder)?;
        self.network = start.network.to_owned();
        self.title = format!(
            "{}, {} parameters",
            start.network,
            indicatif::HumanCount(start.parameters)
        );
        self.classes = start.classes.to_vec();
        if start.done > 0 {
            self.history = History::read(&self.folder)?.up_to(start.done);
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> io::Result<()> {
        self.history.steps.push(StepRow::from(step));
        Ok(())
    }

    fn epoch(&mut self, epoch: &Epoch) -> io::Result<()> {
        let known = self.history.epochs.last().map_or(0, |row| row.epoch);
        if epoch.number > known {
            self.history.epochs.push(EpochRow::from(epoch));
        }
        let last = epoch.averaged.as_ref().or(epoch.evaluation.as_ref());
        self.last = last.cloned().or(self.last.take());
        self.save(&curves(&self.title, &self.history)?, "curves", false)
    }

    fn end(&mut self) -> io::Result<()> {
        self.save(&curves(&self.title, &self.history)?, "curves", true)?;
        let Some(evaluation) = self.last.as_ref().filter(|last| !last.is_of_text()) else {
            return Ok(());
        };
        let title = format!("Confusion matrix of {}", self.network);
        self.save(&confusion(&title, &self.classes, evaluation)?, "confusion", true)
    }
}
