//! Trains the example networks, evaluates them, predicts with them and compares the runs: the commands of `ksn`, with
//! compiled networks.

mod data;
mod program;

use clap::{Args, Parser, Subcommand};
use ksdsl_examples::output;
use ksdsl_train_core::program::{compare, evaluate, predict, train};
use program::Nets;
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
    /// Train networks (by default the digits network, unshared and shared)
    ///
    /// Each run writes its models, logs and plots to its own folder. On Ctrl-C, SIGTERM or SIGHUP the run writes a
    /// checkpoint after the current step and stops.
    Train(Train),
    Evaluate(evaluate::Options),
    Predict(predict::Options),
    Compare(compare::Options),
    Data(data::Options),
}

/// The networks to train, and how.
#[derive(Args)]
struct Train {
    /// Networks to train, separated by commas: a name, or a family for its unshared and its shared network [default:
    /// the first family for the data set]
    #[arg(long, value_name = "NET", value_delimiter = ',')]
    net: Vec<String>,
    #[command(flatten)]
    options: train::Options,
}

fn main() -> ExitCode {
    let options: Options = match output::options() {
        Ok(options) => options,
        Err(code) => return code,
    };
    let all = Nets::default();
    let done = match options.command {
        Command::Train(Train { net, options }) => {
            let chosen = !net.is_empty();
            train::run(&Nets { net }, &options, chosen)
        }
        Command::Evaluate(options) => evaluate::run(&all, &options),
        Command::Predict(options) => predict::run(&all, &options),
        Command::Compare(options) => compare::run(&options),
        Command::Data(options) => data::run(&options),
    };
    done.unwrap_or_else(|error| output::failed(&*error))
}
