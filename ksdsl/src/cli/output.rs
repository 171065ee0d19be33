//! Where texts go and how they look. A reader that goes away (`ksn ... | head`) ends no run in a
//! panic.

use super::{Colour, Status};
use crate::diag::{Code, Diagnostic, Severity};
use crate::limits;
use crate::render::render;
use crate::source::Source;
use crate::spec::SpecError;
use annotate_snippets::{Group, Level, Renderer};
use std::io::{self, IsTerminal, Write};

/// What the two output streams can show.
pub(super) struct Terminal {
    /// The characters of a line: those of the terminal, and 80 if stdout is none.
    pub(super) width: usize,
    /// The lines of the terminal, if stdout is one.
    pub(super) height: Option<usize>,
    /// Whether stdout gets colours.
    pub(super) colour: bool,
    error_colour: bool,
}

/// Columns that a terminal is thought to have at least, lest tables become unreadable.
const NARROWEST: usize = 40;

/// Columns and lines, if this is a terminal that has any.
fn terminal_size_of(stream: &io::Stdout) -> Option<(usize, usize)> {
    let (width, height) = terminal_size::terminal_size_of(stream)?;
    let size = (usize::from(width.0), usize::from(height.0));
    (stream.is_terminal() && size.0 > 0 && size.1 > 0).then_some(size)
}

impl Terminal {
    pub(super) fn new(colour: Colour) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let wanted = |terminal: bool| match colour {
            Colour::Auto => terminal && !no_colour,
            Colour::Always => true,
            Colour::Never => false,
        };
        let stdout = io::stdout();
        let size = terminal_size_of(&stdout);
        Terminal {
            width: size.map_or(80, |(width, _)| width.max(NARROWEST)),
            height: size.map(|(_, height)| height),
            colour: wanted(stdout.is_terminal()),
            error_colour: wanted(io::stderr().is_terminal()),
        }
    }

    /// Writes to stdout. `Usage` where that fails for another reason than a reader that has gone.
    pub(super) fn print(&self, text: &str) -> Status {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                self.fail(&format!("cannot write the output: {error}"))
            }
            _ => Status::Ok,
        }
    }

    /// Writes diagnostics to stderr.
    pub(super) fn diagnostics(&self, source: &Source, diagnostics: &[Diagnostic]) {
        if !diagnostics.is_empty() {
            self.note(&format!("{}\n", render(source, diagnostics, self.error_colour)));
        }
    }

    /// Reports an error; returns the exit status.
    pub(super) fn report(&self, error: &SpecError) -> Status {
        match error {
            SpecError::Invalid(invalid) => {
                self.diagnostics(&invalid.source, &invalid.diagnostics);
                let details = first_code(&invalid.diagnostics)
                    .map(|code| format!("; for details: ksn explain {code}"))
                    .unwrap_or_default();
                let number = count(&invalid.diagnostics);
                self.note(&format!("{}: {number}{details}", invalid.source.name()));
                Status::Invalid
            }
            SpecError::Read(read) => match read.diagnostic() {
                Some((source, diagnostic)) => {
                    self.diagnostics(&source, &[diagnostic]);
                    Status::Invalid
                }
                None => self.fail(&error.to_string()),
            },
            _ => {
                self.complain(&error.to_string(), hint(error).as_deref());
                Status::Usage
            }
        }
    }

    /// Writes an error that is not about a specification.
    pub(super) fn fail(&self, message: &str) -> Status {
        self.complain(message, None);
        Status::Usage
    }

    /// Writes an error without a place in a source, and what may help.
    pub(super) fn complain(&self, message: &str, help: Option<&str>) {
        self.tell(Level::ERROR, message, help);
    }

    /// Writes a warning without a place in a source.
    pub(super) fn warn(&self, message: &str) {
        self.tell(Level::WARNING, message, None);
    }

    fn tell(&self, level: Level<'_>, message: &str, help: Option<&str>) {
        let renderer = match self.error_colour {
            true => Renderer::styled(),
            false => Renderer::plain(),
        };
        let group = Group::with_title(level.primary_title(message));
        let group = match help {
            Some(help) => group.element(Level::HELP.message(help)),
            None => group,
        };
        self.note(&renderer.render(&[group]));
    }

    /// Writes a line to stderr.
    fn note(&self, text: &str) {
        // Where not even this can be written there is nobody to tell.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// The code of the first error.
fn first_code(diagnostics: &[Diagnostic]) -> Option<Code> {
    let error = diagnostics
        .iter()
        .find(|diagnostic| diagnostic.severity == Severity::Error);
    error.map(|error| error.code)
}

/// A hint for the command line.
fn hint(error: &SpecError) -> Option<String> {
    match error {
        SpecError::SeveralNetworks { networks, .. } => {
            let first = networks.first()?;
            Some(format!("choose one, such as `--net {first}`"))
        }
        SpecError::MissingValues { parameters, .. } => {
            let settings: Vec<String> = parameters.iter().map(|name| format!("--set {name}=...")).collect();
            Some(format!("set them with `{}`", settings.join(" ")))
        }
        _ => None,
    }
}

/// `2 errors and 1 warning`.
pub(super) fn count(diagnostics: &[Diagnostic]) -> String {
    let number = |severity| diagnostics.iter().filter(|d| d.severity == severity).count();
    let (errors, warnings) = (number(Severity::Error), number(Severity::Warning));
    let mut words = Vec::new();
    words.extend((errors > 0).then(|| plural(errors, "error")));
    words.extend((warnings > 0).then(|| plural(warnings, "warning")));
    let all = words.join(" and ");
    match diagnostics.len() < limits::DIAGNOSTICS {
        true => all,
        false => format!("{all}; only the first {} are listed", limits::DIAGNOSTICS),
    }
}

/// `1 layer`, `2 layers`.
pub(super) fn plural(number: usize, word: &str) -> String {
    match number {
        1 => format!("1 {word}"),
        number => format!("{number} {word}s"),
    }
}
