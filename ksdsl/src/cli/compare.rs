//! `ksn compare RUN...`

use super::output::Terminal;
use super::specs::finish;
use ksdsl_train_core::program::compare::{Options, run};
use std::process::ExitCode;

/// The arguments of `ksn compare`.
#[derive(clap::Args)]
pub(super) struct Compare {
    #[command(flatten)]
    options: Options,
}

impl Compare {
    /// Compares runs.
    pub(super) fn run(&self, terminal: &Terminal) -> ExitCode {
        finish(run(&self.options), terminal)
    }
}
