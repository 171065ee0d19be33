//! `ksn export pytorch FILE`

use super::output::Terminal;
use super::{Choice, Input, Status};
use crate::export::pytorch;
use crate::source::Source;
use crate::spec::SpecError;
use clap::Subcommand;
use ksdsl_checkpoint::write_file;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// The arguments of `ksn export`.
#[derive(clap::Args)]
pub(super) struct Export {
    #[command(subcommand)]
    to: To,
}

/// What a network is exported to.
#[derive(Subcommand)]
enum To {
    /// Write a network as a PyTorch module, a file that needs nothing but torch
    Pytorch(Pytorch),
}

#[derive(clap::Args)]
struct Pytorch {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    choice: Choice,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Export {
    /// Writes the chosen network, or the only one.
    pub(super) fn run(&self, terminal: &Terminal) -> Status {
        let To::Pytorch(export) = &self.to;
        let text = match export.text(terminal) {
            Ok(text) => text,
            Err(error) => return terminal.report(&error),
        };
        match &export.output {
            None => terminal.print(&text),
            Some(path) => match write_file(path, text.as_bytes()) {
                Ok(()) => Status::Ok,
                Err(error) => terminal.fail(&format!("cannot write {}: {error}", path.display())),
            },
        }
    }
}

impl Pytorch {
    fn text(&self, terminal: &Terminal) -> Result<String, SpecError> {
        let spec = self.choice.spec(&self.input.file)?;
        let (network, warnings) = spec.compile_one()?;
        terminal.diagnostics(spec.source(), &warnings);
        Ok(pytorch::module(&network, &self.origin(spec.source())))
    }

    /// How the file was made, and from which text.
    fn origin(&self, source: &Source) -> Vec<String> {
        let mut command = format!("ksn export pytorch {}", self.input.file.display());
        if let Some(net) = &self.choice.net {
            command.push_str(&format!(" --net {net}"));
        }
        for (name, value) in &self.choice.set {
            command.push_str(&format!(" --set {name}={value}"));
        }
        let hash: String = Sha256::digest(source.text())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        vec![
            format!(
                "Written by `{command}`, ksn {}; changes are lost when it is written again.",
                env!("CARGO_PKG_VERSION")
            ),
            format!("SHA-256 of the specification: {hash}"),
        ]
    }
}
