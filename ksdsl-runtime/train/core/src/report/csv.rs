//! Logs as CSV files.

use super::file::{make_folder, named, replace};
use super::history::{EpochRow, History, StepRow, read_rows};
use super::rows::Row;
use crate::record::{Epoch, Observer, Start, Step};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Writes `steps.csv` and `epochs.csv` to a folder, with the columns of [`StepRow`] and [`EpochRow`]. Numbers are
/// written with enough digits to round-trip.
#[derive(Debug)]
pub struct CsvLog {
    folder: PathBuf,
    steps: Option<Table>,
    epochs: Option<Table>,
    /// The last epoch in the file.
    last: u32,
}

impl CsvLog {
    /// Logs to `folder`, which is created if it does not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            steps: None,
            epochs: None,
            last: 0,
        }
    }
}

impl Observer for CsvLog {
    fn start(&mut self, start: &Start<'_>) -> io::Result<()> {
        make_folder(&self.folder)?;
        let steps = self.folder.join(History::STEPS);
        let epochs = self.folder.join(History::EPOCHS);
        let (table, _) = Table::open(&steps, start.done, |row: &StepRow| row.step)?;
        self.steps = Some(table);
        let (table, kept) = Table::open(&epochs, start.done, |row: &EpochRow| row.steps)?;
        self.epochs = Some(table);
        self.last = kept.last().map_or(0, |row| row.epoch);
        Ok(())
    }

    fn step(&mut self, step: &Step) -> io::Result<()> {
        self.steps
            .as_mut()
            .map_or(Ok(()), |table| table.add(&StepRow::from(step)))
    }

    fn epoch(&mut self, epoch: &Epoch) -> io::Result<()> {
        // A run may resume from a checkpoint between the last step of an epoch and its evaluation.
        if epoch.number <= self.last {
            return Ok(());
        }
        self.last = epoch.number;
        self.epochs
            .as_mut()
            .map_or(Ok(()), |table| table.add(&EpochRow::from(epoch)))
    }

    fn flush(&mut self) -> io::Result<()> {
        [&mut self.steps, &mut self.epochs]
            .into_iter()
            .flatten()
            .try_for_each(Table::flush)
    }

    fn end(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// A CSV file to append to.
#[derive(Debug)]
struct Table {
    path: PathBuf,
    writer: ::csv::Writer<File>,
}

impl Table {
    /// Opens a file and drops its rows after step `done`; returns the rows kept.
    fn open<R>(path: &Path, done: u64, step: impl Fn(&R) -> u64) -> io::Result<(Self, Vec<R>)>
    where
        R: Serialize + DeserializeOwned + Row,
    {
        let mut rows: Vec<R> = if done > 0 { read_rows(path)? } else { Vec::new() };
        rows.retain(|row| step(row) <= done);
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        rows.iter()
            .try_for_each(|row| writer.serialize(row))
            .map_err(|error| named("write", path, error))?;
        let bytes = writer
            .into_inner()
            .map_err(|error| named("write", path, error.into_error()))?;
        replace(path, &bytes)?;
        let file = OpenOptions::new().append(true).open(path);
        let file = file.map_err(|error| named("open", path, error))?;
        let writer = ::csv::WriterBuilder::new()
            .has_headers(rows.is_empty())
            .from_writer(file);
        let path = path.to_owned();
        Ok((Self { path, writer }, rows))
    }

    fn add(&mut self, row: &impl Serialize) -> io::Result<()> {
        self.writer
            .serialize(row)
            .map_err(|error| named("write", &self.path, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self
            .writer
            .flush()
            .and_then(|()| ksdsl_files::sync(self.writer.get_ref()));
        flushed.map_err(|error| named("write", &self.path, error))
    }
}

#[cfg(test)]
#[path = "csv_tests.rs"]
pub(super) mod tests;
