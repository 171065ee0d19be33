//! The command `ksn`: arguments in, texts and an exit status out. One file per subcommand.

mod audit;
mod begin;
mod check;
mod compare;
mod convert;
mod device;
mod diagram;
mod diff;
mod evaluate;
mod expand;
mod explain;
mod export;
mod fit;
mod fmt;
mod fold;
mod generate;
mod grid;
mod install;
mod lsp;
mod markdown;
mod new;
mod output;
mod path_range;
mod predict;
mod quantize;
mod specs;
mod start;
mod study;
mod summary;
mod sweep;
mod table;
mod tasks;
mod train;

use crate::ir::Network;
use crate::spec::{Spec, SpecError};
use crate::value::Value;
use clap::{Args, Parser, Subcommand, ValueEnum};
use output::Terminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Check, summarise, train, compile and export neural networks written in KSDSL.
///
/// Exit status: 0 success, 1 errors in a specification or checkpoint (or differences), 2 usage errors.
#[derive(Parser)]
#[command(name = "ksn", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// When to colour the output
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Colour::Auto, global = true)]
    color: Colour,
}

#[derive(Subcommand)]
enum Command {
    /// Create a crate that trains a network
    New(new::New),
    /// Check specifications for errors
    Check(check::Check),
    /// Show layers, shapes, sharing, parameters and memory of a network
    Summary(summary::Show),
    /// Draw a network as SVG or PNG
    Diagram(diagram::Diagram),
    /// Show what changed between two networks
    Diff(diff::Diff),
    /// Format specifications in the canonical style
    Fmt(fmt::Fmt),
    /// Explain a diagnostic
    Explain(explain::Explain),
    /// Print the generated Rust code
    Expand(expand::Expand),
    /// Export a network to another framework
    Export(export::Export),
    /// Quantise a trained classifier to 8 bits, and write it as C
    Quantize(quantize::Quantize),
    /// Fuse an unshared checkpoint into shared kernels
    Fuse(convert::Fuse),
    /// Unroll a shared checkpoint into one kernel per layer
    Unroll(convert::Unroll),
    /// Find copies and lost ties in safetensors, ONNX and GGUF files
    Audit(audit::Audit),
    /// Train a network without compiling it
    ///
    /// The run writes its models, logs and plots to its own folder. On Ctrl-C, SIGTERM or SIGHUP it writes a checkpoint
    /// after the current step and stops.
    Train(train::Train),
    /// Evaluate a saved model: accuracy, scores per class, confusion matrix
    Evaluate(evaluate::Evaluate),
    /// Predict the classes of images with a saved model
    ///
    /// Image files (PNG, JPEG, BMP) are centre-cropped and resized to the network's input size. Networks for the digits
    /// expect dark ink on a light background.
    Predict(predict::Predict),
    /// Generate text with a language model
    ///
    /// The text comes token by token to standard output; how fast it was goes to standard error.
    Generate(generate::Generate),
    /// Compare runs: parameters, accuracy, training time, and a plot
    Compare(compare::Compare),
    /// Train a network with many values of its parameters; draw accuracy against parameters
    ///
    /// Every combination has its own run folder. The same command again skips runs that have finished and resumes
    /// interrupted ones.
    Sweep(sweep::Sweep),
    /// Serve an editor over standard input and output (Language Server Protocol)
    Lsp(lsp::Lsp),
    /// Print a completion script for a shell
    Completions(install::Completions),
    /// Print the man page of the command or of a subcommand
    Man(install::Man),
}

/// The choice of a network and the values of its parameters.
#[derive(Args)]
struct Choice {
    /// Select a network by name
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    /// Set a parameter of the network to a number, `true` or `false`, a word or a list (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, Value)>,
}

impl Choice {
    fn spec(&self, path: &Path) -> Result<Spec, SpecError> {
        let mut spec = Spec::read(path)?;
        if let Some(net) = &self.net {
            spec = spec.network(net);
        }
        Ok(self
            .set
            .iter()
            .fold(spec, |spec, (name, value)| spec.set(name, value.clone())))
    }

    /// The chosen network, or the only one, and its specification, whose warnings are printed.
    fn network(&self, path: &Path, terminal: &Terminal) -> Result<(Network, Spec), SpecError> {
        let spec = self.spec(path)?;
        let (network, warnings) = spec.compile_one()?;
        terminal.diagnostics(spec.source(), &warnings);
        Ok((network, spec))
    }
}

fn setting(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .map(|(name, value)| (name.trim(), value.trim()))
        .filter(|(name, _)| !name.is_empty())
        .ok_or("expected name=value, such as depth=6")?;
    match Value::parse(value) {
        Some(value) => Ok((name.to_owned(), value)),
        None => Err(format!(
            "`{value}` is not a value: a number, `true` or `false`, a word, or a list such as `[64, 128]`"
        )),
    }
}

/// When to colour the output.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Colour {
    /// If standard output is a terminal and NO_COLOR is not set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The exit status; of several files, the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    /// No errors; warnings are allowed.
    Ok = 0,
    /// A specification or a checkpoint has errors, or networks or styles differ.
    Invalid = 1,
    /// A usage error: unknown file, network or parameter.
    Usage = 2,
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let terminal = Terminal::new(cli.color);
    let status = match &cli.command {
        Command::New(new) => new.run(&terminal),
        Command::Check(check) => check.run(&terminal),
        Command::Summary(show) => show.run(&terminal),
        Command::Diagram(diagram) => diagram.run(&terminal),
        Command::Diff(diff) => diff.run(&terminal),
        Command::Fmt(fmt) => fmt.run(&terminal),
        Command::Explain(explain) => explain.run(&terminal),
        Command::Expand(expand) => expand.run(&terminal),
        Command::Export(export) => export.run(&terminal),
        Command::Quantize(quantize) => quantize.run(&terminal),
        Command::Fuse(fuse) => fuse.run(&terminal),
        Command::Unroll(unroll) => unroll.run(&terminal),
        Command::Audit(audit) => audit.run(&terminal),
        Command::Train(train) => return train.run(&terminal),
        Command::Evaluate(evaluate) => return evaluate.run(&terminal),
        Command::Predict(predict) => return predict.run(&terminal),
        Command::Generate(generate) => return generate.run(&terminal),
        Command::Compare(compare) => return compare.run(&terminal),
        Command::Sweep(sweep) => return sweep.run(&terminal),
        Command::Lsp(lsp) => return lsp.run(&terminal),
        Command::Completions(completions) => completions.run(&terminal),
        Command::Man(man) => man.run(&terminal),
    };
    ExitCode::from(status as u8)
}

/// The input file of a subcommand.
#[derive(Args)]
struct Input {
    /// The specification file
    file: PathBuf,
}
