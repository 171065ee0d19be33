//! Trains one family of networks under many sharing patterns (stages that share x depth x mapping) and writes
//! parameters and accuracy of each as a table and a plot.

mod nets;
mod plot;
mod results;

use clap::Parser;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
#[cfg(feature = "cifar")]
use ksdsl_examples::data::Data;
use ksdsl_examples::options::{count, rate};
use ksdsl_examples::output::{self, note, print};
use ksdsl_train::Recipe;
use ksdsl_train::data::Digits;
#[cfg(feature = "cifar")]
use ksdsl_train::data::{Cifar10, Cifar100};
use nets::{Entry, Parts};
use results::{Point, Results, Run, points};
use std::error::Error;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;

/// Sweep over sharing patterns, by default on the digits (CIFAR needs the feature `cifar`).
///
/// OUT/results.csv gets one row per run. Runs that it already contains are skipped, so an interrupted sweep resumes
/// where it stopped. At the end OUT/results.svg plots accuracy against parameters.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Output folder
    #[arg(long, value_name = "OUT", default_value = "sweep")]
    out: PathBuf,
    /// Number of epochs
    #[arg(long, default_value = "10", value_parser = count)]
    epochs: NonZeroU32,
    /// Batch size
    #[arg(long, default_value = "64", value_parser = count)]
    batch: NonZeroU32,
    /// Peak learning rate of the one-cycle schedule
    #[arg(long, default_value = "0.1", value_parser = rate)]
    lr: f64,
    /// Number of seeds to train each network with, counting up from 0
    #[arg(long, default_value = "1", value_parser = count)]
    seeds: NonZeroU32,
    /// Use CIFAR-10: its binary archive, or the folder it unpacks to
    #[cfg(feature = "cifar")]
    #[arg(long, value_name = "PATH", conflicts_with = "cifar100")]
    cifar10: Option<PathBuf>,
    /// Use CIFAR-100, likewise
    #[cfg(feature = "cifar")]
    #[arg(long, value_name = "PATH")]
    cifar100: Option<PathBuf>,
}

fn main() -> ExitCode {
    match output::options().map(|options| run(&options)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => output::failed(&*error),
        Err(code) => code,
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    #[cfg(feature = "cifar")]
    if let Some(path) = &options.cifar10 {
        let parts = Parts::Given(Data::new(Cifar10::open(path)?));
        return sweep("cifar10", &parts, &nets::cifar10(), options);
    } else if let Some(path) = &options.cifar100 {
        let parts = Parts::Given(Data::new(Cifar100::open(path)?));
        return sweep("cifar100", &parts, &nets::cifar100(), options);
    }
    sweep("digits", &Parts::Split(Digits::embedded()), &nets::digits(), options)
}

/// Trains the networks that are missing from the results, then shows all results.
fn sweep(data: &'static str, parts: &Parts, entries: &[Entry], options: &Options) -> Result<(), Box<dyn Error>> {
    let mut results = Results::open(&options.out)?;
    // SGD with the one-cycle schedule; models are evaluated only at the end.
    let recipe = |seed: u32| Recipe {
        epochs: options.epochs.get(),
        batch: options.batch.get() as usize,
        rate: options.lr,
        seed: seed.into(),
        evaluate_every: options.epochs.get(),
        ..Recipe::default()
    };
    let all: Vec<(&Entry, Recipe)> = (0..options.seeds.get())
        .flat_map(|seed| entries.iter().map(move |entry| (entry, recipe(seed))))
        .collect();
    let missing = all
        .iter()
        .filter(|(entry, recipe)| results.find(data, entry.costs.name, recipe).is_none());
    let missing: Vec<_> = missing.collect();
    let bar = progress_bar(missing.len());
    if missing.len() < all.len() {
        let (done, path) = (all.len() - missing.len(), results.path().display());
        note(format_args!(
            "skipping {done} of {} runs, which are already in {path}",
            all.len()
        ));
    }
    for (entry, recipe) in missing {
        let training = format!("{}, seed {}", entry.costs.name, recipe.seed);
        bar.set_message(training.clone());
        bar.tick();
        let outcome = (entry.train)(parts, recipe);
        let (accuracy, time) = outcome.map_err(|error| format!("{training}: {error}"))?;
        results.add(Run::new(data, entry, recipe, accuracy, time))?;
        if bar.is_hidden() {
            let seconds = time.as_secs_f64();
            note(format_args!(
                "{training}: validation accuracy {:.2} %, {seconds:.1} s",
                100.0 * accuracy
            ));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let runs: Vec<&Run> = all
        .iter()
        .filter_map(|(entry, recipe)| results.find(data, entry.costs.name, recipe))
        .collect();
    let points = points(&runs);
    let picture = options.out.join("results.svg");
    plot::draw(&picture, data, &points)?;
    print(table(&points))?;
    print(format_args!("{} and {}", results.path().display(), picture.display()))
}

/// A progress bar on standard error; hidden if that is not a terminal.
fn progress_bar(trainings: usize) -> ProgressBar {
    let template = "{bar:30} {pos}/{len} runs, {eta} left: {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(trainings as u64).with_style(style)
}

fn table(points: &[Point]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "depth",
        "stages that share",
        "kernels",
        "parameters",
        "accuracy",
        "seconds",
    ]);
    table.add_rows(points.iter().map(|point| {
        let stages = ["none", "s3", "s2 s3", "s1 s2 s3"];
        [
            point.depth.to_string(),
            stages.get(point.shared).copied().unwrap_or_default().to_owned(),
            point.mapping.clone(),
            HumanCount(point.parameters).to_string(),
            format!("{:.2} %", 100.0 * point.accuracy),
            format!("{:.1}", point.seconds),
        ]
    }));
    for column in [3, 4, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
