//! The class of the shared kernels, and which of them each visit uses.

use super::helpers::{Helper, Used, parameter};
use super::lines::Lines;
use super::names::{TIES, access};
use crate::ir::{Group, Network, Tensor};
use crate::paths::compress;
use crate::plan::docs;

/// `Shared`: each shared kernel once.
pub(super) fn class(network: &Network, used: &mut Used) -> String {
    used.insert(Helper::Part);
    let mut lines = Lines::default();
    lines.line("class Shared(Part):");
    lines.nested(|lines| {
        lines.docstring(&["The shared kernels, each stored once.".to_owned()]);
        lines.line("");
        lines.line("def __init__(self):");
        lines.nested(|lines| {
            lines.line("super().__init__()");
            network
                .groups
                .iter()
                .for_each(|group| write(group, network, lines, used));
        });
        lines.line("");
        lines.line("def forward(self) -> dict[str, torch.Tensor]:");
        lines.nested(|lines| tensors(network, lines));
    });
    lines.into_text()
}

fn write(group: &Group, network: &Network, lines: &mut Lines, used: &mut Used) {
    if let Some(part) = group.parts.first() {
        lines.comment(&docs::of_group(group, *part, network));
    }
    let name = access(&group.name);
    let (class, args) = kernel(group, used);
    if group.kernels == 1 {
        return lines.call(&format!("self{name} = {class}"), &args, "");
    }
    lines.line(&format!("self{name} = Part()"));
    lines.line(&format!("for i in range({}):", group.kernels));
    lines.nested(|lines| lines.call(&format!("self{name}[i] = {class}"), &args, ""));
}

/// The tensors by their keys, which every visit takes its own from.
fn tensors(network: &Network, lines: &mut Lines) {
    lines.line("tensors: dict[str, torch.Tensor] = {}");
    for group in &network.groups {
        let (name, place) = (&group.name, access(&group.name));
        let names: Vec<&str> = group.tensors().iter().map(|tensor| tensor.name).collect();
        if group.kernels == 1 {
            for tensor in names {
                lines.line(&format!("tensors[\"{name}.{tensor}\"] = self{place}.{tensor}"));
            }
            continue;
        }
        lines.line(&format!("for i, kernel in self{place}.named_children():"));
        lines.nested(|lines| {
            for tensor in names {
                lines.line(&format!("tensors[f\"{name}.{{i}}.{tensor}\"] = kernel.{tensor}"));
            }
        });
    }
    lines.line("return tensors");
}

/// The class of one kernel and the arguments that make it.
fn kernel(group: &Group, used: &mut Used) -> (&'static str, Vec<String>) {
    if let Some(of) = group.op.module() {
        used.insert(Helper::Of(of.class));
        return (of.name, vec![of.channels.to_string()]);
    }
    used.insert(Helper::Layer);
    let tensor = |tensor: Tensor| format!("{}={}", tensor.name, parameter(tensor.init, &tensor.shape, used));
    ("Layer", group.tensors().into_iter().map(tensor).collect())
}

/// The tensors of layers that each shared tensor stands for: what the metadata of a checkpoint say. Paths are as
/// short as they can be, so that they do not grow with the depth.
pub(super) fn ties(network: &Network, lines: &mut Lines, used: &mut Used) {
    lines.line("");
    if network.groups.is_empty() {
        return lines.line(&format!("{TIES} = {{}}"));
    }
    used.insert(Helper::Tied);
    lines.comment("The tensors that each shared tensor replaces; use as `metadata=model.ties` for safetensors.");
    lines.line(&format!("{TIES} = tied({{"));
    lines.nested(|lines| {
        for group in &network.groups {
            let names: Vec<&str> = group.tensors().iter().map(|tensor| tensor.name).collect();
            for kernel in 0..group.kernels {
                let visits = group.visits.iter().zip(&group.assignment);
                let layers = visits
                    .filter(|(_, of)| **of == kernel)
                    .map(|(layer, _)| &network.layers[*layer].path);
                let mut args = vec![format!("\"{}\"", names.join(" "))];
                args.extend(
                    compress(layers.collect::<Vec<_>>())
                        .iter()
                        .map(|path| format!("\"{path}\"")),
                );
                lines.call(&format!("\"shared.{}\": ", group.kernel_name(kernel)), &args, ",");
            }
        }
    });
    lines.line("})");
}

/// Which kernel of its group each visit uses, for groups of several; in the order of the visits,
/// which is that of the constructors.
pub(super) fn visits(network: &Network, lines: &mut Lines) {
    let banks: Vec<&Group> = network.groups.iter().filter(|group| group.kernels > 1).collect();
    if banks.is_empty() {
        return;
    }
    lines.comment("The kernel of the group that each visit uses, in forward order.");
    lines.line("kernels = {");
    lines.nested(|lines| {
        for group in banks {
            let head = format!("\"{}\": iter(", group.name);
            let runs: Vec<&[u32]> = group.assignment.chunk_by(|a, b| a == b).collect();
            if 4 * runs.len() <= group.assignment.len() {
                let runs = runs.iter().map(|run| format!("[{}] * {}", run[0], run.len()));
                lines.list(&head, runs.collect(), " + ", "),");
            } else {
                let items = group.assignment.iter().map(u32::to_string);
                lines.list(&(head + "["), items.collect(), ", ", "]),");
            }
        }
    });
    lines.line("}");
}
