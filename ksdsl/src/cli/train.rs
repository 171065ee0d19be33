//! `ksn train FILE`

use super::Choice;
use super::begin::BeginOptions;
use super::output::Terminal;
use super::specs::{Outset, Specs, Usage, finish};
use super::start::StartOptions;
use ksdsl_train_core::program::{Done, train};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The arguments of `ksn train`.
#[derive(clap::Args)]
pub(super) struct Train {
    /// The specification file; none to resume a run with `--resume RUN`
    file: Option<PathBuf>,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    begin: BeginOptions,
    #[command(flatten)]
    start: StartOptions,
    #[command(flatten)]
    options: train::Options,
}

impl Train {
    /// Trains the chosen network, or the only one.
    pub(super) fn run(&self, terminal: &Terminal) -> ExitCode {
        finish(self.done(terminal), terminal)
    }

    fn done(&self, terminal: &Terminal) -> Done {
        let chosen = self.file.is_some() || self.choice.net.is_some() || !self.choice.set.is_empty();
        let chosen = chosen || self.begin.is_given() || self.start.is_given();
        let specs = match (&self.file, self.options.resumed()) {
            (Some(file), None) => {
                let outset = Outset {
                    begin: self.begin.read()?,
                    start: self.start.read(),
                };
                Specs::read((file, &self.choice, &outset), &[Vec::new()], terminal)?
            }
            (None, None) => {
                let missing = "no specification to train: expected `ksn train FILE.ksn`, or `ksn train --resume RUN`";
                return Err(Usage(missing.to_owned()).into());
            }
            (None, Some(run)) if is_specification(run) => {
                let file = run.display();
                let order = format!("`{file}` is no run folder: write `ksn train {file} --resume`");
                return Err(Usage(order).into());
            }
            // A run says which network it trains.
            (_, Some(_)) => Specs::default(),
        };
        train::run(&specs, &self.options, chosen)
    }
}

fn is_specification(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "ksn")
}
