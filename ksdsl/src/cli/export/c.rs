//! `ksn export c FILE --weights CHECKPOINT`

use super::{Model, origin};
use crate::checkpoint::entries;
use crate::cli::Status;
use crate::cli::output::Terminal;
use crate::export::c;
use crate::ir::Network;
use crate::source::Source;
use ksdsl_checkpoint::write_file;
use std::path::{Path, PathBuf};

/// The arguments of `ksn export c`.
#[derive(clap::Args)]
pub(in crate::cli) struct C {
    #[command(flatten)]
    model: Model,
    /// Write to this file, and a header beside it [default: the name of the network, with `.c`]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl C {
    pub(super) fn write(&self, terminal: &Terminal) -> Result<(), Status> {
        let (network, spec) = self.model.network(terminal)?;
        let output = target(self.output.as_deref(), &network, terminal)?;
        let options = c::Options {
            steps: self.model.steps.clone(),
        };
        // What cannot be exported is known before the checkpoint is read.
        c::program(&network, None, &options).map_err(|error| failed(&error, spec.source(), terminal))?;
        let weights = self.model.weights(&entries(&network), terminal)?;
        let program = c::program(&network, Some(&weights), &options);
        let program = program.map_err(|error| failed(&error, spec.source(), terminal))?;
        let comment = origin("c", (&self.model.input, &self.model.choice), spec.source());
        write(&c::single(&program), &output, &comment, terminal)
    }
}

/// The file to write, which ends in `.c`.
pub(in crate::cli) fn target(output: Option<&Path>, network: &Network, terminal: &Terminal) -> Result<PathBuf, Status> {
    let output = output.map_or_else(|| PathBuf::from(format!("{}.c", network.name)), Path::to_path_buf);
    let is_c = output.extension().is_some_and(|extension| extension == "c");
    match is_c && output.file_stem().and_then(|stem| stem.to_str()).is_some_and(is_plain) {
        true => Ok(output),
        false => {
            terminal.complain(
                &format!("cannot write C to `{}`", output.display()),
                Some("choose a name of letters, digits, `_`, `-` and `.` that ends in `.c`; the header gets the same name with `.h`"),
            );
            Err(Status::Usage)
        }
    }
}

/// Whether a name can stand between the quotes of `#include`.
fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

/// Reports why a network cannot be exported, with the place of the layer.
pub(in crate::cli) fn failed(error: &c::Error, source: &Source, terminal: &Terminal) -> Status {
    let (place, help) = match error {
        c::Error::Unsupported { offset, .. } => (
            *offset,
            Some("`ksn export onnx` takes every operation; the book lists what C has"),
        ),
        _ => (None, None),
    };
    let place = place.map_or_else(String::new, |offset| {
        let (line, column) = source.line_column(offset);
        format!("{}:{line}:{column}: ", source.name_at(offset))
    });
    terminal.complain(&format!("{place}{error}"), help);
    Status::Invalid
}

/// Writes the C file, after its header.
pub(in crate::cli) fn write(
    unit: &c::Unit,
    output: &Path,
    comment: &[String],
    terminal: &Terminal,
) -> Result<(), Status> {
    let header = output.with_extension("h");
    let name = header.file_name().map(|name| name.to_string_lossy().into_owned());
    let files = unit.files(&name.unwrap_or_default(), comment);
    for (path, text) in [(&header, &files.header), (&output.to_path_buf(), &files.source)] {
        write_file(path, text.as_bytes())
            .map_err(|error| terminal.fail(&format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(())
}
