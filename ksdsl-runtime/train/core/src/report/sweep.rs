//! The runs of a sweep over the parameters of a network.

use super::compare::{Run, mean};
use super::file::{make_folder, replace};
use super::measure::Measure;
use super::picture;
use super::progress::time;
use super::table::{plain_table, right_aligned};
use comfy_table::Table;
use indicatif::HumanCount;
use std::io;
use std::path::Path;

/// What distinguishes the networks of a study: their labels.
pub const NETWORK: &str = "network";

/// The runs of a sweep, by network.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The names of the parameters that vary.
    pub names: Vec<String>,
    /// The networks, in the order of their first runs.
    pub points: Vec<Point>,
}

/// A network of a sweep.
#[derive(Clone, Debug)]
pub struct Point {
    /// Its values of the parameters that vary.
    pub values: Vec<String>,
    /// Its trainable parameters.
    pub parameters: u64,
    /// Its runs, with different seeds.
    pub runs: Vec<Run>,
}

impl Point {
    fn values(&self, measure: Measure) -> Vec<f64> {
        self.runs.iter().filter_map(|run| measure.last(run)).collect()
    }

    /// The mean of the final validation accuracies, 0 to 1.
    pub fn accuracy(&self) -> Option<f64> {
        self.mean(Measure::Accuracy)
    }

    /// The mean of the final values of what runs are judged by.
    pub(super) fn mean(&self, measure: Measure) -> Option<f64> {
        mean(self.values(measure).into_iter())
    }

    /// The least and the greatest of them as charts show them; NaN if there are none.
    pub(super) fn range(&self, measure: Measure) -> (f64, f64) {
        let values = || self.values(measure).into_iter().map(|value| measure.scaled(value));
        (values().fold(f64::NAN, f64::min), values().fold(f64::NAN, f64::max))
    }
}

impl Sweep {
    /// Whether its networks are told apart by labels.
    pub(super) fn is_study(&self) -> bool {
        self.names.first().is_some_and(|name| name == NETWORK)
    }

    /// The legend of networks with this value of the first parameter.
    pub(super) fn series_name(&self, value: &str) -> Option<String> {
        match self.names.first()?.as_str() {
            NETWORK => Some(value.to_owned()),
            name => Some(format!("{name} = {value}")),
        }
    }

    /// The runs in these folders, whose networks have these parameters.
    ///
    /// # Errors
    /// If one of them is not a run folder.
    pub fn read<P: AsRef<Path>>(names: &[String], folders: impl IntoIterator<Item = P>) -> io::Result<Self> {
        let with_values = |folder: P| {
            let run = Run::read(folder.as_ref())?;
            let value = |name| run.facts.settings.get(name).cloned().unwrap_or_default();
            Ok((names.iter().map(value).collect(), run))
        };
        let runs = folders.into_iter().map(with_values).collect::<io::Result<Vec<_>>>()?;
        Ok(Self::grouped(names, runs))
    }

    /// The runs in these folders, with the values that distinguish their networks.
    ///
    /// # Errors
    /// If one of them is not a run folder.
    pub fn of<P: AsRef<Path>>(names: &[String], runs: impl IntoIterator<Item = (Vec<String>, P)>) -> io::Result<Self> {
        let read = |(values, folder): (Vec<String>, P)| Ok((values, Run::read(folder.as_ref())?));
        let runs = runs.into_iter().map(read).collect::<io::Result<Vec<_>>>()?;
        Ok(Self::grouped(names, runs))
    }

    fn grouped(names: &[String], runs: Vec<(Vec<String>, Run)>) -> Self {
        let mut points: Vec<Point> = Vec::new();
        for (values, run) in runs {
            match points.iter_mut().find(|point| point.values == values) {
                Some(point) => point.runs.push(run),
                None => points.push(Point {
                    values,
                    parameters: run.facts.parameters,
                    runs: vec![run],
                }),
            }
        }
        Self {
            names: names.to_vec(),
            points,
        }
    }

    /// What the runs are compared by.
    pub(super) fn measure(&self) -> Measure {
        Measure::of_all(self.points.iter().flat_map(|point| &point.runs))
    }

    /// A table with one numbered row per network: means over its runs, and the range of accuracies, or of losses if all
    /// are language models.
    pub fn table(&self) -> Table {
        let measure = self.measure();
        let names = self.names.iter().map(String::as_str);
        let head = ["#"]
            .into_iter()
            .chain(names)
            .chain(["parameters", measure.column(), "training loss", "time"]);
        let mut table = plain_table(head);
        for (point, row) in self.points.iter().zip(1..) {
            let seconds = mean(point.runs.iter().map(|run| run.history.seconds()));
            let training = mean(
                point
                    .runs
                    .iter()
                    .filter_map(|run| Some(run.history.last()?.training_loss)),
            );
            let cells = [
                HumanCount(point.parameters).to_string(),
                measure.mean_and_range(&point.values(measure)),
                Measure::Loss.text(training),
                time(seconds.unwrap_or(0.0)),
            ];
            let row = [row.to_string()].into_iter().chain(point.values.iter().cloned());
            table.add_row(row.chain(cells).collect::<Vec<String>>());
        }
        right_aligned(table, 1 + self.names.len())
    }

    /// The sweep as CSV with a header and one row per run.
    ///
    /// # Errors
    /// If serialisation fails; no cause is known.
    pub fn csv(&self) -> io::Result<Vec<u8>> {
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        let names = self.names.iter().map(String::as_str);
        writer.write_record(names.chain([
            "run",
            "seed",
            "parameters",
            "multiply_adds",
            "last_top1",
            "seconds",
            "last_loss",
            "last_training_loss",
        ]))?;
        for point in &self.points {
            for run in &point.runs {
                let last = |measure: Measure| measure.last(run).map_or_else(String::new, |value| value.to_string());
                let training = run.history.last().map(|row| row.training_loss);
                let cells = [
                    run.name.clone(),
                    run.facts.seed.to_string(),
                    run.facts.parameters.to_string(),
                    run.facts.multiply_adds.to_string(),
                    last(Measure::Accuracy),
                    run.history.seconds().to_string(),
                    last(Measure::Loss),
                    training.map_or_else(String::new, |loss| loss.to_string()),
                ];
                writer.write_record(point.values.iter().cloned().chain(cells))?;
            }
        }
        writer.into_inner().map_err(|error| error.into_error())
    }

    /// Writes `sweep.csv`, `.svg` and, with the feature `pictures`, `.png` to a folder, which is created if it does not
    /// exist.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, folder: &Path) -> io::Result<()> {
        make_folder(folder)?;
        replace(&folder.join("sweep.csv"), &self.csv()?)?;
        picture::sweep(self)?.save_all(folder, "sweep")
    }
}
