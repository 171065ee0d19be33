//! `ksn expand FILE`

use super::output::Terminal;
use super::{Choice, Input, Status};
use crate::codegen;

/// The arguments of `ksn expand`.
#[derive(clap::Args)]
pub(super) struct Expand {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    choice: Choice,
}

impl Expand {
    /// Prints the generated code of the chosen network, or of all.
    pub(super) fn run(&self, terminal: &Terminal) -> Status {
        let compiled = self
            .choice
            .spec(&self.input.file)
            .and_then(|spec| spec.compile_all().map(|compilation| (spec, compilation)));
        match compiled {
            Ok((spec, compilation)) => {
                terminal.diagnostics(spec.source(), &compilation.diagnostics);
                // One by one: tokens take far more memory than text.
                let modules = compilation.networks.iter().map(codegen::network);
                terminal.print(&modules.map(codegen::format).collect::<String>())
            }
            Err(error) => terminal.report(&error),
        }
    }
}
