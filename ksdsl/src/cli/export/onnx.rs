//! `ksn export onnx FILE --weights CHECKPOINT`

use crate::cli::convert::{Layout, read};
use crate::cli::output::Terminal;
use crate::cli::{Choice, Input, Status};
use crate::export::onnx;
use ksdsl_checkpoint::{Kind, Unstated, View, resolve, write_file};
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

fn count(text: &str) -> Result<(String, u64), String> {
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
        let weights = self.weights(&model, terminal)?;
        let bytes = onnx::encode(&model, weights).map_err(|error| terminal.fail(&error.to_string()))?;
        let output = match &self.output {
            Some(output) => output.clone(),
            None => PathBuf::from(format!("{}.onnx", model.name)),
        };
        write_file(&output, &bytes)
            .map_err(|error| terminal.fail(&format!("cannot write {}: {error}", output.display())))
    }

    /// The elements of the model's tensors in single precision.
    fn weights(&self, model: &onnx::Model, terminal: &Terminal) -> Result<Vec<Vec<u8>>, Status> {
        let (file, path) = (read(&self.weights, terminal)?, self.weights.display());
        let layout = Layout::new(model.tensors.clone());
        let views = resolve(&file, &layout.expected, &layout.shared).map_err(|problems| {
            terminal.complain(&format!("{path}: {problems}"), None);
            Status::Invalid
        })?;
        if let Some(unstated) = Unstated::of(&file, &layout.shared) {
            terminal.warn(&format!("{path}: {unstated}"));
        }
        let singles = views.iter().zip(&model.tensors).map(|(view, entry)| {
            single(view).ok_or_else(|| {
                let (key, kind) = (&entry.key, view.kind);
                terminal.complain(
                    &format!("{path}: `{key}` has elements of type {kind}, which cannot be exported"),
                    Some("export takes F32, F64, F16 and BF16"),
                );
                Status::Invalid
            })
        });
        singles.collect()
    }
}

/// The elements in single precision; none for other kinds than these.
fn single(view: &View<'_>) -> Option<Vec<u8>> {
    Some(match view.kind {
        Kind::F32 => view.data.to_vec(),
        Kind::F64 => converted(view.data, |bytes: [u8; 8]| f64::from_le_bytes(bytes) as f32),
        Kind::BF16 => converted(view.data, |[low, high]: [u8; 2]| f32::from_le_bytes([0, 0, low, high])),
        Kind::F16 => converted(view.data, |bytes: [u8; 2]| of_half(u16::from_le_bytes(bytes))),
        _ => return None,
    })
}

fn converted<const N: usize>(data: &[u8], of: impl Fn([u8; N]) -> f32) -> Vec<u8> {
    let (elements, _) = data.as_chunks::<N>();
    elements.iter().flat_map(|bytes| of(*bytes).to_le_bytes()).collect()
}

/// A number in half precision: a sign, 5 bits of exponent, 10 of fraction (IEEE 754).
fn of_half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::of_half;

    /// `torch.tensor([...], dtype=torch.float16).view(torch.int16)` of the right side.
    #[test]
    fn halves_are_those_of_pytorch() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x7c00, f32::INFINITY),
        ] {
            assert_eq!(of_half(bits), value, "{bits:x}");
        }
        assert!(of_half(0x7e00).is_nan());
    }
}
