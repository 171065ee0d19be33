//! `ksn summary FILE`

use super::output::Terminal;
use super::table::Layout;
use super::{Choice, Input, Status, table};
use crate::export::c::{self, Bytes};
use crate::graph::budget::MemoryBudget;
use crate::ir::Network;
use crate::quantize::{Ranges, quantize};
use crate::spec::SpecError;
use crate::summary::{Summary, WeightType};

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
    /// Type of the kernels of linear layers for what a generated token reads: f32, bf16 or int8
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    weight_type: WeightType,
    /// Show what a step of training computes again to fit into this memory: a fraction of what it takes, such as 0.5, or bytes,
    /// such as 200MiB
    #[arg(long, value_name = "BUDGET")]
    budget: Option<MemoryBudget>,
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
    /// Show the bytes that the network takes on this target instead
    #[arg(long, value_enum, value_name = "TARGET", conflicts_with_all = ["json", "markdown", "all"])]
    target: Option<Target>,
}

/// What a network is exported to.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Target {
    /// `ksn export c` and `ksn quantize`
    C,
}

impl Show {
    /// Prints the summary of the chosen network, or of the only one.
    pub(super) fn run(&self, terminal: &Terminal) -> Status {
        if self.target.is_some() {
            return match self.target_bytes(terminal) {
                Ok(text) => terminal.print(&text),
                Err(status) => status,
            };
        }
        let (network, mut summary) = match self.summary(terminal) {
            Ok(found) => found,
            Err(error) => return terminal.report(&error),
        };
        if let Some(budget) = self.budget {
            summary = match summary.within(&network, budget) {
                Ok(summary) => summary,
                Err(error) => return terminal.fail(&format!("--budget {budget}: {error}")),
            };
        }
        if self.json {
            match serde_json::to_string_pretty(&summary) {
                Ok(json) => terminal.print(&format!("{json}\n")),
                Err(error) => terminal.fail(&format!("cannot write the summary as JSON: {error}")),
            }
        } else if self.markdown {
            terminal.print(&table::markdown(&summary, self.all))
        } else {
            terminal.print(&table::table(&summary, self.layout(terminal)))
        }
    }

    /// Flash and memory in C, as far as they do not depend on weights.
    fn target_bytes(&self, terminal: &Terminal) -> Result<String, Status> {
        let compiled = self.choice.network(&self.input.file, terminal);
        let (network, spec) = compiled.map_err(|error| terminal.report(&error))?;
        let program = c::program(&network, None, &c::Options::default());
        let program = program.map_err(|error| super::export::c::failed(&error, spec.source(), terminal))?;
        let single = c::single(&program).bytes();
        Ok(match quantize(&program, &Ranges::different(&program)) {
            Ok(integers) => target_table([single, c::integer(&integers).bytes()]),
            Err(error) => target_table([single]) + &format!("\n{error}\n"),
        })
    }

    fn layout(&self, terminal: &Terminal) -> Layout {
        Layout {
            all: self.all,
            width: self.width.map_or(terminal.width, usize::from),
            height: terminal.height,
            colour: terminal.colour,
        }
    }

    fn summary(&self, terminal: &Terminal) -> Result<(Network, Summary), SpecError> {
        let spec = self
            .choice
            .spec(&self.input.file)?
            .batch(self.batch)
            .threads(self.threads)
            .weight_type(self.weight_type);
        let (network, warnings) = spec.compile_one()?;
        terminal.diagnostics(spec.source(), &warnings);
        let summary = spec.summarise(&network);
        Ok((network, summary))
    }
}

/// Bytes in single precision and, if there are any, in integers.
pub(super) fn target_table<const N: usize>(bytes: [Bytes; N]) -> String {
    let line = |name: &str, of: fn(&Bytes) -> usize| {
        let numbers: String = bytes.iter().map(|bytes| format!("{:>12}", of(bytes))).collect();
        format!("{name:<28}{numbers}\n")
    };
    let head: String = ["f32", "int8"]
        .iter()
        .take(N)
        .map(|name| format!("{name:>12}"))
        .collect();
    [
        format!("{:<28}{head}\n", "bytes"),
        line("flash: weights", |bytes| bytes.weights),
        line("flash: tables, without code", |bytes| bytes.tables),
        line("RAM: arena of activations", |bytes| bytes.arena),
        line("RAM: inputs and outputs", |bytes| bytes.ports),
    ]
    .concat()
}
