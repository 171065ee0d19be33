//! Comparison of several runs.

use super::file::named;
use super::history::{EpochRow, History};
use super::measure::Measure;
use super::picture::{Picture, comparison};
use super::progress::time;
use super::table::{plain_table, right_aligned};
use crate::run::Description;
use comfy_table::Table;
use indicatif::HumanCount;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// A run: its network and its history.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its name: that of its folder.
    pub name: String,
    /// Network, size and seed.
    pub facts: Facts,
    /// Its logs.
    pub history: History,
}

/// The network, size and seed of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The network's name, with the values of parameters that its specification does not say.
    pub network: String,
    /// These values.
    pub settings: BTreeMap<String, String>,
    /// Its trainable parameters.
    pub parameters: u64,
    /// Its multiply-adds per image.
    pub multiply_adds: u64,
    /// The seed of the run.
    pub seed: u64,
}

impl Run {
    /// Reads a run folder.
    ///
    /// # Errors
    /// If it is not a run folder, or its logs cannot be read.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let description = Description::of(folder).map_err(io::Error::other)?;
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        let history = History {
            beginning: description.beginning.as_ref().map_or(0, |beginning| beginning.epochs),
            ..History::read(folder)?
        };
        Ok(Self {
            name: super::table::printable(&name.to_string_lossy()),
            facts: Facts {
                network: description.label(),
                settings: description.settings,
                parameters: description.parameters,
                multiply_adds: description.multiply_adds,
                seed: description.recipe.seed,
            },
            history,
        })
    }

    fn best(&self) -> Option<&EpochRow> {
        self.history.best()
    }

    fn last(&self) -> Option<&EpochRow> {
        self.history.last()
    }
}

/// Several runs. For runs with an averaged model, accuracies and losses are those of the average.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// The runs, in display order.
    pub runs: Vec<Run>,
}

/// A row of the comparison's CSV file.
#[derive(Serialize)]
struct Row<'r> {
    run: &'r str,
    network: &'r str,
    seed: u64,
    parameters: u64,
    multiply_adds: u64,
    epochs: u32,
    best_top1: Option<f64>,
    best_epoch: Option<u32>,
    last_top1: Option<f64>,
    seconds: f64,
    images_per_second: Option<f64>,
    data_wait_fraction: Option<f64>,
    best_loss: Option<f64>,
    last_loss: Option<f64>,
    last_bits_per_byte: Option<f64>,
}

impl Comparison {
    /// Reads run folders.
    ///
    /// # Errors
    /// If one of them is not a run folder.
    pub fn read<P: AsRef<Path>>(folders: impl IntoIterator<Item = P>) -> io::Result<Self> {
        let runs = folders.into_iter().map(|folder| Run::read(folder.as_ref()));
        Ok(Self {
            runs: runs.collect::<io::Result<_>>()?,
        })
    }

    /// A table with one row per run.
    pub fn table(&self) -> Table {
        let measure = self.measure();
        let mut table = plain_table([
            "run".to_owned(),
            "network".to_owned(),
            "parameters".to_owned(),
            "epochs".to_owned(),
            format!("best {}", measure.column()),
            format!("last {}", measure.column()),
            "time".to_owned(),
            format!("{}/s", measure.unit()),
        ]);
        for run in &self.runs {
            let history = &run.history;
            let best = history.best().map_or("–".to_owned(), |row| {
                format!("{} (epoch {})", measure.text(measure.value(row)), row.epoch)
            });
            table.add_row([
                run.name.clone(),
                run.facts.network.clone(),
                HumanCount(run.facts.parameters).to_string(),
                history.epochs.len().to_string(),
                best,
                measure.text(measure.last(run)),
                time(history.seconds()),
                speed(history.images_per_second()),
            ]);
        }
        right_aligned(table, 2)
    }

    /// What the runs are compared by.
    pub(super) fn measure(&self) -> Measure {
        Measure::of_all(&self.runs)
    }

    /// A table with one row per network: means over its runs, and the range of accuracies, or of losses if all are
    /// language models.
    pub fn networks(&self) -> Table {
        let (groups, measure) = (self.groups(), self.measure());
        let speeds = format!("{}/s", measure.unit());
        let several = groups.iter().any(|group| group.len() > 1);
        let columns = [
            "network",
            "runs",
            "parameters",
            "% of largest",
            measure.column(),
            "time",
            &speeds,
        ];
        let shown = |cells: [String; 7]| cells.into_iter().enumerate().filter(move |(i, _)| several || *i != 1);
        let mut table = plain_table(shown(columns.map(str::to_owned)).map(|(_, cell)| cell));
        let most = self
            .runs
            .iter()
            .map(|run| run.facts.parameters)
            .max()
            .unwrap_or(1)
            .max(1);
        for group in groups {
            let facts = &group[0].facts;
            let values: Vec<f64> = group.iter().filter_map(|run| measure.last(run)).collect();
            let cells = [
                facts.network.clone(),
                group.len().to_string(),
                HumanCount(facts.parameters).to_string(),
                format!("{:.1} %", 100.0 * facts.parameters as f64 / most as f64),
                measure.mean_and_range(&values),
                time(mean(group.iter().map(|run| run.history.seconds())).unwrap_or(0.0)),
                speed(mean(group.iter().filter_map(|run| run.history.images_per_second()))),
            ];
            table.add_row(shown(cells).map(|(_, cell)| cell).collect::<Vec<_>>());
        }
        right_aligned(table, 1)
    }

    /// The runs of each network, in the order of the networks' first runs.
    pub fn groups(&self) -> Vec<Vec<&Run>> {
        let mut groups: Vec<Vec<&Run>> = Vec::new();
        for run in &self.runs {
            match groups
                .iter_mut()
                .find(|group| group[0].facts.network == run.facts.network)
            {
                Some(group) => group.push(run),
                None => groups.push(vec![run]),
            }
        }
        groups
    }

    /// The comparison as CSV with a header and one row per run.
    ///
    /// # Errors
    /// If serialisation fails; no cause is known.
    pub fn csv(&self) -> io::Result<Vec<u8>> {
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        for run in &self.runs {
            let history = &run.history;
            writer.serialize(Row {
                run: &run.name,
                network: &run.facts.network,
                seed: run.facts.seed,
                parameters: run.facts.parameters,
                multiply_adds: run.facts.multiply_adds,
                epochs: history.epochs.last().map_or(0, |row| row.epoch),
                best_top1: run.best().and_then(EpochRow::accuracy),
                best_epoch: history.best().map(|row| row.epoch),
                last_top1: run.last().and_then(EpochRow::accuracy),
                seconds: history.seconds(),
                images_per_second: history.images_per_second(),
                data_wait_fraction: history.data_wait_fraction(),
                best_loss: run.best().and_then(EpochRow::loss),
                last_loss: run.last().and_then(EpochRow::loss),
                last_bits_per_byte: run.last().and_then(EpochRow::bits_per_byte),
            })?;
        }
        writer.into_inner().map_err(|error| error.into_error())
    }

    /// Plots accuracy (of language models, loss) against epochs and against parameters.
    ///
    /// # Errors
    /// If it cannot be drawn.
    pub fn picture(&self) -> io::Result<Picture> {
        comparison(self)
    }

    /// Writes `comparison.csv`, `.svg` and, with the feature `pictures`, `.png` to a folder, which is created if it does
    /// not exist.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, folder: &Path) -> io::Result<()> {
        super::file::make_folder(folder)?;
        let path = folder.join("comparison.csv");
        let csv = self.csv().map_err(|error| named("write", &path, error))?;
        super::file::replace(&path, &csv)?;
        let picture = self.picture()?;
        picture.save_all(folder, "comparison")
    }
}

fn speed(images_per_second: Option<f64>) -> String {
    images_per_second.map_or("–".to_owned(), |speed| HumanCount(speed.round() as u64).to_string())
}

pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
