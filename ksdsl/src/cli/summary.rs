//! `ksn summary FILE`

use super::output::Terminal;
use super::table::Layout;
use super::{Choice, Input, Status, table};
use crate::spec::SpecError;
use crate::summary::Summary;

/// The arguments of `ksn summary`.
#[derive(clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    choice: Choice,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    /// Batch size for the memory estimate
    #[arg(long, value_name = "IMAGES", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    batch: u64,
    /// Number of threads for the memory estimate
    #[arg(long, value_name = "THREADS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    threads: u64,
    /// List every layer in its own row, including those without parameters
    #[arg(long, conflicts_with = "json")]
    all: bool,
    /// Print the summary as tables in Markdown, with all columns
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Longest line of the tables [default: the width of the terminal, or 80]
    #[arg(long, value_name = "COLUMNS", conflicts_with_all = ["json", "markdown"],
        value_parser = clap::value_parser!(u16).range(40..))]
    width: Option<u16>,
}

impl Show {
    /// Prints the summary of the chosen network, or of the only one.
    pub(super) fn run(&self, terminal: &Terminal) -> Status {
        match self.summary(terminal) {
            Ok(summary) if self.json => match serde_json::to_string_pretty(&summary) {
                Ok(json) => terminal.print(&format!("{json}\n")),
                Err(error) => terminal.fail(&format!("cannot write the summary as JSON: {error}")),
            },
            Ok(summary) if self.markdown => terminal.print(&table::markdown(&summary, self.all)),
            Ok(summary) => terminal.print(&table::table(&summary, self.layout(terminal))),
            Err(error) => terminal.report(&error),
        }
    }

    fn layout(&self, terminal: &Terminal) -> Layout {
        Layout {
            all: self.all,
            width: self.width.map_or(terminal.width, usize::from),
            height: terminal.height,
            colour: terminal.colour,
        }
    }

    fn summary(&self, terminal: &Terminal) -> Result<Summary, SpecError> {
        let spec = self
            .choice
            .spec(&self.input.file)?
            .batch(self.batch)
            .threads(self.threads);
        let (network, warnings) = spec.compile_one()?;
        terminal.diagnostics(spec.source(), &warnings);
        Ok(spec.summarise(&network))
    }
}
