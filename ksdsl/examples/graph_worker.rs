//! Runs a network on the graph executor for `tests/parity/known.py`:
//!
//!     graph_worker net.ksn NETWORK weights.safetensors inputs.safetensors outputs.safetensors
//!
//! Weights by their checkpoint keys and inputs `input.0`, `input.1` and so on, all `F32`; it writes `output.0` and so on.

use ksdsl::graph::Graph;
use ksdsl::ir::Network;
use ksdsl::spec::Spec;
use ksdsl_checkpoint::{File, Kind, Tensor, to_bytes};
use ksdsl_cpu::CpuExec;
use std::borrow::Cow;
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [net, name, weights, inputs, outputs] = args.as_slice() else {
        return Err("usage: graph_worker NET.ksn NETWORK WEIGHTS INPUTS OUTPUTS".into());
    };
    let (network, _) = Spec::read(net)?.network(name.as_str()).compile_one()?;
    let found = run(
        &network,
        &File::read(Path::new(weights))?,
        &File::read(Path::new(inputs))?,
    )?;
    let tensors: Vec<Tensor<'_>> = found.iter().enumerate().map(tensor).collect();
    std::fs::write(outputs, to_bytes(&tensors, &[]))?;
    Ok(())
}

fn run(network: &Network, weights: &File, inputs: &File) -> Result<Vec<Vec<f32>>, Box<dyn Error>> {
    let graph: Graph<f32, CpuExec> =
        Graph::new(network.clone(), CpuExec, |parameter| values(weights, &parameter.key)).map_err(|e| e.to_string())?;
    let inputs: Vec<Vec<f32>> = (0..network.inputs.len())
        .map(|at| values(inputs, &format!("input.{at}")).ok_or(format!("no tensor `input.{at}` of F32")))
        .collect::<Result<_, _>>()?;
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    Ok(graph.infer_all(&inputs).map_err(|error| error.to_string())?)
}

/// The values of a tensor of single precision.
fn values(file: &File, key: &str) -> Option<Vec<f32>> {
    let view = file.get(key).filter(|view| view.kind == Kind::F32)?;
    let (numbers, _) = view.data.as_chunks();
    Some(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// An output as it is written.
fn tensor((at, values): (usize, &Vec<f32>)) -> Tensor<'static> {
    Tensor {
        key: format!("output.{at}"),
        kind: Kind::F32,
        shape: vec![values.len() as u64],
        data: Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
    }
}
