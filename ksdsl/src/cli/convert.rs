//! `ksn fuse FILE CHECKPOINT` and `ksn unroll FILE CHECKPOINT`

use super::output::Terminal;
use super::{Choice, Status};
use crate::checkpoint::{Entry, entries};
use clap::ValueEnum;
use ksdsl_checkpoint::fuse::{Method, fuse, unroll};
use ksdsl_checkpoint::{
    Expected, File, FileError, Made, Private, Problem, Problems, Shared, Unstated, to_bytes, write_file,
};
use std::path::{Path, PathBuf};

/// The arguments of both commands.
#[derive(clap::Args)]
struct Files {
    /// The specification of the network with sharing
    file: PathBuf,
    /// The checkpoint to read
    checkpoint: PathBuf,
    /// The checkpoint to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    choice: Choice,
}

/// How several kernels are fused into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum How {
    /// Mean of the layers' kernels
    Mean,
    /// Kernel of the first layer
    First,
    /// Weighted mean, with one weight per layer
    Scalar,
    /// Weighted mean, with one weight per layer and output channel
    Channel,
    /// Mean, with the differences of the layers' kernels from it in their low-rank updates
    Svd,
}

/// The arguments of `ksn fuse`.
#[derive(clap::Args)]
pub(super) struct Fuse {
    #[command(flatten)]
    files: Files,
    /// How several kernels are fused into one
    #[arg(long, value_enum, default_value_t = How::Mean)]
    method: How,
    /// Weights for `scalar` and `channel`: a safetensors file with one tensor per layer [default: all 1]
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
}

/// The arguments of `ksn unroll`.
#[derive(clap::Args)]
pub(super) struct Unroll {
    #[command(flatten)]
    files: Files,
}

impl Fuse {
    /// Fuses an unshared checkpoint into shared kernels.
    pub(super) fn run(&self, terminal: &Terminal) -> Status {
        let weighted = matches!(self.method, How::Scalar | How::Channel);
        if self.weights.is_some() && !weighted {
            return terminal.fail("--weights requires `--method scalar` or `--method channel`");
        }
        let weights = match &self.weights {
            None => File::default(),
            Some(path) => match read(path, terminal) {
                Ok(weights) => weights,
                Err(status) => return status,
            },
        };
        let method = match self.method {
            How::Mean => Method::Mean,
            How::First => Method::First,
            How::Scalar => Method::Scalar(&weights),
            How::Channel => Method::Channel(&weights),
            How::Svd => Method::Svd,
        };
        self.files.convert(terminal, |file, layout| {
            let tensors = fuse(file, &layout.expected, &layout.shared, &layout.private, method)?;
            Ok(to_bytes(&tensors, &layout.shared))
        })
    }
}

impl Unroll {
    /// Unrolls a shared checkpoint into one kernel per layer.
    pub(super) fn run(&self, terminal: &Terminal) -> Status {
        self.files.convert(terminal, |file, layout| {
            let tensors = unroll(file, &layout.expected, &layout.shared, &layout.private, &layout.made)?;
            Ok(to_bytes(&tensors, &[]))
        })
    }
}

/// The tensors of a network's checkpoints.
pub(super) struct Layout {
    pub(super) expected: Vec<Expected>,
    pub(super) shared: Vec<Shared>,
    private: Vec<Private>,
    made: Vec<Made>,
}

impl Layout {
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        let mut layout = Layout {
            expected: Vec::new(),
            shared: Vec::new(),
            private: Vec::new(),
            made: Vec::new(),
        };
        for entry in entries {
            if !entry.visits.is_empty() {
                layout.shared.push(Shared {
                    key: entry.key.clone(),
                    visits: entry.visits,
                    copies: entry.made.is_empty(),
                });
            }
            layout.made.extend(entry.made.into_iter().map(|made| Made {
                kernel: made.kernel,
                shape: made.shape,
                stored: made.stored,
                transposed: made.transposed,
            }));
            layout.private.extend(entry.kernel.map(|kernel| Private {
                key: entry.key.clone(),
                kernel,
            }));
            layout.expected.push(Expected {
                key: entry.key,
                shape: entry.shape,
                kind: None,
            });
        }
        layout
    }
}

impl Files {
    fn layout(&self, terminal: &Terminal) -> Result<Layout, Status> {
        let network = self.choice.network(&self.file, terminal);
        let (network, _) = network.map_err(|error| terminal.report(&error))?;
        Ok(Layout::new(entries(&network)))
    }

    /// Reads, converts and writes.
    fn convert(
        &self,
        terminal: &Terminal,
        convert: impl FnOnce(&File, &Layout) -> Result<Vec<u8>, Problems>,
    ) -> Status {
        let layout = match self.layout(terminal) {
            Ok(layout) => layout,
            Err(status) => return status,
        };
        let file = match read(&self.checkpoint, terminal) {
            Ok(file) => file,
            Err(status) => return status,
        };
        let converted = match convert(&file, &layout) {
            Ok(converted) => {
                if let Some(unstated) = Unstated::of(&file, &layout.shared) {
                    terminal.warn(&format!("{}: {unstated}", self.checkpoint.display()));
                }
                converted
            }
            Err(problems) => {
                self.report(&problems, &layout, terminal);
                return Status::Invalid;
            }
        };
        match write_file(&self.output, &converted) {
            Ok(()) => Status::Ok,
            Err(error) => terminal.fail(&format!("cannot write {}: {error}", self.output.display())),
        }
    }

    /// Reports why the checkpoint, or the file of weights, does not match the network.
    fn report(&self, problems: &Problems, layout: &Layout, terminal: &Terminal) {
        let all_of_weights = problems
            .0
            .iter()
            .all(|problem| matches!(problem, Problem::Weights { .. }));
        let message = match all_of_weights {
            true => problems.to_string(),
            false => format!("{}: {problems}", self.checkpoint.display()),
        };
        terminal.complain(&message, hint(problems, layout));
    }
}

/// A hint if the checkpoint is of the other kind.
fn hint(problems: &Problems, layout: &Layout) -> Option<&'static str> {
    problems.0.iter().find_map(|problem| match problem {
        // Only `fuse` has no use for what the network shares.
        Problem::Surplus { key } if layout.shared.iter().any(|shared| shared.key == *key) => {
            Some("this checkpoint already has shared kernels; use `ksn unroll` to unroll it")
        }
        // Only `unroll` asks for equal copies.
        Problem::Untied { .. } => Some("this checkpoint has one kernel per layer; use `ksn fuse` to fuse it"),
        _ => None,
    })
}

/// Reads a checkpoint.
pub(super) fn read(path: &Path, terminal: &Terminal) -> Result<File, Status> {
    File::read(path).map_err(|error| match error {
        FileError::Io { .. } => terminal.fail(&error.to_string()),
        FileError::Damaged { .. } => {
            terminal.fail(&error.to_string());
            Status::Invalid
        }
    })
}
