//! `ksn predict RUN`

use super::output::Terminal;
use super::specs::{Specs, finish};
use ksdsl_train_core::program::predict::{Options, run};
use std::process::ExitCode;

/// The arguments of `ksn predict`.
#[derive(clap::Args)]
pub(super) struct Predict {
    #[command(flatten)]
    options: Options,
}

impl Predict {
    /// Predicts the classes of images.
    pub(super) fn run(&self, terminal: &Terminal) -> ExitCode {
        finish(run(&Specs::default(), &self.options), terminal)
    }
}
