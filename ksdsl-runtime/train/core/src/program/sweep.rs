//! `sweep`: trains many networks and compares them: one network with many values of its parameters, or a study.

use super::choose::plain;
use super::data::Kind;
use super::output::print;
use super::run_options::{Changes, RunOptions};
use super::runs::{Trained, all};
use super::train::{Plan, stopped};
use super::{Done, Program, Tried};
use crate::interrupt::Stop;
use crate::report::{NETWORK, Sweep};
use crate::text::Choice;
use clap::Args;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The options of `sweep`, besides those that choose networks.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    runs: RunOptions,
}

impl Options {
    /// Whether they say what to train, as a study does.
    pub fn describes_a_run(&self) -> bool {
        self.runs.describes_a_run()
    }

    /// The folder of all run folders.
    pub fn out(&self) -> &Path {
        &self.runs.out
    }

    /// The same for a part of a study, with its own settings.
    #[must_use]
    pub fn of(&self, training: Training, out: PathBuf) -> Self {
        let runs = RunOptions {
            data: training.data,
            tokens: training.tokens,
            images: training.images,
            seed: training.seed,
            seeds: training.seeds,
            recipe: training.recipe,
            changes: Some(training.changes),
            out,
            ..self.runs.clone()
        };
        Self { runs }
    }
}

/// What a study says of the training of a network.
#[derive(Default)]
pub struct Training {
    /// The data set.
    pub data: Option<Kind>,
    /// The vocabulary of a text.
    pub tokens: Option<Choice>,
    /// How many training images.
    pub images: Option<NonZeroU32>,
    /// The first seed.
    pub seed: Option<u64>,
    /// How many seeds.
    pub seeds: Option<NonZeroU32>,
    /// The name or file of the recipe.
    pub recipe: Option<String>,
    /// What is changed in it.
    pub changes: Changes,
}

/// Trains the networks of the program, which differ in these parameters; runs that have finished are not repeated, and
/// interrupted ones resume.
///
/// # Errors
/// If the data does not fit, training fails, or a file cannot be written.
pub fn run(program: &dyn Program, options: &Options, names: &[String]) -> Done {
    let stop = Stop::on_signals(options.runs.warning())?;
    let plan = Plan::new((program, None), &options.runs, true, stop.clone())?;
    let report = |runs: &[Trained]| Ok(Sweep::read(names, runs.iter().map(|run| &run.folder))?);
    of_plans(&[plan], (&options.runs.out, &stop), &report)
}

/// The beginning of the names of the run folders of a network of a study: its label with other characters than letters, digits
/// and `-._` replaced. Those of a study must differ.
pub fn folder_of(label: &str) -> String {
    plain(label)
}

/// A network of a study, with what its runs are called.
pub struct Part<'p> {
    /// Its label.
    pub label: String,
    /// The network.
    pub program: &'p dyn Program,
    /// How it is trained.
    pub options: Options,
}

/// Trains the networks of a study, in the order of the list, first all with their first seed; the folder of all is that of
/// their options. As with [`run`], the same study again trains what is missing.
///
/// # Errors
/// As [`run`]; also if there is no network.
pub fn study(parts: &[Part<'_>]) -> Done {
    let Some(Part { options, .. }) = parts.first() else {
        return Err("no network to train".into());
    };
    let stop = Stop::on_signals(options.runs.warning())?;
    let mut plans = Vec::new();
    for Part {
        label,
        program,
        options,
    } in parts
    {
        let plan = Plan::new((*program, Some(label.as_str())), &options.runs, true, stop.clone());
        plans.push(plan.map_err(|error| format!("`{label}`: {error}"))?);
    }
    let named = |run: &Trained| (vec![run.label.clone().unwrap_or_default()], run.folder.clone());
    let report = |runs: &[Trained]| Ok(Sweep::of(&[NETWORK.to_owned()], runs.iter().map(named))?);
    of_plans(&plans, (&options.runs.out, &stop), &report)
}

/// Reports after each run, so that an interrupted sweep has a report, too.
fn of_plans(plans: &[Plan<'_>], (out, stop): (&Path, &Stop), report: &dyn Fn(&[Trained]) -> Tried<Sweep>) -> Done {
    let runs = match all(plans, &mut |runs| Ok(report(runs)?.save(out)?)) {
        Ok(runs) => runs,
        Err(error) => return stopped(stop, error),
    };
    if let Some(code) = stop.exit_code() {
        return Ok(ExitCode::from(code));
    }
    print(report(&runs)?.table())?;
    let [table, picture] = ["sweep.csv", "sweep.svg"].map(|name| out.join(name));
    print(format_args!("{} and {}", table.display(), picture.display()))?;
    Ok(ExitCode::SUCCESS)
}
