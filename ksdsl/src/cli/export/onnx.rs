//! `ksn export onnx FILE --weights CHECKPOINT`

use super::weights;
use crate::cli::output::Terminal;
use crate::cli::{Choice, Input, Status};
use crate::export::onnx;
use ksdsl_checkpoint::write_file;
use std::path::PathBuf;

/// The arguments of `ksn export onnx`.
#[derive(clap::Args)]
pub(super) struct Onnx {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    choice: Choice,
    /// The checkpoint, a safetensors file
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Write to this file [default: the name of the network, with `.onnx`]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Run the loops of this name so often [default: as often as they can] (repeatable)
    #[arg(long, value_name = "NAME=COUNT", value_parser = count)]
    steps: Vec<(String, u64)>,
    /// Write each block once, as a function, instead of wherever it is used
    #[arg(long)]
    functions: bool,
}

pub(super) fn count(text: &str) -> Result<(String, u64), String> {
    let pair = text.split_once('=');
    pair.and_then(|(name, count)| Some((name.trim().to_owned(), count.trim().parse().ok()?)))
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| "expected name=count, such as steps=4".to_owned())
}

impl Onnx {
    pub(super) fn run(&self, terminal: &Terminal) -> Status {
        match self.write(terminal) {
            Ok(()) => Status::Ok,
            Err(status) => status,
        }
    }

    fn write(&self, terminal: &Terminal) -> Result<(), Status> {
        let compiled = || {
            let spec = self.choice.spec(&self.input.file)?;
            let (network, warnings) = spec.compile_one()?;
            terminal.diagnostics(spec.source(), &warnings);
            Ok(network)
        };
        let network = compiled().map_err(|error| terminal.report(&error))?;
        let options = onnx::Options {
            steps: self.steps.clone(),
            functions: self.functions,
        };
        let model = onnx::model(&network, &options).map_err(|error| terminal.fail(&error.to_string()))?;
        let weights = weights::read(&self.weights, &model.tensors, terminal)?;
        let weights = weights.into_iter().map(|data| bytes(&data)).collect();
        let bytes = onnx::encode(&model, weights).map_err(|error| terminal.fail(&error.to_string()))?;
        let output = match &self.output {
            Some(output) => output.clone(),
            None => PathBuf::from(format!("{}.onnx", model.name)),
        };
        write_file(&output, &bytes)
            .map_err(|error| terminal.fail(&format!("cannot write {}: {error}", output.display())))
    }
}

fn bytes(data: &[f32]) -> Vec<u8> {
    data.iter().flat_map(|value| value.to_le_bytes()).collect()
}
