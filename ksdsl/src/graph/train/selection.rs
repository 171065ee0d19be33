//! Tensors that patterns select.

use super::Planned;
use crate::share::select::{below, place};
use std::collections::BTreeSet;

/// Keys that are named in a message.
const NAMED: usize = 3;

/// Those of a network that patterns select, in the order of `tensors`: selectors as in `share` clauses, on keys.
///
/// # Errors
/// If a pattern selects nothing, or only some of the layers of a shared tensor, which is one.
fn select(patterns: &[String], tensors: &[Planned]) -> Result<Vec<bool>, String> {
    whole(&below(patterns, &keys(tensors))?, tensors)
}

/// Whether each tensor of a network is trained: those that patterns select, without patterns all.
pub(super) fn trained(patterns: &[String], tensors: &[Planned]) -> Result<Vec<bool>, String> {
    if patterns.is_empty() {
        return Ok(tensors.iter().map(|tensor| tensor.trained).collect());
    }
    let selected = select(patterns, tensors)?.into_iter().zip(tensors);
    let trained: Vec<bool> = selected.map(|(selected, tensor)| selected && tensor.trained).collect();
    match trained.contains(&true) {
        true => Ok(trained),
        false => Err(format!(
            "`{}` selects running statistics alone, no parameter",
            patterns.join("`, `")
        )),
    }
}

/// The keys of tensors, and those that shared ones would have in each layer.
pub(super) fn keys(tensors: &[Planned]) -> BTreeSet<String> {
    let visits = |tensor: &Planned| {
        tensor
            .shared
            .iter()
            .flat_map(|(visits, _)| visits.clone())
            .collect::<Vec<_>>()
    };
    let keys = |tensor: &Planned| [vec![tensor.key.clone()], visits(tensor)].concat();
    tensors.iter().flat_map(keys).collect()
}

/// Whether keys are those of each tensor: its own, or those of all its layers.
pub(super) fn whole(selected: &BTreeSet<String>, tensors: &[Planned]) -> Result<Vec<bool>, String> {
    let is_selected = |tensor: &Planned| {
        let Some((visits, _)) = tensor.shared.as_ref().filter(|_| !selected.contains(&tensor.key)) else {
            return Ok(selected.contains(&tensor.key));
        };
        let (inside, outside): (Vec<&String>, Vec<&String>) =
            visits.iter().partition(|visit| selected.contains(*visit));
        match (inside.first(), outside.as_slice()) {
            (None, _) => Ok(false),
            (_, []) => Ok(true),
            (Some(inside), outside) => Err(format!(
                "`{}` is one tensor of several layers, of which only some are selected, such as {}: also select {}, or leave it out",
                tensor.key,
                names(&[inside]),
                names(outside),
            )),
        }
    };
    tensors.iter().map(is_selected).collect()
}

/// The paths of keys, the first few of them.
fn names(keys: &[&String]) -> String {
    let paths = keys.iter().take(NAMED).map(|key| format!("`{}`", place(key)));
    let paths = paths.collect::<Vec<_>>().join(", ");
    match keys.len().saturating_sub(NAMED) {
        0 => paths,
        more => format!("{paths} and {more} more"),
    }
}
