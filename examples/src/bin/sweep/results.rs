//! The trainings that are done, kept in a file.

use crate::nets::Entry;
use ksdsl_train::Recipe;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A line of the file: a training and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    pub(crate) fn new<P>(data: &str, entry: &Entry<P>, recipe: &Recipe, accuracy: f64, time: Duration) -> Self {
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

    /// Whether this is the training of a network on these data by this recipe.
    fn is(&self, data: &str, net: &str, recipe: &Recipe) -> bool {
        (self.data.as_str(), self.net.as_str()) == (data, net)
            && (self.seed, self.epochs, self.batch) == (recipe.seed, recipe.epochs, recipe.batch)
            && self.rate == recipe.rate
    }
}

/// The file of all runs. It is replaced as a whole after each, so that it is never half-written.
pub(crate) struct Results {
    path: PathBuf,
    runs: Vec<Run>,
}

impl Results {
    /// Those of a folder, which is made if it is not there.
    pub(crate) fn open(folder: &Path) -> Result<Self, Box<dyn Error>> {
        fs::create_dir_all(folder).map_err(|error| format!("cannot make `{}`: {error}", folder.display()))?;
        let path = folder.join("results.csv");
        let runs = if path.exists() { read(&path)? } else { Vec::new() };
        Ok(Self { path, runs })
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
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut options = tempfile::Builder::new();
        // As of any new file; those for a while are their owner's alone.
        #[cfg(unix)]
        options.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = options.tempfile_in(folder).map_err(|error| failed(&error))?;
        file.write_all(&bytes).map_err(|error| failed(&error))?;
        file.as_file().sync_all().map_err(|error| failed(&error))?;
        file.persist(&self.path).map_err(|error| failed(&error))?;
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<Run>, Box<dyn Error>> {
    let failed = |error: csv::Error| {
        format!(
            "`{}` is not the result of a sweep: {error}; move it away or choose another folder with --out",
            path.display()
        )
    };
    let bytes = ksdsl_files::read(path, ksdsl_files::TEXT_BYTES).map_err(|error| failed(error.into()))?;
    Ok(csv::Reader::from_reader(&bytes[..])
        .deserialize()
        .collect::<Result<_, _>>()
        .map_err(failed)?)
}

/// A network with the means over its seeds.
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
