//! Trains the example networks, evaluates them, predicts with them and compares the runs.

mod choose;
mod compare;
mod data;
mod evaluate;
mod predict;
mod saved;
mod settings;
mod train;

use clap::{Parser, Subcommand};
use ksdsl_examples::output;
use std::error::Error;
use std::process::ExitCode;

/// Train, evaluate and compare the example networks, with and without shared kernels
#[derive(Parser)]
#[command(name = "nets", version)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(train::Options),
    Evaluate(evaluate::Options),
    Predict(predict::Options),
    Compare(compare::Options),
    Data(data::Options),
}

/// The result of a command.
type Done = Result<ExitCode, Box<dyn Error>>;

fn main() -> ExitCode {
    let options: Options = match output::options() {
        Ok(options) => options,
        Err(code) => return code,
    };
    let done = match options.command {
        Command::Train(options) => train::run(&options),
        Command::Evaluate(options) => evaluate::run(&options),
        Command::Predict(options) => predict::run(&options),
        Command::Compare(options) => compare::run(&options),
        Command::Data(options) => data::run(&options),
    };
    done.unwrap_or_else(|error| output::failed(&*error))
}
