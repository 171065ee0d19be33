//! `ksn check FILE...`

use super::output::{Terminal, count, plural};
use super::{Choice, Status};
use crate::compile::Compilation;
use std::path::PathBuf;

/// The arguments of `ksn check`.
#[derive(clap::Args)]
pub(super) struct Check {
    /// The specification files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    choice: Choice,
}

impl Check {
    /// Checks all files, even after errors.
    pub(super) fn run(&self, terminal: &Terminal) -> Status {
        let statuses = self.files.iter().map(|path| {
            let checked = self
                .choice
                .spec(path)
                .and_then(|spec| spec.compile_all().map(|compilation| (spec, compilation)));
            match checked {
                Ok((spec, compilation)) => {
                    terminal.diagnostics(spec.source(), &compilation.diagnostics);
                    terminal.print(&self.verdict(spec.source().name(), &compilation))
                }
                Err(error) => terminal.report(&error),
            }
        });
        statuses.max().unwrap_or(Status::Ok)
    }

    /// `ok: nets.ksn: 2 networks, 77 layers`, and the networks that were not expanded.
    fn verdict(&self, file: &str, compilation: &Compilation) -> String {
        let networks = &compilation.networks;
        let layers = networks.iter().map(|network| network.layers.len()).sum();
        let mut text = format!(
            "ok: {file}: {}, {}",
            plural(networks.len(), "network"),
            plural(layers, "layer")
        );
        if !compilation.diagnostics.is_empty() {
            text.push_str(&format!(", {}", count(&compilation.diagnostics)));
        }
        let wanted = |name: &&String| self.choice.net.as_ref().is_none_or(|net| net == *name);
        let open: Vec<&str> = compilation
            .names
            .iter()
            .filter(wanted)
            .filter(|name| networks.iter().all(|network| network.name != **name))
            .map(String::as_str)
            .collect();
        if !open.is_empty() {
            text.push_str(&format!(
                "; not expanded, since parameters have no values: {}",
                open.join(", ")
            ));
        }
        text.push('\n');
        text
    }
}
