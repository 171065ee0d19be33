//! `sweep`: trains a network with many values of its parameters.

use super::output::print;
use super::run_options::RunOptions;
use super::train::{Plan, stopped};
use super::{Done, Program};
use crate::report::Sweep;
use clap::Args;
use std::process::ExitCode;

/// The options of `sweep`, besides those that choose networks.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    runs: RunOptions,
}

/// Trains the networks of the program, which differ in these parameters; runs that have finished are not repeated, and
/// interrupted ones resume.
///
/// # Errors
/// If the data does not fit, training fails, or a file cannot be written.
pub fn run(program: &dyn Program, options: &Options, names: &[String]) -> Done {
    let plan = Plan::new(program, &options.runs, true)?;
    let runs = match plan.all() {
        Ok(runs) => runs,
        Err(error) => return stopped(&plan.stop, error),
    };
    if let Some(code) = plan.stop.exit_code() {
        return Ok(ExitCode::from(code));
    }
    let sweep = Sweep::read(names, runs.iter().map(|(folder, _)| folder))?;
    sweep.save(&options.runs.out)?;
    print(sweep.table())?;
    let [table, picture] = ["sweep.csv", "sweep.svg"].map(|name| options.runs.out.join(name));
    print(format_args!("{} and {}", table.display(), picture.display()))?;
    Ok(ExitCode::SUCCESS)
}
