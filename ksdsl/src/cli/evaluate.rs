//! `ksn evaluate RUN`

use super::output::Terminal;
use super::specs::{Specs, finish};
use ksdsl_train_core::program::evaluate::{Options, run};
use std::process::ExitCode;

/// The arguments of `ksn evaluate`.
#[derive(clap::Args)]
pub(super) struct Evaluate {
    #[command(flatten)]
    options: Options,
}

impl Evaluate {
    /// Evaluates a saved model.
    pub(super) fn run(&self, terminal: &Terminal) -> ExitCode {
        finish(run(&Specs::default(), &self.options), terminal)
    }
}
