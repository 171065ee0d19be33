//! `ksn export onnx FILE --weights CHECKPOINT`

use super::Model;
use crate::cli::Status;
use crate::cli::output::Terminal;
use crate::export::onnx;
use ksdsl_checkpoint::write_file;
use std::path::PathBuf;

/// The arguments of `ksn export onnx`.
#[derive(clap::Args)]
pub(super) struct Onnx {
    #[command(flatten)]
    model: Model,
    /// Write to this file [default: the name of the network, with `.onnx`]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write each block once, as a function, instead of wherever it is used
    #[arg(long)]
    functions: bool,
}

impl Onnx {
    pub(super) fn write(&self, terminal: &Terminal) -> Result<(), Status> {
        let (network, _) = self.model.network(terminal)?;
        let options = onnx::Options {
            steps: self.model.steps.clone(),
            functions: self.functions,
        };
        let model = onnx::model(&network, &options).map_err(|error| terminal.fail(&error.to_string()))?;
        let weights = self.model.weights(&model.tensors, terminal)?;
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
