//! Ties that a reference or a specification has.

use super::{Content, Finding, Kind, Tensor, list};
use crate::checkpoint::Entry;
use std::collections::BTreeSet;

/// Groups that were equal in the reference, or one tensor of it, and are not.
pub(super) fn of_reference(content: &Content, reference: &Content) -> Vec<Finding> {
    let groups = reference.groups();
    let mut names: BTreeSet<Vec<&str>> = groups
        .iter()
        .map(|group| group.iter().map(|tensor| tensor.name.as_str()).collect())
        .collect();
    // What the reference stores once, a file may store for each layer.
    for (key, visits) in &reference.metadata {
        if reference.get(key).is_some() {
            names.insert(visits.split_whitespace().chain([key.as_str()]).collect());
        }
    }
    names
        .iter()
        .filter_map(|names| changed(content, names, Some(reference)))
        .collect()
}

/// What is wrong with tensors that should be equal; those that the file does not have do not count.
fn changed(content: &Content, names: &[&str], reference: Option<&Content>) -> Option<Finding> {
    let present: Vec<&Tensor> = names.iter().filter_map(|name| content.get(name)).collect();
    let first = present.first()?;
    if present.iter().all(|tensor| tensor.equals(first)) {
        return None;
    }
    let is_old = |tensor: &&&Tensor| {
        let old = reference.and_then(|reference| reference.get(&tensor.name));
        match reference {
            Some(_) => old.is_some_and(|old| old.equals(tensor)),
            // Those that still are what another is.
            None => present.iter().filter(|other| other.equals(tensor)).count() > 1,
        }
    };
    let old: BTreeSet<&str> = present
        .iter()
        .filter(is_old)
        .map(|tensor| tensor.name.as_str())
        .collect();
    let new: Vec<&str> = present
        .iter()
        .map(|tensor| tensor.name.as_str())
        .filter(|name| !old.contains(name))
        .collect();
    let tensors = present.iter().map(|tensor| tensor.name.clone()).collect();
    let all = list(present.iter().map(|tensor| tensor.name.as_str()));
    Some(match old.is_empty() || new.is_empty() {
        true => Finding {
            kind: Kind::Untied,
            tensors,
            bytes: 0,
            message: format!("{all} should be equal and are not: their tie is lost"),
        },
        false => Finding {
            kind: Kind::HalfUpdated,
            tensors,
            bytes: 0,
            message: format!(
                "of {all}, which should be equal, only {} changed",
                list(new.iter().copied())
            ),
        },
    })
}

/// Where the file is not what the specification says.
pub(super) fn of_specification(content: &Content, expected: &[Entry]) -> Vec<Finding> {
    expected.iter().flat_map(|entry| of_entry(content, entry)).collect()
}

fn of_entry(content: &Content, entry: &Entry) -> Vec<Finding> {
    let own = content.get(&entry.key);
    let stated = content
        .metadata
        .get(&entry.key)
        .filter(|_| own.is_some() && !entry.visits.is_empty());
    let mut findings = Vec::new();
    findings.extend(stated.and_then(|stated| other_visits(entry, stated)));
    // Copies, where layers use the tensor as it is.
    let copies: Vec<&str> = entry
        .visits
        .iter()
        .filter(|_| entry.made.is_empty())
        .map(String::as_str)
        .collect();
    let present: Vec<&Tensor> = copies.iter().filter_map(|name| content.get(name)).collect();
    if own.is_none() && (copies.is_empty() || present.len() < copies.len()) {
        findings.push(missing(content, entry, &copies));
    }
    let names: Vec<&str> = copies.iter().copied().chain([entry.key.as_str()]).collect();
    findings.extend(changed(content, &names, None));
    let misshaped = own
        .into_iter()
        .chain(present)
        .filter(|tensor| tensor.shape != entry.shape);
    findings.extend(misshaped.map(|tensor| Finding {
        kind: Kind::Shape,
        tensors: vec![tensor.name.clone()],
        bytes: 0,
        message: format!(
            "`{}` has the sizes {:?} instead of {:?}",
            tensor.name, tensor.shape, entry.shape
        ),
    }));
    findings
}

fn missing(content: &Content, entry: &Entry, copies: &[&str]) -> Finding {
    let absent = copies.iter().copied().find(|name| content.get(name).is_none());
    let some = copies.iter().any(|name| content.get(name).is_some());
    let message = match absent.filter(|_| some) {
        Some(copy) => format!("neither `{}` nor its copy `{copy}` is there", entry.key),
        None => format!("`{}` is missing", entry.key),
    };
    Finding {
        kind: Kind::Missing,
        tensors: vec![entry.key.clone()],
        bytes: 0,
        message,
    }
}

/// The file says that a shared tensor serves other layers.
fn other_visits(entry: &Entry, stated: &str) -> Option<Finding> {
    let stated: BTreeSet<&str> = stated.split_whitespace().collect();
    let known: BTreeSet<&str> = entry.visits.iter().map(String::as_str).collect();
    let visit = stated.symmetric_difference(&known).next()?;
    let message = match stated.contains(visit) {
        true => format!(
            "in the file `{}` serves `{visit}`, in the specification it does not",
            entry.key
        ),
        false => format!(
            "in the specification `{}` serves `{visit}`, in the file it does not",
            entry.key
        ),
    };
    Some(Finding {
        kind: Kind::Ties,
        tensors: vec![entry.key.clone()],
        bytes: 0,
        message,
    })
}
