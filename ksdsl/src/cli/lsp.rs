//! `ksn lsp`

use super::output::Terminal;
use crate::lsp::{End, run};
use lsp_server::Connection;
use std::process::ExitCode;

/// The arguments of `ksn lsp`.
#[derive(clap::Args)]
pub(super) struct Lsp {
    /// Ignored: editors give it, and there is no other way to talk to the server
    #[arg(long, hide = true)]
    stdio: bool,
}

impl Lsp {
    /// Serves the editor at standard input and output. The protocol's exit status: 0 after `shutdown` and `exit`, otherwise
    /// 1.
    pub(super) fn run(&self, terminal: &Terminal) -> ExitCode {
        let _ = self.stdio;
        let (connection, threads) = Connection::stdio();
        let end = run(&connection);
        drop(connection);
        if let Err(error) = threads.join() {
            terminal.fail(&format!("the connection to the editor failed: {error}"));
        }
        match end {
            End::Orderly => ExitCode::SUCCESS,
            End::Abrupt => ExitCode::FAILURE,
        }
    }
}
