//! The results of finished runs, kept in a CSV file.

use crate::nets::Entry;
use ksdsl_train::Recipe;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A row of the file: a run and its result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    pub(crate) data: String,
    pub(crate) net: String,
    pub(crate) seed: u64,
    pub(crate) epochs: u32,
    pub(crate) batch: usize,
    pub(crate) rate: f64,
    pub(crate) depth: usize,
    pub(crate) shared_stages: usize,
    pub(crate) mapping: String,
    pub(crate) parameters: u64,
    pub(crate) unshared_parameters: u64,
    pub(crate) multiply_adds: u64,
    pub(crate) accuracy: f64,
    pub(crate) seconds: f64,
}

impl Run {
    pub(crate) fn new(data: &str, entry: &Entry, recipe: &Recipe, accuracy: f64, time: Duration) -> Self {
        Self {
            data: data.to_owned(),
            net: entry.costs.name.to_owned(),
            seed: recipe.seed,
            epochs: recipe.epochs,
            batch: recipe.batch,
            rate: recipe.rate,
            depth: entry.depth,
            shared_stages: entry.shared,
            mapping: entry.mapping.to_owned(),
            parameters: entry.costs.parameters,
            unshared_parameters: entry.costs.unshared_parameters,
            multiply_adds: entry.costs.multiply_adds,
            accuracy,
            seconds: time.as_secs_f64(),
        }
    }

    /// The first column with an impossible value.
    fn invalid_column(&self) -> Option<&'static str> {
        let within = |value: f64, most: f64| (0.0..=most).contains(&value);
        let columns = [
            ("rate", within(self.rate, f64::MAX)),
            ("parameters", self.parameters > 0),
            ("accuracy", within(self.accuracy, 1.0)),
            ("seconds", within(self.seconds, 1e12)),
        ];
        columns.into_iter().find(|(_, fits)| !fits).map(|(name, _)| name)
    }

    /// Whether this is the run of this network, data set and recipe.
    fn is(&self, data: &str, net: &str, recipe: &Recipe) -> bool {
        (self.data.as_str(), self.net.as_str()) == (data, net)
            && (self.seed, self.epochs, self.batch) == (recipe.seed, recipe.epochs, recipe.batch)
            && self.rate == recipe.rate
    }
}

/// The file of all runs. It is replaced atomically after each run.
pub(crate) struct Results {
    path: PathBuf,
    runs: Vec<Run>,
    /// Keeps other processes from replacing the file.
    _lock: File,
}

impl Results {
    /// Opens the results in a folder, which is created if it does not exist.
    pub(crate) fn open(folder: &Path) -> Result<Self, Box<dyn Error>> {
        fs::create_dir_all(folder).map_err(|error| format!("cannot create `{}`: {error}", folder.display()))?;
        let path = folder.join("results.csv");
        let lock = folder.join("results.lock");
        let held = ksdsl_files::lock(&lock).map_err(|error| format!("cannot lock `{}`: {error}", lock.display()))?;
        let held = held.ok_or_else(|| format!("another sweep is running in `{}`", folder.display()))?;
        // A device (through a link) has no results yet.
        let runs = if path.is_file() { read(&path)? } else { Vec::new() };
        Ok(Self {
            path,
            runs,
            _lock: held,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn find(&self, data: &str, net: &str, recipe: &Recipe) -> Option<&Run> {
        self.runs.iter().find(|run| run.is(data, net, recipe))
    }

    /// Adds a run and saves all.
    pub(crate) fn add(&mut self, run: Run) -> Result<(), Box<dyn Error>> {
        self.runs.push(run);
        let failed = |error: &dyn std::fmt::Display| format!("cannot write `{}`: {error}", self.path.display());
        let mut writer = csv::Writer::from_writer(Vec::new());
        for run in &self.runs {
            writer.serialize(run).map_err(|error| failed(&error))?;
        }
        let bytes = writer.into_inner().map_err(|error| failed(&error))?;
        ksdsl_files::write(&self.path, &bytes).map_err(|error| failed(&error))?;
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<Run>, Box<dyn Error>> {
    let failed = |error: &dyn std::fmt::Display| {
        format!(
            "`{}` is not a results file of a sweep: {error}; move it or choose another folder with --out",
            path.display()
        )
    };
    let bytes = ksdsl_files::read(path, ksdsl_files::TEXT_BYTES).map_err(|error| failed(&error))?;
    let rows = csv::Reader::from_reader(&bytes[..]).into_deserialize();
    let runs: Vec<Run> = rows.collect::<Result<_, _>>().map_err(|error| failed(&error))?;
    for (run, record) in runs.iter().zip(1..) {
        if let Some(column) = run.invalid_column() {
            return Err(failed(&format_args!("record {record}: invalid value of `{column}`")).into());
        }
    }
    Ok(runs)
}

/// A network with its means over the seeds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) depth: usize,
    pub(crate) shared: usize,
    pub(crate) mapping: String,
    pub(crate) parameters: u64,
    pub(crate) accuracy: f64,
    pub(crate) seconds: f64,
}

/// The means, in the order of the networks' first runs.
pub(crate) fn points(runs: &[&Run]) -> Vec<Point> {
    let mut nets: Vec<&str> = Vec::new();
    for run in runs {
        if !nets.contains(&run.net.as_str()) {
            nets.push(&run.net);
        }
    }
    nets.into_iter()
        .filter_map(|net| {
            let of_net: Vec<&Run> = runs.iter().copied().filter(|run| run.net == net).collect();
            let mean = |value: fn(&Run) -> f64| of_net.iter().map(|run| value(run)).sum::<f64>() / of_net.len() as f64;
            let first = of_net.first()?;
            Some(Point {
                depth: first.depth,
                shared: first.shared_stages,
                mapping: first.mapping.clone(),
                parameters: first.parameters,
                accuracy: mean(|run| run.accuracy),
                seconds: mean(|run| run.seconds),
            })
        })
        .collect()
}
