//! What programs print: a reader that has gone is no error, an output that is full is one, and nothing controls the
//! terminal.

use clap::Parser;
use ksdsl_train::report::printable;
use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// The options of the command line; where there are none to go on with, what to exit with.
pub fn options<O: Parser>() -> Result<O, ExitCode> {
    O::try_parse().map_err(|error| {
        let printed = error.print().and_then(|()| io::stdout().flush());
        match written(printed) {
            Ok(()) => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1)),
            Err(error) => failed(&*error),
        }
    })
}

/// Prints a line (or several) to standard output.
///
/// # Errors
/// If it cannot be written, unless nobody reads it any more.
pub fn print(text: impl Display) -> Result<(), Box<dyn Error>> {
    let text = printable(&format!("{text}\n"));
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// Prints a line to standard error, if that can be.
pub fn note(text: impl Display) {
    // Where not even this can be written there is nobody to tell.
    let _ = io::stderr()
        .lock()
        .write_all(printable(&format!("{text}\n")).as_bytes());
}

/// Says why a program failed.
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
