//! `ksn diagram FILE`

use super::output::Terminal;
use super::{Choice, Input, Status};
use crate::diagram::{Options, Theme, TooLarge, svg};
use ksdsl_checkpoint::write_file;
use std::path::{Path, PathBuf};

/// The arguments of `ksn diagram`.
#[derive(clap::Args)]
pub(super) struct Diagram {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    choice: Choice,
    /// Write to this file, SVG or PNG by its extension, instead of SVG to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Colours: light, dark, or the reader's choice
    #[arg(long, value_enum, default_value_t = Theme::Auto)]
    theme: Theme,
    /// Close boxes that are deeper inside others than this
    #[arg(long, value_name = "LEVELS")]
    depth: Option<usize>,
    /// The most boxes and shared kernels a picture may have
    #[arg(long, value_name = "BOXES", default_value_t = Options::default().max)]
    max: usize,
}

impl Diagram {
    /// Draws the chosen network, or the only one.
    pub(super) fn run(&self, terminal: &Terminal) -> Status {
        let format = match self.output.as_deref().map_or(Ok(Format::Svg), format) {
            Ok(format) => format,
            Err(message) => return terminal.fail(&message),
        };
        let network = match self.choice.network(&self.input.file, terminal) {
            Ok((network, _)) => network,
            Err(error) => return terminal.report(&error),
        };
        let options = Options {
            theme: self.theme,
            depth: self.depth.unwrap_or(usize::MAX),
            max: self.max,
        };
        match (svg(&network, &options), &self.output) {
            (Err(error), _) => {
                terminal.complain(&error.to_string(), Some(&help(error)));
                Status::Usage
            }
            (Ok(picture), None) => terminal.print(&picture),
            (Ok(picture), Some(path)) => match save(&picture, path, format) {
                Ok(()) => Status::Ok,
                Err(message) => terminal.fail(&message),
            },
        }
    }
}

/// How a picture gets small enough.
fn help(error: TooLarge) -> String {
    match error.depth {
        Some((depth, boxes)) => format!(
            "`--depth {depth}` closes boxes below that level and leaves {boxes}; `--max {}` draws all",
            error.boxes
        ),
        None => format!("`--max {}` draws all", error.boxes),
    }
}

/// The format of a picture's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Svg,
    Png,
}

/// The format for a path's extension, in any case; SVG without an extension.
fn format(path: &Path) -> Result<Format, String> {
    let Some(ending) = path.extension() else {
        return Ok(Format::Svg);
    };
    let reason = if ending.eq_ignore_ascii_case("svg") {
        return Ok(Format::Svg);
    } else if !ending.eq_ignore_ascii_case("png") {
        "unsupported picture format; use the extension `.svg` or `.png`"
    } else if cfg!(feature = "png") {
        return Ok(Format::Png);
    } else {
        "PNG needs the feature `png` (`cargo install --locked --path ksdsl --features png`); SVG does not"
    };
    Err(format!("`{}`: {reason}", path.display()))
}

/// Writes a picture.
fn save(picture: &str, path: &Path, format: Format) -> Result<(), String> {
    let bytes = match format {
        Format::Svg => picture.as_bytes().to_vec(),
        Format::Png => png(picture)?,
    };
    write_file(path, &bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(feature = "png")]
fn png(picture: &str) -> Result<Vec<u8>, String> {
    crate::diagram::png(picture)
}

#[cfg(not(feature = "png"))]
fn png(_: &str) -> Result<Vec<u8>, String> {
    unreachable!("no format of a path")
}
