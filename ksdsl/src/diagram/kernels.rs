//! Shared kernels: their numbers, and which of them layers use.

use super::theme::{colour, on_colour};
use crate::ir::{Layer, LayerId, Network, Visit};

/// The most runs of equal kernels that a box lists.
const RUNS: usize = 16;
/// The most kernels that it lists where there are more runs.
const KERNELS: usize = 11;

/// The shared kernels of a network, counted from 0 in the order of its summary.
pub(super) struct Kernels<'n> {
    network: &'n Network,
    /// The number of the first kernel of each group.
    first: Vec<usize>,
}

/// A label of a kernel.
pub(super) struct Chip {
    pub(super) text: String,
    /// The shared kernel; none for layers that have their own, or for kernels that are only counted.
    pub(super) kernel: Option<usize>,
}

impl Chip {
    pub(super) fn colours(&self) -> Option<(&'static str, &'static str)> {
        self.kernel.map(|kernel| (colour(kernel), on_colour(kernel)))
    }
}

/// The label of a kernel: `k1` for the first.
pub(super) fn label(kernel: usize) -> String {
    format!("k{}", kernel + 1)
}

impl<'n> Kernels<'n> {
    pub(super) fn new(network: &'n Network) -> Self {
        let mut next = 0;
        let first = network.groups.iter().map(|group| {
            let first = next;
            next += group.kernels as usize;
            first
        });
        Kernels {
            first: first.collect(),
            network,
        }
    }

    fn number(&self, visit: Visit) -> usize {
        self.first[visit.group] + visit.kernel as usize
    }

    fn of(&self, layers: &[LayerId], part: impl Fn(&Layer) -> Option<Visit>) -> Vec<Option<usize>> {
        let kernel = |id: &LayerId| part(&self.network.layers[*id]).map(|visit| self.number(visit));
        layers.iter().map(kernel).collect()
    }

    /// The kernel that each layer uses, and the bias where that is another group's.
    pub(super) fn series(&self, layers: &[LayerId]) -> [Vec<Option<usize>>; 2] {
        [
            self.of(layers, |layer| layer.kernel),
            self.of(layers, |layer| layer.bias.filter(|bias| Some(*bias) != layer.kernel)),
        ]
    }

    /// All kernels and biases that layers use, each once, in the order of their numbers.
    pub(super) fn used(&self, layers: &[LayerId]) -> Vec<usize> {
        let mut used: Vec<usize> = self.series(layers).into_iter().flatten().flatten().collect();
        used.sort_unstable();
        used.dedup();
        used
    }

    /// What a box of the same layer of each repetition says of its kernels.
    pub(super) fn chips(&self, layers: &[LayerId]) -> Vec<Chip> {
        let [kernels, biases] = self.series(layers);
        let mut chips = chips(&kernels, "");
        chips.extend(self::chips(&biases, "bias "));
        chips
    }
}

/// Labels of the kernels of repetitions: of each run of equal ones, or where there are too many of each kernel.
fn chips(series: &[Option<usize>], part: &str) -> Vec<Chip> {
    if series.iter().all(Option::is_none) {
        return Vec::new();
    }
    let mut runs: Vec<(Option<usize>, usize)> = Vec::new();
    for kernel in series {
        match runs.last_mut() {
            Some((last, times)) if last == kernel => *times += 1,
            _ => runs.push((*kernel, 1)),
        }
    }
    if runs.len() <= RUNS {
        let is_only = runs.len() == 1;
        return runs.into_iter().map(|run| chip(run, part, is_only)).collect();
    }
    let mut kinds: Vec<Option<usize>> = series.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    let times = |kind: &Option<usize>| (*kind, series.iter().filter(|kernel| *kernel == kind).count());
    let shown = if kinds.len() <= RUNS { kinds.len() } else { KERNELS };
    let mut chips: Vec<Chip> = kinds
        .iter()
        .take(shown)
        .map(times)
        .map(|kind| chip(kind, part, false))
        .collect();
    let more = kinds.len() - shown;
    chips.extend((more > 0).then(|| Chip {
        text: format!("{part}and {more} more"),
        kernel: None,
    }));
    chips
}

fn chip((kernel, times): (Option<usize>, usize), part: &str, is_only: bool) -> Chip {
    let name = kernel.map_or_else(|| "own".to_owned(), label);
    Chip {
        text: match times {
            times if times > 1 && !is_only => format!("{part}{name} \u{d7} {times}"),
            _ => format!("{part}{name}"),
        },
        kernel,
    }
}
