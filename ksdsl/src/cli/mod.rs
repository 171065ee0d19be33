//! The command `ksn`: arguments in, texts and an exit status out. One file per subcommand.

mod check;
mod convert;
mod expand;
mod export;
mod fold;
mod install;
mod output;
mod path_range;
mod summary;
mod table;

use crate::spec::{Spec, SpecError};
use crate::value::Value;
use clap::{Args, Parser, Subcommand, ValueEnum};
use output::Terminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Check, summarise, expand and export neural networks written in KSDSL.
///
/// Exit status: 0 all is well, 1 a specification or checkpoint has errors, 2 wrong usage.
#[derive(Parser)]
#[command(name = "ksn", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Colours in the output
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Colour::Auto, global = true)]
    color: Colour,
}

#[derive(Subcommand)]
enum Command {
    /// Look for errors in specifications
    Check(check::Check),
    /// Show layers, shapes, sharing and costs of a network
    Summary(summary::Show),
    /// Print the Rust code that is generated for networks
    Expand(expand::Expand),
    /// Write a network for another system
    Export(export::Export),
    /// Make a checkpoint with shared kernels of one with a kernel for each layer
    Fuse(convert::Fuse),
    /// Make a checkpoint with a kernel for each layer of one with shared kernels
    Unroll(convert::Unroll),
    /// Print a completion script for a shell
    Completions(install::Completions),
    /// Print the man page of the command or of a subcommand
    Man(install::Man),
}

/// Which network is meant, and with which values.
#[derive(Args)]
struct Choice {
    /// Look at this network only
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    /// Give a parameter of the network a value: a whole number, a number with a fraction, true or false
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, Value)>,
}

impl Choice {
    fn spec(&self, path: &Path) -> Result<Spec, SpecError> {
        let mut spec = Spec::read(path)?;
        if let Some(net) = &self.net {
            spec = spec.network(net);
        }
        Ok(self.set.iter().fold(spec, |spec, (name, value)| spec.set(name, *value)))
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
        None => Err(format!("`{value}` is not a number, true or false")),
    }
}

/// When to write colours.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How a run ended; of several files the worst counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    /// No errors; warnings are allowed.
    Ok = 0,
    /// A specification or a checkpoint has errors.
    Invalid = 1,
    /// What was asked makes no sense: no such file, network or parameter.
    Usage = 2,
}

/// Runs the command with the arguments of the process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let terminal = Terminal::new(cli.color);
    let status = match &cli.command {
        Command::Check(check) => check.run(&terminal),
        Command::Summary(show) => show.run(&terminal),
        Command::Expand(expand) => expand.run(&terminal),
        Command::Export(export) => export.run(&terminal),
        Command::Fuse(fuse) => fuse.run(&terminal),
        Command::Unroll(unroll) => unroll.run(&terminal),
        Command::Completions(completions) => completions.run(&terminal),
        Command::Man(man) => man.run(&terminal),
    };
    ExitCode::from(status as u8)
}

/// The one file a subcommand works on.
#[derive(Args)]
struct Input {
    /// The specification
    file: PathBuf,
}
