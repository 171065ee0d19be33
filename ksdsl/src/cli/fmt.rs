//! `ksn fmt FILE...`

use super::Status;
use super::output::{Terminal, plural};
use crate::format::{FormatError, format};
use crate::limits;
use crate::spec::{Invalid, SpecError, read_text};
use similar::{ChangeTag, TextDiff};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The arguments of `ksn fmt`.
#[derive(clap::Args)]
pub(super) struct Fmt {
    /// The specification files; a folder stands for every `.ksn` file below it, `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write no file; print what would change, and fail if something would
    #[arg(long)]
    check: bool,
}

/// What became of a file.
enum Outcome {
    Unchanged,
    Changed,
    Failed(Status),
}

impl Fmt {
    /// Formats all files, even after errors.
    pub(super) fn run(&self, terminal: &Terminal) -> Status {
        let mut files = Vec::new();
        let mut worst = Status::Ok;
        for path in &self.files {
            if !path.is_dir() {
                files.push(path.clone());
            } else if let Err(status) = add_folder(path, &mut files, terminal) {
                worst = worst.max(status);
            }
        }
        let mut changed = 0;
        for path in &files {
            match self.file(path, terminal) {
                Outcome::Unchanged => {}
                Outcome::Changed => changed += 1,
                Outcome::Failed(status) => worst = worst.max(status),
            }
        }
        if self.check && changed > 0 {
            let summary = match changed {
                1 => "1 file differs from the canonical style".to_owned(),
                number => format!("{} differ from the canonical style", plural(number, "file")),
            };
            terminal.complain(&summary, Some("run `ksn fmt` without `--check`"));
            worst = worst.max(Status::Invalid);
        }
        worst
    }

    fn file(&self, path: &Path, terminal: &Terminal) -> Outcome {
        let is_stdin = path == Path::new("-");
        let name = if is_stdin {
            "standard input".into()
        } else {
            path.display().to_string()
        };
        let before = match if is_stdin {
            read_stdin(terminal)
        } else {
            read(path, terminal)
        } {
            Ok(text) => text,
            Err(status) => return Outcome::Failed(status),
        };
        let after = match format(&name, &before) {
            Ok(text) => text,
            Err(error) => return Outcome::Failed(report(error, &name, terminal)),
        };
        let status = match (is_stdin, before == after) {
            (_, true) if self.check => Status::Ok,
            (_, false) if self.check => terminal.print(&differences(&name, &before, &after, terminal.colour)),
            (true, _) => terminal.print(&after),
            (false, true) => Status::Ok,
            (false, false) => match ksdsl_files::write(path, after.as_bytes()) {
                Ok(()) => terminal.print(&format!("formatted: {name}\n")),
                Err(error) => terminal.fail(&format!("cannot write {name}: {error}")),
            },
        };
        match status {
            Status::Ok if before == after => Outcome::Unchanged,
            Status::Ok => Outcome::Changed,
            status => Outcome::Failed(status),
        }
    }
}

fn read(path: &Path, terminal: &Terminal) -> Result<String, Status> {
    read_text(path).map_err(|error| terminal.report(&SpecError::Read(error)))
}

fn read_stdin(terminal: &Terminal) -> Result<String, Status> {
    let mut bytes = Vec::new();
    let limit = limits::SOURCE_BYTES as u64 + 1;
    if let Err(error) = io::stdin().lock().take(limit).read_to_end(&mut bytes) {
        return Err(terminal.fail(&format!("cannot read standard input: {error}")));
    }
    let text = String::from_utf8(bytes).map_err(|_| terminal.fail("standard input is not valid UTF-8"))?;
    Ok(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned))
}

/// The `.ksn` files below a folder, in the order of their names. Hidden folders and links are left out.
fn add_folder(folder: &Path, files: &mut Vec<PathBuf>, terminal: &Terminal) -> Result<(), Status> {
    let unreadable = |error| terminal.fail(&format!("cannot read {}: {error}", folder.display()));
    let mut entries = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<io::Result<Vec<_>>>)
        .map_err(unreadable)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let mut result = Ok(());
    for entry in entries {
        let path = entry.path();
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && !is_hidden {
            result = add_folder(&path, files, terminal).and(result);
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "ksn") {
            files.push(path);
        }
    }
    result
}

fn report(error: FormatError, name: &str, terminal: &Terminal) -> Status {
    match error {
        FormatError::Syntax(source, diagnostics) => {
            terminal.report(&SpecError::Invalid(Box::new(Invalid { source, diagnostics })))
        }
        FormatError::Changed => {
            let message = format!("{name} is left as it is: its formatted text would not mean the same");
            terminal.complain(
                &message,
                Some("this is a fault of `ksn fmt`; please report it with the file"),
            );
            Status::Usage
        }
    }
}

/// A unified diff.
fn differences(name: &str, before: &str, after: &str, colour: bool) -> String {
    let diff = TextDiff::from_lines(before, after);
    let paint = |code: &str, text: String| {
        if colour {
            format!("\x1b[{code}m{text}\x1b[0m\n")
        } else {
            text + "\n"
        }
    };
    let mut text = paint("1", format!("--- {name}")) + &paint("1", format!("+++ {name} (formatted)"));
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        text += &paint("36", hunk.header().to_string());
        for change in hunk.iter_changes() {
            let line = change.value().trim_end_matches(['\n', '\r']);
            text += &match change.tag() {
                ChangeTag::Delete => paint("31", format!("-{line}")),
                ChangeTag::Insert => paint("32", format!("+{line}")),
                ChangeTag::Equal => format!(" {line}\n"),
            };
        }
    }
    text
}
