//! Runs a network on the graph executor for `tests/parity/known.py` and `tests/parity/language.py`:
//!
//!     graph_worker net.ksn NETWORK weights.safetensors inputs.safetensors outputs.safetensors
//!     graph_worker --train net.ksn NETWORK case.safetensors outcome.safetensors [PARAMETER=VALUE ...]
//!
//! The first infers in single precision: weights by their checkpoint keys and inputs `input.0`, `input.1` and so on; it writes
//! `output.0` and so on. The second gets `weight.KEY`, `input.0`, `targets`, `steps` and `eps`, all of one type, and writes what
//! `tests/known/step.rs` says, in that precision.

#[path = "../tests/known/step.rs"]
mod step;

use ksdsl::graph::Graph;
use ksdsl::ir::Network;
use ksdsl::spec::Spec;
use ksdsl_checkpoint::{File, Kind, Tensor, to_bytes};
use ksdsl_cpu::CpuExec;
use std::borrow::Cow;
use std::error::Error;
use std::path::Path;
use step::{Batch, Values};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["--train", net, name, case, outcome, settings @ ..] => train(net, name, (case, outcome), settings),
        [net, name, weights, inputs, outputs] => infer(net, name, (weights, inputs, outputs)),
        _ => Err("usage: graph_worker NET.ksn NETWORK WEIGHTS INPUTS OUTPUTS".into()),
    }
}

fn infer(net: &str, name: &str, (weights, inputs, outputs): (&str, &str, &str)) -> Result<(), Box<dyn Error>> {
    let (network, _) = Spec::read(net)?.network(name).compile_one()?;
    let found = run(
        &network,
        &File::read(Path::new(weights))?,
        &File::read(Path::new(inputs))?,
    )?;
    let found = found
        .into_iter()
        .enumerate()
        .map(|(at, values)| (format!("output.{at}"), values));
    write(outputs, &found.collect(), Kind::F32, |value| {
        value.to_le_bytes().to_vec()
    })
}

fn run(network: &Network, weights: &File, inputs: &File) -> Result<Vec<Vec<f32>>, Box<dyn Error>> {
    let graph: Graph<f32, CpuExec> = Graph::new(network.clone(), CpuExec, |parameter| singles(weights, &parameter.key))
        .map_err(|e| e.to_string())?;
    let inputs: Vec<Vec<f32>> = (0..network.inputs.len())
        .map(|at| singles(inputs, &format!("input.{at}")).ok_or(format!("no tensor `input.{at}` of F32")))
        .collect::<Result<_, _>>()?;
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    Ok(graph.infer_all(&inputs).map_err(|error| error.to_string())?)
}

fn train(net: &str, name: &str, (case, outcome): (&str, &str), settings: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut spec = Spec::read(net)?.network(name);
    for setting in settings {
        let (parameter, value) = setting.split_once('=').ok_or("a setting is PARAMETER=VALUE")?;
        spec = spec.set(parameter, value.parse::<f64>().map(number)?);
    }
    let (network, _) = spec.compile_one()?;
    let file = File::read(Path::new(case))?;
    if file.get("eps").is_some_and(|view| view.kind == Kind::F32) {
        let (weights, batch, how) = parts(&file, |key| singles(&file, key))?;
        let found = step::outcome(&network, &weights, &batch, how).map_err(|error| error.to_string())?;
        return write(outcome, &found, Kind::F32, |value: f32| value.to_le_bytes().to_vec());
    }
    let (weights, batch, how) = parts(&file, |key| doubles(&file, key))?;
    let found = step::outcome(&network, &weights, &batch, how).map_err(|error| error.to_string())?;
    write(outcome, &found, Kind::F64, |value: f64| value.to_le_bytes().to_vec())
}

/// A whole number as one, which sizes must be.
fn number(value: f64) -> ksdsl::value::Value {
    match value.fract() == 0.0 {
        true => ksdsl::value::Value::from(value as i64),
        false => ksdsl::value::Value::from(value),
    }
}

/// Weights, batch, and the number of steps with AdamW's epsilon.
type Parts<E> = (Values<E>, Batch<E>, (usize, f64));

fn parts<E: Copy + Into<f64>>(file: &File, read: impl Fn(&str) -> Option<Vec<E>>) -> Result<Parts<E>, Box<dyn Error>> {
    let get = |key: &str| read(key).ok_or_else(|| format!("no tensor `{key}` of the type of `eps`"));
    let keys = file.keys().filter_map(|key| key.strip_prefix("weight."));
    let weights = keys.map(|key| Ok((key.to_owned(), get(&format!("weight.{key}"))?)));
    let weights = weights.collect::<Result<_, String>>()?;
    let inputs = (0..).map_while(|at| read(&format!("input.{at}"))).collect();
    let targets = get("targets")?.into_iter().map(|class| class.into() as usize).collect();
    let how = (get("steps")?[0].into() as usize, get("eps")?[0].into());
    Ok((weights, Batch { inputs, targets }, how))
}

/// The values of a tensor of single precision.
fn singles(file: &File, key: &str) -> Option<Vec<f32>> {
    let view = file.get(key).filter(|view| view.kind == Kind::F32)?;
    let (numbers, _) = view.data.as_chunks();
    Some(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// The values of a tensor of double precision.
fn doubles(file: &File, key: &str) -> Option<Vec<f64>> {
    let view = file.get(key).filter(|view| view.kind == Kind::F64)?;
    let (numbers, _) = view.data.as_chunks();
    Some(numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
}

fn write<E: Copy>(
    path: &str,
    found: &Values<E>,
    kind: Kind,
    bytes: impl Fn(E) -> Vec<u8>,
) -> Result<(), Box<dyn Error>> {
    let tensor = |(key, values): (&String, &Vec<E>)| Tensor {
        key: key.clone(),
        kind,
        shape: vec![values.len() as u64],
        data: Cow::Owned(values.iter().flat_map(|value| bytes(*value)).collect()),
    };
    let tensors: Vec<Tensor<'_>> = found.iter().map(tensor).collect();
    Ok(std::fs::write(path, to_bytes(&tensors, &[]))?)
}
