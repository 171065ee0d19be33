//! Hover: what a layer, a block, a stage, a clause or a name stands for.

use super::analysis::{Analysis, Place};
use super::symbols::{Kind, Occurrence};
use crate::ast::{File, NetKind, Statement};
use crate::ir::{Group, GroupId, Layer, Network, Path, Scope, join_sizes};
use crate::mappings::{MAPPINGS, PLACES, PRIVATE_PARTS};
use crate::ops;
use crate::paths::compress;
use crate::source::Span;
use crate::summary::{thousands, traits};
use std::collections::BTreeSet;

/// Shapes, paths or groups that are listed before the rest is only counted.
const LISTED: usize = 4;

/// A text in Markdown on what is at a byte, and where that is.
pub(super) fn hover(analysis: &Analysis, offset: usize) -> Option<(String, Span)> {
    let symbols = analysis.symbols();
    if let Some(call) = symbols.call_at(offset) {
        let span = call
            .label
            .filter(|label| super::symbols::touches(*label, offset))
            .unwrap_or(call.callee.span);
        let scopes = analysis.scopes_of(call.span);
        let text = match ops::find(&call.callee.value) {
            Some(layer) => of_layers(analysis, analysis.layers_of(call.span), layer),
            None if scopes.is_empty() => return named(analysis, offset),
            None => of_scopes(analysis, &format!("block `{}`", call.callee.value), &scopes),
        };
        return Some((text, span));
    }
    named(analysis, offset)
        .or_else(|| word(analysis, offset))
        .or_else(|| clause(analysis, offset))
}

/// A layer of the language, with what is made by one call of it.
fn of_layers(analysis: &Analysis, layers: &[Place], definition: &ops::LayerDef) -> String {
    let mut lines = Vec::new();
    // A network and its instances have the same layers; one of them is described.
    let network = layers.first().map(|first| first.network);
    let layers: Vec<Place> = layers
        .iter()
        .filter(|place| Some(place.network) == network)
        .copied()
        .collect();
    if let Some(network) = network {
        let of: Vec<&Layer> = layers.iter().map(|place| analysis.layer(*place)).collect();
        lines.push(paths(of.iter().map(|layer| &layer.path)));
        lines.push(list(
            of.iter()
                .filter(|layer| !layer.op.is_invalid())
                .map(|layer| shapes(layer)),
        ));
        let costs = analysis.costs(network);
        let (mut used, mut macs) = (0, 0);
        for place in &layers {
            used += costs.layers[place.layer].used;
            macs += costs.layers[place.layer].macs;
        }
        lines.push(counts(used, macs));
        lines.extend(groups(&analysis.networks()[network], &of));
        lines.push(other_networks(analysis, network));
    }
    lines.push(format!("---\n`{}`: {}", signature(definition), definition.doc));
    joined(lines)
}

/// `3x32x32 → 16x32x32, kernel 16x3x3x3, stride 2`.
fn shapes(layer: &Layer) -> String {
    let mut text = format!("{} → {}", layer.input, layer.output);
    if let Some(kernel) = layer.op.kernel_shape() {
        text.push_str(&format!(", kernel {}", join_sizes(&kernel)));
    }
    for word in traits(layer) {
        text.push_str(&format!(", {word}"));
    }
    text
}

/// The shared kernels that layers use, with their visits.
fn groups(network: &Network, layers: &[&Layer]) -> Vec<String> {
    let visits = layers.iter().flat_map(|layer| layer.kernel.iter().chain(&layer.bias));
    let kernels: BTreeSet<(GroupId, u32)> = visits.map(|visit| (visit.group, visit.kernel)).collect();
    let more = kernels.len().saturating_sub(LISTED);
    let mut texts: Vec<String> = kernels
        .into_iter()
        .take(LISTED)
        .map(|(group, kernel)| shared_kernel(network, &network.groups[group], kernel))
        .collect();
    texts.extend((more > 0).then(|| format!("and {more} more shared kernels")));
    texts
}

/// A shared kernel with its visits.
fn shared_kernel(network: &Network, group: &Group, kernel: u32) -> String {
    let visits = group.visits.iter().zip(&group.assignment);
    let of: Vec<&Path> = visits
        .filter(|(_, of)| **of == kernel || group.bank.is_some())
        .map(|(layer, _)| &network.layers[*layer].path)
        .collect();
    let tensors = group.tensors();
    let sizes = tensors
        .first()
        .map(|tensor| join_sizes(&tensor.shape))
        .unwrap_or_default();
    let parameters: u64 = tensors
        .iter()
        .filter(|tensor| tensor.trainable)
        .map(|t| t.shape.iter().product::<u64>())
        .sum();
    format!(
        "shared kernel `{}` {sizes}, {} parameters, {} visits: {}",
        group.kernel_name(kernel),
        thousands(parameters),
        of.len(),
        paths(of.iter().copied())
    )
}

/// A stage or block: what goes in and out, and what its layers cost.
fn of_scopes(analysis: &Analysis, what: &str, scopes: &[(usize, &Scope)]) -> String {
    let mut lines = vec![format!("{what} {}", paths(scopes.iter().map(|(_, scope)| &scope.path)))];
    lines.push(list(
        scopes
            .iter()
            .map(|(_, scope)| format!("{} → {}", scope.input, scope.output)),
    ));
    if let Some((network, _)) = scopes.first() {
        let costs = analysis.costs(*network);
        let inside = |layer: &Layer| scopes.iter().any(|(_, scope)| layer.path.0.starts_with(&scope.path.0));
        let layers = analysis.networks()[*network].layers.iter().zip(&costs.layers);
        let (mut number, mut used, mut macs) = (0, 0, 0);
        for (_, cost) in layers.filter(|(layer, _)| inside(layer)) {
            (number, used, macs) = (number + 1, used + cost.used, macs + cost.macs);
        }
        lines.push(format!("{number} layers, {}", counts(used, macs)));
        lines.push(other_networks(analysis, *network));
    }
    joined(lines)
}

/// A name: of a network, a block, a value or a path.
fn named(analysis: &Analysis, offset: usize) -> Option<(String, Span)> {
    let found = analysis.symbols().at(offset);
    let first = *found.first()?;
    let name = &analysis.source.text()[first.of.range()];
    let text = match first.kind {
        Kind::Net => of_net(analysis, name),
        Kind::Stage => of_scopes(analysis, "stage", &analysis.scopes_of(first.of)),
        Kind::Label | Kind::Layer => of_label(analysis, &found)?,
        Kind::Block => format!("block `{}`{}", head(analysis, first.of), docs(&analysis.file, first.of)),
        Kind::Parameter => {
            let values = analysis
                .networks()
                .iter()
                .filter(|_| is_of_net(&analysis.file, first.of));
            let values = values.filter_map(|network| {
                let (_, value) = network.parameters.iter().find(|(parameter, _)| parameter == name)?;
                Some(format!("`{value}` in `{}`", network.name))
            });
            joined(vec![format!("parameter `{}`", line(analysis, first.of)), list(values)])
        }
        Kind::Constant => format!("`{}`", line(analysis, first.of)),
        Kind::Index => format!("index `{name}` of a repetition, counted from 0"),
        Kind::Value | Kind::Output => {
            let all = analysis.networks().iter().flat_map(|network| &network.values);
            let shapes = all
                .filter(|value| value.name == name)
                .map(|value| value.shape.to_string());
            joined(vec![format!("value `{name}`"), list(shapes)])
        }
        Kind::Kernel => return None,
    };
    Some((text, first.span))
}

/// The layers or scopes that a label stands for.
fn of_label(analysis: &Analysis, found: &[&Occurrence]) -> Option<String> {
    let calls = &analysis.symbols().calls;
    let is_of = |span: Span| found.iter().any(|found| found.of == span);
    let mut texts = Vec::new();
    for call in calls
        .iter()
        .filter(|call| call.label.is_some_and(is_of) || is_of(call.callee.span))
    {
        texts.push(match ops::find(&call.callee.value) {
            Some(layer) => of_layers(analysis, analysis.layers_of(call.span), layer),
            None => {
                let what = format!("block `{}`", call.callee.value);
                of_scopes(analysis, &what, &analysis.scopes_of(call.span))
            }
        });
    }
    texts.truncate(LISTED);
    (!texts.is_empty()).then(|| joined(texts))
}

fn of_net(analysis: &Analysis, name: &str) -> String {
    let Some(at) = analysis.networks().iter().position(|network| network.name == name) else {
        return format!("network `{name}`; not expanded: it has errors, or parameters without values");
    };
    let (network, costs) = (&analysis.networks()[at], analysis.costs(at));
    let settings: Vec<String> = network
        .parameters
        .iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    let shape = match (network.inputs.as_slice(), network.outputs.as_slice()) {
        ([input], [output]) => format!("{} → {}", input.shape, output.shape),
        (inputs, outputs) => format!("{} inputs, {} outputs", inputs.len(), outputs.len()),
    };
    let parameters = format!(
        "{} parameters, {} without sharing",
        thousands(costs.trainable),
        thousands(costs.unshared)
    );
    joined(vec![
        format!("network `{name}({})`", settings.join(", ")),
        network.docs.join("\n"),
        shape,
        parameters,
        format!(
            "{} layers, {} multiply-adds",
            network.layers.len(),
            thousands(costs.macs)
        ),
    ])
}

/// The shared kernels of the clause around a byte.
fn clause(analysis: &Analysis, offset: usize) -> Option<(String, Span)> {
    let clause = analysis.symbols().clause_at(offset)?;
    let mut texts = Vec::new();
    let mut more = 0;
    let network = analysis
        .networks()
        .iter()
        .find(|network| network.groups.iter().any(|group| group.span == clause.span))?;
    for group in network.groups.iter().filter(|group| group.span == clause.span) {
        for kernel in 0..group.kernels {
            match texts.len() < LISTED {
                true => texts.push(shared_kernel(network, group, kernel)),
                false => more += 1,
            }
        }
        texts.extend(
            group
                .mapping
                .as_ref()
                .map(|mapping| format!("mapping {}", mapping.words)),
        );
    }
    texts.extend((more > 0).then(|| format!("and {more} more shared kernels")));
    Some((joined(texts), clause.span))
}

/// A word of the language: a kind, a mapping, a place or a private part.
fn word(analysis: &Analysis, offset: usize) -> Option<(String, Span)> {
    let text = analysis.source.own_text();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    let start = (0..offset.min(bytes.len()))
        .rev()
        .take_while(|at| is_word(bytes[*at]))
        .last()
        .unwrap_or(offset);
    let end = bytes[start..].iter().take_while(|byte| is_word(**byte)).count() + start;
    let word = &text[start..end];
    analysis.symbols().clause_at(offset)?;
    let doc = |name: &str, doc: &str| (name == word).then(|| format!("`{name}`: {doc}"));
    let found = MAPPINGS.iter().find_map(|def| doc(def.name, def.doc));
    let found = found.or_else(|| PLACES.iter().find_map(|def| doc(def.name, def.doc)));
    let found = found.or_else(|| PRIVATE_PARTS.iter().find_map(|def| doc(def.name, def.doc)));
    let found = found.or_else(|| ops::find(word).map(|layer| format!("`{}`: {}", signature(layer), layer.doc)));
    Some((found?, Span::new(start, end)))
}

/// `conv(channels, kernel, ...)`.
pub(super) fn signature(layer: &ops::LayerDef) -> String {
    let params: Vec<&str> = layer.params.iter().map(|param| param.name).collect();
    match params.as_slice() {
        [] => layer.name.to_owned(),
        params => format!("{}({})", layer.name, params.join(", ")),
    }
}

/// The first line of an item: its name with its parameters.
fn head(analysis: &Analysis, name: Span) -> String {
    let text = &analysis.source.text()[name.start as usize..];
    let head = text.split(['{', '\n']).next().unwrap_or_default();
    head.trim().to_owned()
}

/// The rest of the line from a name on, up to a `,`, `)` or `;` of its own.
fn line(analysis: &Analysis, name: Span) -> String {
    let text = &analysis.source.text()[name.start as usize..];
    let mut depth = 0i32;
    let ends = |letter: char| {
        depth += i32::from(letter == '(' || letter == '[') - i32::from(letter == ')' || letter == ']');
        depth < 0 || depth == 0 && matches!(letter, ',' | ';') || letter == '\n'
    };
    text.split(ends).next().unwrap_or_default().trim().to_owned()
}

/// The documentation of a block, on lines of its own.
fn docs(file: &File, name: Span) -> String {
    let bodies = file.all_nets().filter_map(|net| match &net.kind {
        NetKind::Family { body, .. } => Some(body),
        NetKind::Instance { .. } => None,
    });
    let inner = bodies
        .flat_map(|body| &body.statements)
        .filter_map(|statement| match statement {
            Statement::Block(block) => Some(block),
            _ => None,
        });
    let block = file.blocks.iter().chain(inner).find(|block| block.name.span == name);
    match block {
        Some(block) if !block.docs.is_empty() => format!("\n\n{}", block.docs.join("\n")),
        _ => String::new(),
    }
}

/// Whether a parameter is one of a network.
fn is_of_net(file: &File, name: Span) -> bool {
    file.all_nets().any(|net| match &net.kind {
        NetKind::Family { params, .. } => params.iter().any(|param| param.name.span == name),
        NetKind::Instance { .. } => false,
    })
}

fn counts(parameters: u64, macs: u64) -> String {
    format!(
        "{} parameters used, {} multiply-adds",
        thousands(parameters),
        thousands(macs)
    )
}

/// The networks besides the one that is described.
fn other_networks(analysis: &Analysis, network: usize) -> String {
    match analysis.networks().len() {
        0 | 1 => String::new(),
        _ => format!("in `{}`", analysis.networks()[network].name),
    }
}

/// Paths in short, the first few of them.
fn paths<'p>(of: impl Iterator<Item = &'p Path>) -> String {
    list(compress(of).into_iter().map(|path| format!("`{path}`")))
}

/// Different texts, the first few of them.
fn list(texts: impl Iterator<Item = String>) -> String {
    let mut listed: Vec<String> = Vec::new();
    let mut more = BTreeSet::new();
    for text in texts {
        if listed.contains(&text) {
            continue;
        }
        match listed.len() < LISTED {
            true => listed.push(text),
            false => drop(more.insert(text)),
        }
    }
    if !more.is_empty() {
        listed.push(format!("and {} more", more.len()));
    }
    listed.join(", ")
}

/// Lines of Markdown, without empty ones.
fn joined(lines: Vec<String>) -> String {
    let lines: Vec<String> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    lines.join("\n\n")
}
