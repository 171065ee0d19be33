//! Networks for other systems.

use crate::protocol::{Port, Ports};
use crate::serve::Outcome;
use ksdsl::analyse::analyse;
use ksdsl::ir::{Network, Shape};
use ksdsl::spec::Spec;
use std::path::Path;

/// The network of this name in a file.
pub(crate) fn network(spec: &Spec, name: &str) -> Outcome<Network> {
    Ok(spec.clone().network(name).compile_one()?.0)
}

/// Writes a network as a PyTorch module; gives its first input and output.
pub(crate) fn export(spec: &Spec, name: &str, path: &Path) -> Outcome<Ports> {
    let network = network(spec, name)?;
    let origin = ["Written by a benchmark.".to_owned()];
    std::fs::write(path, ksdsl::export::pytorch::module(&network, &origin))?;
    let counts = analyse(&network);
    Ok(Ports {
        input: port(network.input()),
        output: port(network.output()),
        multiply_adds: counts.macs,
        parameters: counts.trainable,
    })
}

fn port(shape: Shape) -> Port {
    Port {
        shape: shape.sizes(),
        vocabulary: match shape {
            Shape::Ids { vocabulary, .. } => Some(vocabulary),
            _ => None,
        },
    }
}
