//! Which layers each shared tensor of a file serves, as the file's metadata say.

use crate::file::File;
use crate::problem::Problem;
use crate::resolve::Shared;
use std::collections::BTreeSet;
use std::fmt;

/// Ties of unknown tensors that are reported: a hostile file can have a million.
const REPORTED: usize = 20;
/// How the keys of shared tensors begin.
const SHARED: &str = "shared.";

/// Where the file says that a shared tensor serves other layers than in the network.
pub(crate) fn check(file: &File, shared: &Shared) -> Option<Problem> {
    let stated: BTreeSet<&str> = file.metadata().get(&shared.key)?.split_whitespace().collect();
    let known: BTreeSet<&str> = shared.visits.iter().map(String::as_str).collect();
    let visit = stated.symmetric_difference(&known).next()?;
    Some(Problem::Visits {
        key: shared.key.clone(),
        visit: (*visit).to_owned(),
        in_file: stated.contains(visit),
    })
}

/// The ties that the file's metadata state of tensors that neither it nor the network has: entries that are called as
/// shared tensors are, or that name nothing but visits.
pub(crate) fn unknown(file: &File, sharing: &[Shared]) -> Vec<Problem> {
    let known: BTreeSet<&str> = sharing.iter().map(|shared| shared.key.as_str()).collect();
    let visits: BTreeSet<&str> = sharing
        .iter()
        .flat_map(|shared| &shared.visits)
        .map(String::as_str)
        .collect();
    let names_visits = |value: &str| {
        let mut words = value.split_whitespace().peekable();
        words.peek().is_some() && words.all(|word| visits.contains(word))
    };
    let unknown = file.metadata().iter().filter(|(key, value)| {
        let is_tie = key.starts_with(SHARED) || names_visits(value);
        is_tie && !known.contains(key.as_str()) && file.get(key).is_none()
    });
    unknown
        .take(REPORTED)
        .map(|(key, _)| Problem::Tie {
            key: key.clone(),
            nearest: nearest(key, &known),
        })
        .collect()
}

/// The key that may be meant: at most a third of its letters differ.
fn nearest(key: &str, known: &BTreeSet<&str>) -> Option<String> {
    let near = |distance: usize, other: &str| 3 * distance <= other.len();
    known
        .iter()
        // Their distance is at least the difference of their lengths, which is known for less.
        .filter(|other| near(key.len().abs_diff(other.len()), other))
        .map(|other| (strsim::damerau_levenshtein(key, other), *other))
        .filter(|(distance, other)| near(*distance, other))
        .min()
        .map(|(_, other)| other.to_owned())
}

/// Shared tensors of a file of which it does not say which layers they serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unstated(Vec<String>);

impl Unstated {
    /// Those of a network's shared tensors; `None` if the file says it of all that it has.
    pub fn of(file: &File, sharing: &[Shared]) -> Option<Self> {
        let unstated = |shared: &&Shared| file.get(&shared.key).is_some() && !file.metadata().contains_key(&shared.key);
        let keys: Vec<String> = sharing
            .iter()
            .filter(unstated)
            .map(|shared| shared.key.clone())
            .collect();
        (!keys.is_empty()).then_some(Self(keys))
    }
}

/// Shared tensors that a message names.
const NAMED: usize = 3;

impl fmt::Display for Unstated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.0[..self.0.len().min(NAMED)].join("`, `");
        let more = match self.0.len() - self.0.len().min(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        write!(
            f,
            "the metadata does not list the layers that use `{named}`{more}: the file may belong to a network with other \
             ties"
        )
    }
}
