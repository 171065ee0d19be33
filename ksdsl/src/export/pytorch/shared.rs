//! The class of the shared kernels, and which of them each visit uses.

use super::helpers::{Helper, Used, parameter};
use super::lines::Lines;
use super::names::{TIES, access};
use crate::checkpoint::entries;
use crate::ir::{Group, Network, Op, Part};
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
    });
    lines.into_text()
}

fn write(group: &Group, network: &Network, lines: &mut Lines, used: &mut Used) {
    let part = group.parts.first().copied().unwrap_or(Part::Kernel);
    lines.comment(&docs::of_group(group, part, network));
    let name = access(&group.name);
    let (class, args) = kernel(group, used);
    if group.kernels == 1 {
        return lines.call(&format!("self{name} = {class}"), &args, "");
    }
    lines.line(&format!("self{name} = Part()"));
    lines.line(&format!("for i in range({}):", group.kernels));
    lines.nested(|lines| lines.call(&format!("self{name}[i] = {class}"), &args, ""));
}

/// The class of one kernel and the arguments that make it.
fn kernel(group: &Group, used: &mut Used) -> (&'static str, Vec<String>) {
    let init = match group.op {
        Op::BatchNorm { channels, .. } => {
            used.insert(Helper::BatchNorm);
            return ("BatchNorm", vec![channels.to_string()]);
        }
        Op::LayerNorm { channels, .. } => {
            used.insert(Helper::LayerNorm);
            return ("LayerNorm", vec![channels.to_string()]);
        }
        op => match op.inits() {
            Some(init) => init,
            None => return ("Part", Vec::new()),
        },
    };
    used.insert(Helper::Layer);
    let tensors = group.tensors().into_iter().map(|tensor| {
        let init = init[usize::from(tensor.part == Part::Bias)];
        format!("{}={}", tensor.name, parameter(init, &tensor.shape, used))
    });
    ("Layer", tensors.collect())
}

/// The tensors of layers that each shared tensor stands for: what the metadata of a checkpoint say.
pub(super) fn ties(network: &Network, lines: &mut Lines) {
    lines.line("");
    lines.comment("The tensors that each shared one stands for: `metadata=model.ties` for safetensors.");
    let shared: Vec<_> = entries(network)
        .into_iter()
        .filter(|entry| !entry.visits.is_empty())
        .collect();
    if shared.is_empty() {
        return lines.line(&format!("{TIES} = {{}}"));
    }
    lines.line(&format!("{TIES} = {{"));
    lines.nested(|lines| {
        for entry in shared {
            lines.text(&format!("\"{}\": ", entry.key), &entry.visits.join(" "), ",");
        }
    });
    lines.line("}");
}

/// Which kernel of its group each visit uses, for groups of several; in the order of the visits,
/// which is that of the constructors.
pub(super) fn visits(network: &Network, lines: &mut Lines) {
    let banks: Vec<&Group> = network.groups.iter().filter(|group| group.kernels > 1).collect();
    if banks.is_empty() {
        return;
    }
    lines.comment("Which kernel of a group each visit uses, in the order of the visits.");
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
