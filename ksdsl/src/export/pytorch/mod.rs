//! Networks as PyTorch modules: one self-contained file per network that needs nothing but `torch`.
//!
//! The structure is that of the Rust code (`plan`): a class for each different
//! block, a loop for each row of equal ones. A shared kernel is one `nn.Parameter` in one place,
//! and the layers that visit it are handed it in the forward pass, so there is no alias that a copy, a move or a
//! checkpoint could break. The keys of `state_dict()` are those of the Rust model's checkpoints.

mod class;
mod helpers;
mod lines;
mod loops;
mod names;
mod shared;

use crate::ir::{Network, Shape};
use crate::plan::{self, Plan, docs};
use class::{Class, File};
use helpers::{Helper, Used};
use lines::Lines;

/// The file of one network. `origin` says in the file's docstring where it comes from.
pub fn module(network: &Network, origin: &[String]) -> String {
    let plan = plan::plan(network);
    let file = File::new(&plan);
    let mut used = Used::from([Helper::Part]);
    let mut classes = Vec::new();
    if !network.groups.is_empty() {
        classes.push(shared::class(network, &mut used));
    }
    for of in &plan.types {
        classes.push(block(&file, of, &mut used));
    }
    classes.push(model(&file, &plan, &mut used));
    let head = head(network, origin);
    let classes: String = classes.iter().map(|class| format!("\n\n{class}")).collect();
    format!("{head}{}{classes}", helpers::texts(&used))
}

fn head(network: &Network, origin: &[String]) -> String {
    let mut lines = Lines::default();
    let mut text = vec![
        format!("The network `{}` as a PyTorch module.", network.name),
        String::new(),
    ];
    text.extend(origin.iter().cloned());
    lines.docstring(&text);
    lines.lines(match network.groups.is_empty() {
        true => "\nimport torch\nimport torch.nn.functional as F\nfrom torch import nn",
        false => "\nimport re\n\nimport torch\nimport torch.nn.functional as F\nfrom torch import nn",
    });
    lines.into_text()
}

/// The class of a stage, block or iteration.
fn block(file: &File<'_>, of: &plan::Type, used: &mut Used) -> String {
    let kernels = if file.visits_banks(&of.body) { ", kernels" } else { "" };
    let shared = match of.uses_shared {
        true => ", shared: dict[str, torch.Tensor]",
        false => "",
    };
    let steps = match file.has_loops(&of.body) {
        true => ", loop_counts: dict[str, int]",
        false => "",
    };
    let mut lines = Lines::default();
    lines.line(&format!("class {}(Part):", of.name));
    lines.nested(|lines| {
        lines.docstring(&[docs::of_type(of)]);
        let class = Class::write(file, &of.body, used);
        let taken: String = class.taken().iter().map(|name| format!(", {name}")).collect();
        let set: String = class.set().map(|name| format!(", {name}")).collect();
        let init = class.init.into_text();
        if !init.is_empty() {
            lines.line("");
            lines.line(&format!("def __init__(self{kernels}):"));
            lines.nested(|lines| lines.line("super().__init__()"));
            lines.raw(&init);
        }
        lines.line("");
        lines.line(&format!("def forward(self, x{shared}{steps}{taken}):"));
        lines.raw(&class.forward.into_text());
        lines.nested(|lines| lines.line(&format!("return x{set}")));
    });
    lines.into_text()
}

/// The class of the network itself.
fn model(file: &File<'_>, plan: &Plan<'_>, used: &mut Used) -> String {
    let network = plan.network;
    let name = names::class(&network.name, plan.types.iter().map(|of| of.name.as_str()));
    let shares = !network.groups.is_empty();
    let mut lines = Lines::default();
    lines.line(&format!("class {name}(Part):"));
    lines.nested(|lines| {
        lines.docstring(&docs::of_network(network));
        shared::ties(network, lines, used);
        used.extend((!network.loops.is_empty()).then_some(Helper::Iterations));
        let mut class = Class::write(file, &plan.root, used);
        let variables: Vec<String> = std::iter::once("x".to_owned())
            .chain(class.taken().iter().cloned())
            .collect();
        let inputs = class.parameters(&network.inputs);
        let counts = class.counts();
        let defaults = counts.iter().zip(&network.loops);
        let defaults = defaults.map(|(count, of)| format!("{count}: int = {}", of.most));
        let parameters: Vec<String> = inputs.iter().cloned().chain(defaults).collect();
        let outputs: Vec<&str> = class.set().collect();
        let outputs = if outputs.is_empty() { vec!["x"] } else { outputs };
        let outputs = outputs.into_iter().zip(&network.outputs);
        let outputs = outputs.map(|(output, port)| match port.shape {
            Shape::Signal { .. } => format!("{output}.squeeze(2)"),
            _ => output.to_owned(),
        });
        let outputs = outputs.collect::<Vec<_>>().join(", ");
        lines.line("");
        lines.line("def __init__(self):");
        lines.nested(|lines| {
            lines.line("super().__init__()");
            if shares {
                lines.line("self.shared = Shared()");
            }
            shared::visits(network, lines);
        });
        lines.raw(&class.init.into_text());
        lines.line("");
        lines.line(&format!("def forward(self, {}):", parameters.join(", ")));
        lines.nested(|lines| {
            loops::checked(network, &counts, lines);
            for ((variable, input), port) in variables.iter().zip(&inputs).zip(&network.inputs) {
                // Signals are maps of one row.
                match port.shape {
                    Shape::Signal { .. } => lines.line(&format!("{variable} = {input}.unsqueeze(2)")),
                    _ if variable != input => lines.line(&format!("{variable} = {input}")),
                    _ => {}
                }
            }
            if shares {
                lines.line("shared = self.shared()");
            }
        });
        lines.raw(&class.forward.into_text());
        lines.nested(|lines| lines.line(&format!("return {outputs}")));
    });
    lines.into_text()
}
