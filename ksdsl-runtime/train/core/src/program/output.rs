//! Printing: a closed pipe is not an error, a full disk is, and control characters never reach the terminal.

use crate::report::printable;
use clap::Parser;
use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// Parses the command line; returns the exit code if the program should not continue.
pub fn options<O: Parser>() -> Result<O, ExitCode> {
    O::try_parse().map_err(|error| {
        let printed = error.print().and_then(|()| io::stdout().flush());
        match written(printed) {
            Ok(()) => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1)),
            Err(error) => failed(&*error),
        }
    })
}

/// Prints text and a newline to standard output.
///
/// # Errors
/// If it cannot be written, unless the reader has closed the pipe.
pub fn print(text: impl Display) -> Result<(), Box<dyn Error>> {
    let text = printable(&format!("{text}\n"));
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// Prints a line to standard error, ignoring failures.
pub fn note(text: impl Display) {
    // There is nowhere left to report a failure.
    let _ = io::stderr()
        .lock()
        .write_all(printable(&format!("{text}\n")).as_bytes());
}

/// Prints the error and returns the exit code for failure.
pub fn failed(error: &dyn Error) -> ExitCode {
    note(format_args!("error: {error}"));
    ExitCode::FAILURE
}

fn written(written: io::Result<()>) -> Result<(), Box<dyn Error>> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}").into())
        }
        _ => Ok(()),
    }
}
