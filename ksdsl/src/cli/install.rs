//! `ksn completions SHELL` and `ksn man`: what a package installs beside the command, made from its own arguments.

use super::output::Terminal;
use super::{Cli, Status};
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man as Page;

/// The arguments of `ksn completions`.
#[derive(clap::Args)]
pub(super) struct Completions {
    /// The shell that completes
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    pub(super) fn run(&self, terminal: &Terminal) -> Status {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "ksn", &mut script);
        terminal.print(&String::from_utf8_lossy(&script))
    }
}

/// The arguments of `ksn man`.
#[derive(clap::Args)]
pub(super) struct Man {
    /// The subcommand whose page is printed, such as `check` or `export pytorch`; that of `ksn` itself without
    #[arg(value_name = "SUBCOMMAND")]
    path: Vec<String>,
}

impl Man {
    /// Prints the page.
    pub(super) fn run(&self, terminal: &Terminal) -> Status {
        // Without `help`, which has no page.
        let mut root = Cli::command().disable_help_subcommand(true);
        root.build();
        let mut command = &root;
        for name in &self.path {
            match command.find_subcommand(name) {
                Some(found) => command = found,
                None => return unknown(terminal, command, name),
            }
        }
        let mut page = Vec::new();
        match Page::new(command.clone()).render(&mut page) {
            Ok(()) => terminal.print(&String::from_utf8_lossy(&page)),
            Err(error) => terminal.fail(&format!("cannot write the page: {error}")),
        }
    }
}

fn unknown(terminal: &Terminal, command: &Command, name: &str) -> Status {
    let known: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
    let help = match known.as_slice() {
        [] => None,
        known => Some(format!("its subcommands are {}", known.join(", "))),
    };
    let full = command.get_bin_name().unwrap_or_else(|| command.get_name());
    terminal.complain(&format!("`{full}` has no subcommand `{name}`"), help.as_deref());
    Status::Usage
}
