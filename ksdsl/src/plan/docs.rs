//! What generated code says of its parts, in whatever language. It stays short however deep the
//! network is.

use super::{Body, Field, Type};
use crate::analyse::analyse;
use crate::ir::{
    COEFFICIENTS, Group, LOW_RANK_A, LOW_RANK_B, Network, Part, Path, Port, SCALE, ScopeKind, Tensor, join_sizes,
};
use crate::paths::compress;

/// Paths named in one comment before the rest is only counted.
const PATHS: usize = 12;

/// `` `s1[0..4].conv1`, `s2[0].conv1` and 3 more ``.
pub(crate) fn paths<'p>(paths: impl IntoIterator<Item = &'p Path>) -> String {
    let all = compress(paths);
    let shown: Vec<String> = all.iter().take(PATHS).map(|path| format!("`{path}`")).collect();
    match all.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What the writer said of a network, what it is and what it costs.
pub(crate) fn of_network(network: &Network) -> Vec<String> {
    let analysis = analyse(network);
    let settings: Vec<String> = network
        .parameters
        .iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    let mut lines = network.docs.clone();
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.push(format!(
        "`{}({})`: {} to {}.",
        network.name,
        settings.join(", "),
        ports(&network.inputs),
        ports(&network.outputs)
    ));
    lines.push(String::new());
    lines.push(format!(
        "{} trainable parameters ({} without sharing), {} multiply-adds per {}.",
        analysis.trainable,
        analysis.unshared,
        analysis.macs,
        network.input().item()
    ));
    lines
}

/// Inputs or outputs with their names and shapes.
pub(crate) fn ports(ports: &[Port]) -> String {
    let words = ports.iter().map(|port| match &port.name {
        Some(name) => format!("{name} {}", port.shape),
        None => port.shape.to_string(),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// What a struct stands for.
pub(crate) fn of_type(of: &Type) -> String {
    let what = match &of.kind {
        ScopeKind::Stage => "Stage".to_owned(),
        ScopeKind::Block(name) => format!("Block `{name}` at"),
        ScopeKind::Iteration => "One iteration of the repetition at".to_owned(),
        ScopeKind::Loop => "One iteration of the loop at".to_owned(),
    };
    format!("{what} {}: {} to {}.", paths(&of.paths), of.body.input, of.body.output)
}

/// What a field holds.
pub(crate) fn of_field(field: &Field, types: &[Type]) -> String {
    match field {
        Field::Tensor { key, shape, part, .. } => match key.rsplit_once('.') {
            Some((layer, "bias")) => format!("Bias of `{layer}`."),
            Some((layer, LOW_RANK_A)) => {
                format!(
                    "Factor A of the low-rank addition B A to the kernel of `{layer}`, {}.",
                    join_sizes(shape)
                )
            }
            Some((layer, LOW_RANK_B)) => {
                format!(
                    "Factor B of the low-rank addition B A to the kernel of `{layer}`, {}.",
                    join_sizes(shape)
                )
            }
            Some((layer, COEFFICIENTS)) => {
                let sizes = join_sizes(shape);
                format!("Coefficients of `{layer}` for the {sizes} kernels that its own is a combination of.")
            }
            Some((layer, SCALE)) => format!("Private scale of `{layer}`, one factor per output channel."),
            Some((layer, _)) if *part == Part::Norm => format!("Scale of `{layer}`, {}.", join_sizes(shape)),
            Some((layer, _)) => format!("Kernel of `{layer}`, {}.", join_sizes(shape)),
            None => format!("`{key}`."),
        },
        Field::Norm { key, of } => format!("{} `{key}` over {} channels.", capital(of.what), of.channels),
        Field::Module { key, of } => format!("`{key}`: {}.", shapes(&types[*of].body)),
        Field::Repeat {
            prefix,
            first,
            count,
            of,
        } => {
            let last = *first as usize + count;
            format!(
                "`{}[{first}..{last}]`: {}, {count} times.",
                prefix.trim_end_matches('.'),
                shapes(&types[*of].body)
            )
        }
    }
}

fn capital(text: &str) -> String {
    let (first, rest) = text.split_at(text.len().min(1));
    first.to_ascii_uppercase() + rest
}

fn shapes(body: &Body) -> String {
    format!("{} to {}", body.input, body.output)
}

/// A tensor of one kernel of a group that has several.
pub(crate) fn of_tensor(tensor: &Tensor) -> String {
    let what = match (tensor.name, tensor.part) {
        ("bias", _) | (_, Part::Bias) => return "Bias.".to_owned(),
        (_, Part::Norm) => "Scale",
        ("weight", Part::Kernel) => "Kernel",
        (name, Part::Kernel) => return format!("{}, {}.", capital(name), join_sizes(&tensor.shape)),
    };
    format!("{what}, {}.", join_sizes(&tensor.shape))
}

/// What a shared tensor is: the first of its part says who uses it.
pub(crate) fn of_shared(group: &Group, tensor: &Tensor, network: &Network) -> String {
    let tensors = group.tensors();
    let first = tensors.iter().find(|of| of.part == tensor.part);
    match first.is_none_or(|first| first.name == tensor.name) || tensor.part != Part::Kernel {
        true => of_group(group, tensor.part, network),
        false => format!("The {} of the kernel, {}.", tensor.name, join_sizes(&tensor.shape)),
    }
}

/// What a shared parameter is, and who uses it.
pub(crate) fn of_group(group: &Group, part: Part, network: &Network) -> String {
    let tensors = group.tensors();
    let shape = tensors
        .iter()
        .find(|tensor| tensor.part == part)
        .map(|tensor| join_sizes(&tensor.shape))
        .unwrap_or_default();
    let plural = if group.kernels == 1 { "" } else { "s" };
    let what = match part {
        Part::Kernel if group.bank.is_some() => format!("bank of kernels, {shape},"),
        Part::Kernel => format!("kernel{plural}, {shape},"),
        Part::Bias if group.kernels == 1 => format!("bias, {shape},"),
        Part::Bias => format!("biases, {shape},"),
        Part::Norm => {
            let what = group.op.sharing().map_or("norm", |sharing| sharing.what);
            format!("{what}{plural} over {shape} channels")
        }
    };
    let visits = group.visits.iter().map(|layer| &network.layers[*layer].path);
    let all = paths(visits);
    if group.kernels == 1 {
        return format!("Shared {what} with {} visits: {all}.", group.visits.len());
    }
    let mut text = format!(
        "{} shared {what} for {} visits: {all}.\n",
        group.kernels,
        group.visits.len()
    );
    for kernel in (0..group.kernels).take(PATHS) {
        let members = group
            .visits
            .iter()
            .zip(&group.assignment)
            .filter(|(_, of)| **of == kernel);
        let members = paths(members.map(|(layer, _)| &network.layers[*layer].path));
        text.push_str(&format!("\n- `{}` is used by {members}", group.kernel_name(kernel)));
    }
    if group.kernels as usize > PATHS {
        text.push_str(&format!(
            "\n- and so on up to `{}`",
            group.kernel_name(group.kernels - 1)
        ));
    }
    text
}
