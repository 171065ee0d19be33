//! Finds the tensors of a network in a file that stores shared kernels once or once per layer.

use crate::file::{File, View};
use crate::kind::Kind;
use crate::problem::{Problem, Problems, unless};
use crate::ties;
use std::collections::{BTreeSet, HashMap, HashSet};

/// A tensor that a network has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its key.
    pub key: String,
    /// Its sizes.
    pub shape: Vec<u64>,
    /// The type of its elements; `None` for any of floating-point numbers.
    pub kind: Option<Kind>,
}

/// A tensor that several layers share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Its key: `shared.s1_conv.weight`.
    pub key: String,
    /// The keys that it would have in each layer if that had its own: `s1.0.conv2.weight`.
    pub visits: Vec<String>,
    /// Whether each layer uses it as it is, so that a copy can stand for it, rather than a kernel that it makes of it.
    pub copies: bool,
}

/// Finds each expected tensor in a file, in the order of `expected`.
///
/// A shared tensor may be missing if the file has a copy for each of its visits, and all copies,
/// and the tensor itself if it is there as well, are equal bit for bit; not if its layers make their kernels of it. What the file says of the
/// visits must be true, and of tensors that the network shares; [`Unstated`](crate::Unstated) is what it does not say.
/// The error lists all that is missing, too many, misshaped, of another type or untied.
pub fn resolve<'f>(file: &'f File, expected: &[Expected], sharing: &[Shared]) -> Result<Vec<View<'f>>, Problems> {
    if let Some(prefix) = wrapper(file, expected, sharing) {
        return Err(Problems(vec![Problem::Wrapped { prefix }]));
    }
    let mut search = Search {
        file,
        used: BTreeSet::new(),
        problems: Vec::new(),
    };
    let mut views = Vec::new();
    let by_key = by_key(sharing);
    for tensor in expected {
        let view = match by_key.get(tensor.key.as_str()) {
            Some(shared) => search.shared(tensor, shared),
            None => search.own(tensor),
        };
        views.extend(view);
    }
    let surplus = file.keys().filter(|key| !search.used.contains(key));
    let surplus: Vec<Problem> = surplus.map(|key| Problem::Surplus { key: key.to_owned() }).collect();
    search.problems.extend(surplus);
    search.problems.extend(ties::unknown(file, sharing));
    unless(search.problems, views)
}

/// Points of a key up to which prefixes are looked for.
const PREFIX_POINTS: usize = 8;

/// The prefix that a wrapper of PyTorch's puts before every key (`module.`, `_orig_mod.`): without it all keys of the
/// file are the network's, and with it none is. (`shared.` is no wrapper's, though a group may be named as a layer is.)
fn wrapper(file: &File, expected: &[Expected], sharing: &[Shared]) -> Option<String> {
    let visits = sharing.iter().flat_map(|shared| &shared.visits);
    let known: HashSet<&str> = expected
        .iter()
        .map(|tensor| &tensor.key)
        .chain(visits)
        .map(String::as_str)
        .collect();
    let first = file.keys().next()?;
    if file.keys().any(|key| known.contains(key)) {
        return None;
    }
    let is_prefix = |prefix: &&str| {
        let mut bare = file.keys().map(|key| key.strip_prefix(prefix));
        bare.all(|key| key.is_some_and(|key| known.contains(key)))
    };
    let points = first.match_indices('.').take(PREFIX_POINTS);
    points.map(|(at, _)| &first[..=at]).find(is_prefix).map(str::to_owned)
}

/// The shared tensors by their keys.
pub(crate) fn by_key(sharing: &[Shared]) -> HashMap<&str, &Shared> {
    sharing.iter().map(|shared| (shared.key.as_str(), shared)).collect()
}

/// A search in progress.
struct Search<'f, 'e> {
    file: &'f File,
    used: BTreeSet<&'e str>,
    problems: Vec<Problem>,
}

impl<'f, 'e> Search<'f, 'e> {
    fn own(&mut self, tensor: &'e Expected) -> Option<View<'f>> {
        if self.file.get(&tensor.key).is_none() {
            self.problems.push(Problem::Missing {
                key: tensor.key.clone(),
                copies: Vec::new(),
            });
        }
        self.take(&tensor.key, tensor)
    }

    /// The tensor of a key, if there is one that fits.
    fn take(&mut self, key: &'e str, tensor: &Expected) -> Option<View<'f>> {
        let view = self.file.get(key)?;
        self.used.insert(key);
        let before = self.problems.len();
        if view.shape != tensor.shape {
            self.problems.push(Problem::Shape {
                key: key.to_owned(),
                found: view.shape.to_vec(),
                expected: tensor.shape.clone(),
            });
        }
        let fits = tensor.kind.map_or(view.kind.is_float(), |kind| kind == view.kind);
        if !fits {
            let floats = || "floating-point numbers".to_owned();
            self.problems.push(Problem::Kind {
                key: key.to_owned(),
                found: view.kind,
                expected: tensor.kind.map_or_else(floats, |kind| kind.to_string()),
            });
        }
        (self.problems.len() == before).then_some(view)
    }

    fn shared(&mut self, tensor: &'e Expected, shared: &'e Shared) -> Option<View<'f>> {
        self.problems.extend(ties::check(self.file, shared));
        let visits = if shared.copies { shared.visits.as_slice() } else { &[] };
        let keys = std::iter::once(&shared.key).chain(visits);
        let found: Vec<(&'e String, Option<View<'f>>)> = keys
            .filter(|key| self.file.get(key).is_some())
            .map(|key| (key, self.take(key, tensor)))
            .collect();
        if self.file.get(&shared.key).is_none() {
            let copies: Vec<String> = visits
                .iter()
                .filter(|visit| self.file.get(visit).is_none())
                .cloned()
                .collect();
            if !copies.is_empty() || !shared.copies {
                self.problems.push(Problem::Missing {
                    key: shared.key.clone(),
                    copies,
                });
            }
        }
        let mut fitting = found.into_iter().filter_map(|(key, view)| Some((key, view?)));
        let (first, view) = fitting.next()?;
        let other = fitting.find(|(_, other)| *other != view);
        if let Some((second, _)) = other {
            self.problems.push(Problem::Untied {
                shared: shared.key.clone(),
                first: first.clone(),
                second: second.clone(),
            });
        }
        Some(view)
    }
}
